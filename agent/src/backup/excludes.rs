//! What is left out: patterns in gitignore syntax, relative to each path of the source.

use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::BackupError;
use crate::metadata::{self, Stat};

/// What a walk below one path skips.
pub(super) struct Excludes {
    patterns: Gitignore,
    /// The state folder's device and inode: the agent never backs up its own keys.
    state: Option<(u64, u64)>,
    /// The state folder with links resolved.
    state_folder: Option<PathBuf>,
}

impl Excludes {
    pub(super) fn new(
        root: &Path,
        patterns: &[String],
        state_folder: Option<&Path>,
    ) -> Result<Self, BackupError> {
        let mut builder = GitignoreBuilder::new(root);
        for pattern in patterns {
            builder
                .add_line(None, pattern)
                .map_err(|error| BackupError::Pattern {
                    pattern: pattern.clone(),
                    error: error.to_string(),
                })?;
        }
        let patterns = builder.build().map_err(|error| BackupError::Pattern {
            pattern: patterns.join(" "),
            error: error.to_string(),
        })?;
        let state_folder = state_folder.and_then(|folder| folder.canonicalize().ok());
        let state = state_folder
            .as_deref()
            .and_then(|folder| metadata::stat(folder).ok())
            .map(|stat| (stat.device, stat.inode));
        Ok(Self {
            patterns,
            state,
            state_folder,
        })
    }

    pub(super) fn skips(&self, path: &Path, stat: &Stat) -> bool {
        let is_folder = stat.kind == metadata::Kind::Folder;
        (is_folder && self.is_state(stat)) || self.patterns.matched(path, is_folder).is_ignore()
    }

    /// Whether a path of the source, links resolved, lies inside the state folder.
    pub(super) fn within_state(&self, walked: &Path) -> bool {
        self.state_folder
            .as_deref()
            .is_some_and(|folder| walked.starts_with(folder))
    }

    pub(super) fn is_state(&self, stat: &Stat) -> bool {
        self.state == Some((stat.device, stat.inode))
    }
}
