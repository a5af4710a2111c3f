//! Counting beside the walk, so that progress has a total.

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    filter::{AtMount, Filter},
    node::below,
    walker::WalkedRoot,
};
use crate::{
    platform::{self, Folder, Kind, Mounts, Stat},
    progress::RunCounters,
};

/// A walk that is over so soon needs no total.
const TOTAL_DELAY: Duration = Duration::from_millis(500);

/// Counts what a first walk will find, beside it. Errors are the walk's to report.
pub(super) fn count(
    roots: &[WalkedRoot],
    filter: &Filter,
    counters: &RunCounters,
    over: &std::sync::mpsc::Receiver<()>,
) {
    let is_over = |timeout| over.recv_timeout(timeout) != Err(std::sync::mpsc::RecvTimeoutError::Timeout);
    if is_over(TOTAL_DELAY) {
        return;
    }
    let mounts = Mounts::read().unwrap_or_default();
    let mut found = Estimate::default();
    for root in roots {
        let Ok(stat) = platform::stat(&root.walked) else {
            continue;
        };
        found.add(&stat);
        let path = platform::bytes(&root.walked).to_vec();
        // Not the folders themselves: only few may be open at once.
        let mut folders = vec![(None::<Arc<Folder>>, path, stat.device)];
        while let Some((within, path, device)) = folders.pop() {
            if counters.stopped() || is_over(Duration::ZERO) {
                return;
            }
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let folder = within.map_or_else(|| Folder::open(&root.walked), |within| within.folder(name));
            let Ok(folder) = folder.map(Arc::new) else {
                continue;
            };
            for name in folder.names().unwrap_or_default() {
                let Ok(stat) = folder.stat_of(&name.bytes) else {
                    continue;
                };
                let is_folder = stat.kind == Kind::Folder;
                let path = [path.as_slice(), b"/", &name.bytes].concat();
                if takes(filter, below(&path, &root.walked), &stat, is_folder) {
                    found.add(&stat);
                    let is_entered = filter.at_mount(&mounts, stat.device, device) == AtMount::Enter
                        && !mounts.is_trigger(&path);
                    if is_folder && is_entered {
                        folders.push((Some(folder.clone()), path, device));
                    }
                }
            }
        }
    }
    counters.found(found.files, found.bytes);
}

/// Without what only a folder above included: it is an estimate.
fn takes(filter: &Filter, path: &Path, stat: &Stat, is_folder: bool) -> bool {
    !(filter.is_state(stat) || filter.is_too_large(stat) || filter.excludes(path, is_folder))
        && (is_folder || filter.includes(path, false, false))
}

#[derive(Default)]
struct Estimate {
    files: u64,
    bytes: u64,
}

impl Estimate {
    fn add(&mut self, stat: &Stat) {
        self.files += 1;
        if stat.kind == Kind::File {
            self.bytes += stat.size_bytes;
        }
    }
}
