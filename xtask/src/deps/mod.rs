//! `cargo xtask check-deps`: dependencies point one way, between crates and between the modules of each; S3 and SQL are spoken in one
//! place each; what the documents name exists, and each promise has its places in the code.

mod docs;
mod graph;
mod modules;
mod sources;

use anyhow::Result;

use crate::workspace::Workspace;

/// `cargo xtask check-deps`.
pub fn command() -> Result<bool> {
    let workspace = Workspace::load()?;
    let mut violations = graph::violations(&graph::edges(&workspace.metadata));
    violations.extend(sources::violations(&workspace.root)?);
    violations.extend(sources::circles(&workspace.root)?);
    violations.extend(docs::violations(&workspace.root)?);
    for violation in &violations {
        eprintln!("✗ {violation}");
    }
    if violations.is_empty() {
        println!(
            "no circle between crates or modules; S3 and SQL are spoken where they may be; documents name what exists"
        );
    }
    Ok(violations.is_empty())
}
