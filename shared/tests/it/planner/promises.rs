//! The promises, in words of their own: each is asked of each snapshot and each of its objects, by looking at all of them.
//!
//! Nothing of the planner is used here. A lock is what the bucket says, what a snapshot needs is what it was committed with.

use jiff::{SignedDuration, Timestamp};
use shared::retention::{ObjectState, Soundness};

use super::{
    support::hours,
    world::{RowId, Snapshot, Source, World},
};

/// What dates are rounded by.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The lock of an object that must exist.
pub fn lock(world: &World, at: usize, id: RowId) -> Timestamp {
    let row = world.sources[at].rows[id].as_ref();
    let lock = row.and_then(|row| world.bucket.lock(row.version));
    lock.unwrap_or_else(|| world.fail(&format!("P4: source {at}: row {id} is gone, but needed")))
}

/// At every instant: P1, P3, and that nothing is gone that a complete snapshot needs.
pub fn always(world: &World) {
    for (at, source) in world.sources.iter().enumerate() {
        let rolling = newest(world, source);
        for snapshot in source.snapshots.iter().filter(|snapshot| !snapshot.expired) {
            let never_lapses = rolling.contains(&snapshot.seq) && source.rolling.contains(&snapshot.seq);
            for id in &snapshot.needs {
                let lock = lock(world, at, *id);
                let seq = snapshot.seq;
                if world.time <= snapshot.promised && lock < snapshot.promised {
                    world.fail(&format!(
                        "P1: source {at}: {seq} needs row {id}, locked until {lock} only"
                    ));
                }
                if never_lapses && lock <= world.time {
                    world.fail(&format!(
                        "P3: source {at}: {seq} needs row {id}, which unlocked at {lock}"
                    ));
                }
            }
        }
    }
}

/// The snapshots that never lapse: the newest complete one, which comes first, and the newest of the sound ones.
fn newest(world: &World, source: &Source) -> Vec<u64> {
    if source.retired {
        return Vec::new();
    }
    let many = world.policy.keep_last as usize;
    let complete: Vec<_> = source
        .snapshots
        .iter()
        .rev()
        .filter(|snapshot| !snapshot.expired)
        .collect();
    let sound = complete
        .iter()
        .filter(|snapshot| snapshot.soundness.is_sound())
        .take(many);
    let all = complete.first().into_iter().chain(sound);
    let mut seqs: Vec<u64> = all.map(|snapshot| snapshot.seq).collect();
    seqs.dedup();
    seqs
}

/// From now on, these must not lapse.
pub fn roll(world: &mut World, at: usize) {
    let rolling = newest(world, &world.sources[at]);
    world.sources[at].rolling = rolling.into_iter().collect();
}

fn retention(world: &World) -> SignedDuration {
    hours(24 * u64::from(world.policy.retention_days))
}

fn grace(world: &World) -> SignedDuration {
    hours(u64::from(world.policy.grace_hours))
}

/// Until when today's policy and what was promised protect a snapshot.
fn protected(world: &World, snapshot: &Snapshot) -> Timestamp {
    let mut latest = snapshot.promised.max(snapshot.received_at + retention(world));
    for tier in &world.policy.tiers {
        if snapshot.tiers.contains(&tier.every) {
            latest = latest.max(snapshot.received_at + hours(24 * u64::from(tier.retention_days)));
        }
    }
    latest
}

fn kept(world: &World, source: &Source, snapshot: &Snapshot, leeway: SignedDuration) -> bool {
    let rolls = newest(world, source).contains(&snapshot.seq);
    let lasts = protected(world, snapshot) + leeway >= world.now();
    !snapshot.expired && (snapshot.pinned || rolls || lasts)
}

/// Whether a snapshot after the newest sound one waits for a person's decision, the first of them for less than 30 days.
fn frozen(world: &World, source: &Source) -> bool {
    let mut waiting: Vec<&Snapshot> = Vec::new();
    for snapshot in &source.snapshots {
        match snapshot.soundness {
            Soundness::Sound => waiting.clear(),
            Soundness::Undecided => waiting.push(snapshot),
            Soundness::Bad => {}
        }
    }
    let is_there = waiting.iter().any(|snapshot| !snapshot.expired);
    is_there && world.now() < waiting[0].received_at + hours(30 * 24)
}

/// When the next run will surely have begun.
fn next_begun(world: &World, source: &Source) -> Timestamp {
    let now = world.now();
    source.next_due().map_or(now, |due| due.max(now)) + grace(world)
}

/// Whether a snapshot may need a row, for all that is known: one between two that do.
fn may_need(source: &Source, snapshot: &Snapshot, id: RowId) -> bool {
    let span = source.spans.get(&id);
    span.is_some_and(|(first, last)| (*first..=*last).contains(&snapshot.seq))
}

/// Whether the row is of an open run, or of a commit whose snapshot is not complete yet.
fn under_way(source: &Source, id: RowId) -> bool {
    let row = source.row(id);
    let committed = source
        .locking
        .as_ref()
        .is_some_and(|locking| row.born == Some(locking.seq));
    committed || (row.state == ObjectState::Pending && source.run.is_some())
}

/// P2, and that what is kept is locked for as long as it must be.
pub fn after_sweep(world: &World) {
    let (now, retention) = (world.now(), retention(world));
    for (at, source) in world.sources.iter().enumerate() {
        let rolling = newest(world, source);
        for snapshot in &source.snapshots {
            if !kept(world, source, snapshot, SignedDuration::ZERO) {
                continue;
            }
            let is_newest = rolling.first() == Some(&snapshot.seq);
            let rolls = rolling.contains(&snapshot.seq) || snapshot.pinned;
            for id in &snapshot.needs {
                let mut need = protected(world, snapshot);
                let wished = is_newest && source.do_not_reuse.contains(id);
                if wished {
                    wish_leaves_no_gap(world, at, *id);
                } else if is_newest {
                    need = need.max(next_begun(world, source) + retention);
                }
                if rolls && !wished {
                    need = need.max(now + retention);
                }
                let lock = lock(world, at, *id);
                if lock < need {
                    let seq = snapshot.seq;
                    world.fail(&format!(
                        "P2: source {at}: row {id} is locked until {lock}, but {seq} needs {need}"
                    ));
                }
            }
        }
        for id in source.live_rows() {
            let known = source.row(id).locked_until.is_some();
            if known && under_way(source, id) && lock(world, at, id) < now + hours(48) {
                world.fail(&format!(
                    "row {id} of an open run is locked for less than 48 hours"
                ));
            }
        }
    }
}

/// Adding again is a wish: should the next run not come, nothing that was promised is open, and nothing lapses; and nobody waits
/// for a run that has not come.
fn wish_leaves_no_gap(world: &World, at: usize, id: RowId) {
    let source = &world.sources[at];
    let lock = lock(world, at, id);
    let Some(interval) = source.interval else {
        world.fail("a wish without a schedule")
    };
    let late = source.next_due().map(|due| due + grace(world));
    if late.is_none_or(|late| late < world.now()) {
        world.fail(&format!("row {id} is to be added again by a run that is late"));
    }
    if lock <= next_begun(world, source) + interval {
        world.fail(&format!(
            "row {id} is to be added again, but a missed run would be too late"
        ));
    }
    for snapshot in source
        .snapshots
        .iter()
        .filter(|snapshot| may_need(source, snapshot, id))
    {
        if kept(world, source, snapshot, SignedDuration::ZERO) && lock < protected(world, snapshot) {
            world.fail(&format!(
                "row {id} is to be added again, but {} needs it longer",
                snapshot.seq
            ));
        }
    }
}

/// P4: what is neither needed nor locked is gone, and so are the snapshots that nothing keeps.
pub fn after_groom(world: &World, at: usize) {
    let source = &world.sources[at];
    if frozen(world, source) {
        return;
    }
    for snapshot in source.snapshots.iter().filter(|snapshot| !snapshot.expired) {
        if !kept(world, source, snapshot, SECOND) {
            world.fail(&format!(
                "P4: source {at}: nothing keeps {}, but it stays",
                snapshot.seq
            ));
        }
    }
    for id in source.live_rows() {
        let row = source.row(id);
        let needed = latest_reason(world, at, id, SECOND).is_some();
        let locked = lock(world, at, id) >= world.time;
        let lock_known = row.locked_until.is_some();
        if !needed && !locked && lock_known && row.state != ObjectState::Unknown
            // Crashed in the middle, or refused by S3's clock; the next run deletes it.
            && row.state != ObjectState::Deleting
            // The server's clock is a little behind S3's.
            && row.locked_until < Some(world.now())
        {
            world.fail(&format!(
                "P4: source {at}: row {id} is neither needed nor locked, but stays"
            ));
        }
    }
}

/// Only what nothing keeps may be given up.
pub fn may_expire(world: &World, at: usize, snapshot: &Snapshot) {
    let source = &world.sources[at];
    if kept(world, source, snapshot, SignedDuration::ZERO) || frozen(world, source) {
        world.fail(&format!(
            "P4: source {at}: {} is given up, but must be kept",
            snapshot.seq
        ));
    }
}

/// Only what nobody needs, of which everything is known, may be deleted. (Locks are the bucket's business.)
pub fn may_delete(world: &World, at: usize, id: RowId) {
    let source = &world.sources[at];
    let row = source.row(id);
    let needed = source.snapshots.iter().any(|snapshot| {
        let needs = snapshot.needs.contains(&id) || may_need(source, snapshot, id);
        needs && kept(world, source, snapshot, SignedDuration::ZERO)
    });
    if needed
        || frozen(world, source)
        || under_way(source, id)
        || row.state == ObjectState::Unknown
        || row.locked_until.is_none()
    {
        world.fail(&format!(
            "P4: source {at}: row {id} is to be deleted, but must be kept"
        ));
    }
}

/// The latest date to which anything that needs the row justifies a lock: what is fixed, or what rolls and Q.
fn latest_reason(world: &World, at: usize, id: RowId, leeway: SignedDuration) -> Option<Timestamp> {
    let source = &world.sources[at];
    let rolling = newest(world, source);
    let ahead = match world.policy.lock_ahead {
        shared::retention::LockAhead::Days(days) => days,
        shared::retention::LockAhead::Auto => {
            let days = source.interval.map_or(1, |interval| interval.as_hours() / 24 + 1);
            world
                .policy
                .longest_retention_days()
                .min(90)
                .max(u32::try_from(days).unwrap())
        }
    };
    let ahead = retention(world) + hours(24 * u64::from(ahead));
    let mut latest = under_way(source, id).then(|| world.now() + hours(48));
    for snapshot in source
        .snapshots
        .iter()
        .filter(|snapshot| may_need(source, snapshot, id))
    {
        if !kept(world, source, snapshot, leeway) {
            continue;
        }
        latest = latest.max(Some(protected(world, snapshot)));
        if rolling.contains(&snapshot.seq) || snapshot.pinned {
            latest = latest.max(Some(world.now() + ahead));
        }
        if rolling.first() == Some(&snapshot.seq) {
            latest = latest.max(Some(next_begun(world, source) + ahead));
            // The first snapshot of the next period takes its tier again.
            if !snapshot.tiers.is_empty() {
                let q = ahead - retention(world);
                latest = latest.max(Some(protected(world, snapshot) + q));
            }
        }
    }
    latest
}

/// No lock is set further than what needs it, and Q.
pub fn reaches_no_further(world: &World, at: usize, id: RowId, until: Timestamp) {
    // Dates are rounded up: in its last second a snapshot is still kept.
    let reason = latest_reason(world, at, id, SECOND);
    if reason.is_none_or(|reason| until > reason + SECOND) {
        world.fail(&format!(
            "source {at}: row {id} is to be locked until {until}; reason for {reason:?}"
        ));
    }
}
