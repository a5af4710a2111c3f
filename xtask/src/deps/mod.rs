//! `cargo xtask check-deps`: dependencies point one way, S3 and SQL are spoken in one place each.

mod graph;
mod sources;

use anyhow::Result;

use crate::workspace::Workspace;

/// `cargo xtask check-deps`.
pub fn command() -> Result<bool> {
    let workspace = Workspace::load()?;
    let mut violations = graph::violations(&graph::edges(&workspace.metadata));
    violations.extend(sources::violations(&workspace.root)?);
    for violation in &violations {
        eprintln!("✗ {violation}");
    }
    if violations.is_empty() {
        println!("dependencies point one way; S3 and SQL are spoken where they may be");
    }
    Ok(violations.is_empty())
}
