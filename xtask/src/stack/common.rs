//! What starting any of a stack's programs needs.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use anyhow::{Context as _, Result};

/// How long a program may take until it answers.
pub const READY_WITHIN: Duration = Duration::from_secs(90);

/// A folder for us alone: the one around it lets Postgres' user pass.
pub fn private(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .with_context(|| folder.display().to_string())
}
