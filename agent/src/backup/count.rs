//! Counting beside the walk, so that progress has a total.

use std::{sync::mpsc, time::Duration};

use super::{
    filter::Filter,
    traverse::{Met, Traversal},
    walker::WalkedRoot,
};
use crate::{
    platform::{Kind, Mounts},
    progress::RunCounters,
};

/// A walk that is over so soon needs no total.
const TOTAL_DELAY: Duration = Duration::from_millis(500);

/// Counts what a first walk will find, beside it. Errors are the walk's to report.
pub(super) fn count(
    roots: &[WalkedRoot],
    filter: &Filter,
    counters: &RunCounters,
    over: &mpsc::Receiver<()>,
) {
    let is_over = |timeout| over.recv_timeout(timeout) != Err(mpsc::RecvTimeoutError::Timeout);
    if is_over(TOTAL_DELAY) {
        return;
    }
    let traversal = Traversal {
        filter,
        mounts: Mounts::read().unwrap_or_default(),
        noted: false,
        may_go_on: &|| !counters.stopped() && !is_over(Duration::ZERO),
    };
    let (mut files, mut bytes) = (0, 0);
    let whole = traversal.run(roots, &mut |_, met| {
        if let Met::Taken(stat) | Met::Mount(stat, _) = met {
            files += 1;
            bytes += if stat.kind == Kind::File {
                stat.size_bytes
            } else {
                0
            };
        }
    });
    if matches!(whole, Ok(true)) {
        counters.found(files, bytes);
    }
}
