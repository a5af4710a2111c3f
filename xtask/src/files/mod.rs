//! Folders to back up, made by rule, changed by rule, and fingerprints of them to compare.

mod change;
pub mod fingerprint;
mod make;
pub mod random;

use std::path::Path;

use anyhow::Result;

pub use change::change;
pub use make::{large_random, office, small_office};

/// Copies a folder with everything that a backup keeps.
pub async fn copy_aside(from: &Path, to: &Path) -> Result<()> {
    let mut command = tokio::process::Command::new("cp");
    command.args(["-a", "--"]).arg(from).arg(to);
    crate::sh::output(&mut command).await.map(|_| ())
}
