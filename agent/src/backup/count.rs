//! Counting beside the walk, so that progress has a total.

use std::path::PathBuf;

use super::excludes::Excludes;
use crate::{
    metadata::{self, Kind},
    progress::RunCounters,
};

/// Counts what a walk will find, beside it, so that progress has a total. Errors are the walk's to report.
pub(super) fn count(roots: &[(PathBuf, Excludes)], counters: &RunCounters, done: &dyn Fn() -> bool) {
    let (mut files, mut bytes) = (0, 0);
    let mut folders = Vec::new();
    let mut look = |path: PathBuf, excludes: usize, folders: &mut Vec<(PathBuf, usize)>| {
        let Ok(stat) = metadata::stat(&path) else { return };
        if roots[excludes].1.skips(&path, &stat) {
            return;
        }
        files += 1;
        match stat.kind {
            Kind::Folder => folders.push((path, excludes)),
            Kind::File => bytes += stat.size_bytes,
            Kind::Symlink | Kind::Other => {}
        }
    };
    for (at, (root, _)) in roots.iter().enumerate() {
        look(root.clone(), at, &mut folders);
    }
    while let Some((folder, excludes)) = folders.pop() {
        if done() || counters.stopped() {
            return;
        }
        for name in metadata::names(&folder).unwrap_or_default() {
            look(folder.join(metadata::os(&name)), excludes, &mut folders);
        }
    }
    counters.found(files, bytes);
}
