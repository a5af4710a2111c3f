//! What is measured, and where.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::measure::Figures;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    First,
    Unchanged,
    Changed,
    Restore,
}

impl Phase {
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::First, "first backup"),
        (Self::Unchanged, "unchanged"),
        (Self::Changed, "1 % changed"),
        (Self::Restore, "restore"),
    ];
}

/// All figures of one data set: of each engine, by phase, one for each round.
pub type Results = BTreeMap<&'static str, BTreeMap<Phase, Vec<Figures>>>;

/// The folders of one round of one engine.
pub struct BenchPaths<'a> {
    /// What is backed up.
    pub files: &'a Path,
    /// Where it is restored to.
    pub target: &'a Path,
    /// Caches, repositories on disk.
    pub scratch: &'a Path,
    /// The repository's name.
    pub name: String,
}

impl BenchPaths<'_> {
    /// Where the files are after a restore: everybody keeps their whole paths.
    pub fn restored(&self) -> Result<PathBuf> {
        Ok(self.target.join(self.files.strip_prefix("/")?))
    }
}
