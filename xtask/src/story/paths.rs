//! The folders of the story.

use std::path::PathBuf;

/// The folders of the story.
pub struct StoryPaths {
    /// What is backed up.
    pub source: PathBuf,
    /// It, as the first backup found it.
    pub first_copy: PathBuf,
    /// It, as the second backup found it.
    pub second_copy: PathBuf,
    /// What is backed up when the server is killed.
    pub crash_source: PathBuf,
    /// It, as the backup after the crash found it.
    pub crash_copy: PathBuf,
    /// What restores write to.
    pub restored: PathBuf,
}
