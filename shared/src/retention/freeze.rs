//! While an anomaly is open, nothing of the source is given up or deleted: what a person may want back must still be there when
//! the person looks.

use jiff::Timestamp;

use super::{SnapshotInput, SnapshotState, Soundness, days, later};

/// So long a source waits for a decision. After that only the last sound snapshots and the newest one are kept beyond what was
/// promised.
pub const FREEZE_DAYS: u32 = 30;

// Promise: P4
/// Until when nothing of a source is given up or deleted: [`FREEZE_DAYS`] days after the first snapshot since the newest sound one
/// that nobody has decided on. `None` when no anomaly is open. The date may have passed.
#[must_use]
pub fn frozen_until(snapshots: &[SnapshotInput]) -> Option<Timestamp> {
    let after = snapshots
        .iter()
        .rposition(|snapshot| snapshot.soundness.is_sound())
        .map_or(0, |sound| sound + 1);
    let undecided = || {
        let since = snapshots[after..].iter();
        since.filter(|snapshot| snapshot.soundness == Soundness::Undecided)
    };
    let is_open = undecided().any(|snapshot| snapshot.state == SnapshotState::Complete);
    let first = undecided().map(|snapshot| snapshot.received_at).min()?;
    is_open.then(|| later(first, days(FREEZE_DAYS)))
}
