//! Where things are: the repository's root, cargo's target folder, cargo itself.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand};
use tokio::process::Command;

/// The workspace as cargo sees it.
pub struct Workspace {
    /// The repository's root.
    pub root: PathBuf,
    /// Cargo's target folder, which CARGO_TARGET_DIR may have moved.
    pub target: PathBuf,
    /// Packages and their dependencies, without those of other people.
    pub metadata: Metadata,
}

impl Workspace {
    /// Asks cargo.
    pub fn load() -> Result<Self> {
        // As `cargo run` tells it now, not as it was at compile time: two clones that share a target folder share
        // this binary, too, and each means its own sources.
        let package =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let manifest = Path::new(&package).join("Cargo.toml");
        let metadata = MetadataCommand::new()
            .cargo_path(cargo())
            .manifest_path(manifest)
            .no_deps()
            .exec()
            .context("cargo metadata")?;
        Ok(Self {
            root: metadata.workspace_root.clone().into_std_path_buf(),
            target: metadata.target_directory.clone().into_std_path_buf(),
            metadata,
        })
    }

    /// Cargo, in the repository's root.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(cargo());
        // cargo-leptos' names must not leak into a build without it: leptos compiles them in.
        command.current_dir(&self.root).env_remove("LEPTOS_OUTPUT_NAME");
        for (name, _) in std::env::vars_os() {
            // `cargo run` tells its child about the xtask package; the next cargo is not about it.
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
            {
                command.env_remove(name);
            }
        }
        command
    }
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
