//! What agents do: start late or not at all, upload, break off, commit too late, commit.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use shared::{
    object::ObjectHash,
    retention::{
        ObjectState, Policy, Soundness, TierCandidate, assign_tiers, commit_lock, expected_tiers,
        protected_until, upload_lock,
    },
};

use super::{
    support::hours,
    sweep::set_lock,
    world::{Row, Run, Snapshot, World},
};

/// What the source's agent does at this instant.
pub fn act(world: &mut World, at: usize) {
    let now = world.now();
    let source = &world.sources[at];
    if let Some(snapshot) = &source.locking {
        // Extending may take a while: S3 answers slowly, the server is started again.
        let late = now > snapshot.received_at + hours(30);
        if late || world.random.percent(60) {
            complete(world, at);
        }
        return;
    }
    if let Some(run) = &source.run {
        let over = now >= run.ends;
        if over && world.random.percent(90) {
            commit(world, at);
        } else if over || now > run.deadline {
            break_off(world, at);
        } else if world.random.percent(30) {
            upload(world, at);
        }
        return;
    }
    if starts(world, at) {
        start(world, at);
    }
}

/// Ends whatever is under way.
pub fn close(world: &mut World, at: usize) {
    break_off(world, at);
    if world.sources[at].locking.is_some() {
        complete(world, at);
    }
}

fn starts(world: &mut World, at: usize) -> bool {
    let now = world.now();
    let source = &mut world.sources[at];
    if source.retired || source.silent_until.is_some_and(|until| now < until) {
        return false;
    }
    let chance = match source.schedule.next_after(source.last_attempt).unwrap() {
        Some(due) if now < due => return false,
        Some(_) => 85,
        None => 4,
    };
    source.last_attempt = now;
    // Else the occurrence is missed.
    world.random.percent(chance)
}

fn start(world: &mut World, at: usize) {
    let now = world.now();
    let deadline = now + hours(world.random.between(1, 60));
    let part = world.random.part_of(deadline.duration_since(now) + hours(3));
    let ends = if world.random.percent(60) { now } else { now + part };
    let policy = world.policy.clone();
    let takes_the_list = world.random.percent(60);
    let source = &mut world.sources[at];
    let do_not_reuse = if takes_the_list {
        source.do_not_reuse.clone()
    } else {
        BTreeSet::new()
    };
    source.run = Some(Run {
        deadline,
        ends,
        policy,
        uploaded: Vec::new(),
        do_not_reuse,
    });
    world.note(|| format!("source {at}: run, deadline {deadline}"));
    upload(world, at);
    if ends <= now {
        commit(world, at);
    }
}

fn upload(world: &mut World, at: usize) {
    let now = world.now();
    for _ in 0..world.random.below(4) {
        let source = &world.sources[at];
        let run = source.run.as_ref().unwrap();
        let mut hash = [0; 32];
        hash[0] = u8::try_from(world.random.below(256)).unwrap();
        hash[1] = u8::try_from(world.random.below(256)).unwrap();
        let hash = ObjectHash::from_bytes(hash);
        let (ahead, schedule) = (source.lock_ahead_days, &source.schedule);
        let tiers = expected_tiers(&run.policy, &source.tiered(0), now).unwrap();
        let lock = upload_lock(&run.policy, ahead, schedule, run.deadline, now, &tiers, &hash).unwrap();
        let version = world.bucket.put(lock.retain_until);
        if world.bucket.lock(version) != Some(lock.retain_until) {
            world.fail("an upload's lock is not in whole seconds");
        }
        let bytes = world.random.between(1, 32 << 20);
        // The ledger learns of the lock when it is seen in the bucket.
        let seen = world.random.percent(80);
        let source = &mut world.sources[at];
        source.run.as_mut().unwrap().uploaded.push(source.rows.len());
        source.rows.push(Some(Row {
            version,
            bytes,
            live_bytes: bytes,
            locked_until: seen.then_some(lock.retain_until),
            born: None,
            dropped: None,
            state: ObjectState::Pending,
        }));
    }
}

/// What was uploaded stays pending, of no run.
fn break_off(world: &mut World, at: usize) {
    if world.sources[at].run.take().is_some() {
        world.note(|| format!("source {at}: the run breaks off"));
    }
}

/// The commit request becomes durable; what it needs is then being locked.
fn commit(world: &mut World, at: usize) {
    let received_at = world.now();
    let run = world.sources[at].run.take().unwrap();
    if received_at > run.deadline {
        world.note(|| format!("source {at}: a commit after the deadline is refused"));
        return;
    }
    let needs = chosen(world, at, &run);
    let policy = larger(&run.policy, &world.policy);
    let source = &mut world.sources[at];
    let seq = source.snapshots.last().map_or(0, |snapshot| snapshot.seq) + 1;
    for id in &needs {
        let span = source.spans.entry(*id).or_insert((seq, seq));
        span.1 = seq;
    }
    for (id, row) in source.rows.iter_mut().enumerate() {
        let Some(row) = row else { continue };
        if needs.contains(&id) {
            world.tally.returns += usize::from(row.dropped.is_some());
            row.born.get_or_insert(seq);
            row.dropped = None;
            if row.state == ObjectState::Pending {
                row.state = ObjectState::Live;
            }
            row.live_bytes = if world.random.percent(30) {
                world.random.below(row.bytes)
            } else {
                row.bytes
            };
        } else if row.born.is_some() && row.dropped.is_none() {
            row.dropped = Some(seq);
        }
    }
    source.do_not_reuse.clear();
    let count = needs.len();
    let candidate = TierCandidate {
        received_at,
        clean: world.random.percent(60),
        sound: world.random.percent(80),
    };
    let tiers = assign_tiers(&policy, &source.tiered(0), candidate).unwrap();
    source.locking = Some(Snapshot {
        seq,
        received_at,
        expired: false,
        pinned: false,
        clean: candidate.clean,
        soundness: if candidate.sound {
            Soundness::Sound
        } else {
            Soundness::Undecided
        },
        tiers,
        protected_until: None,
        policy,
        needs,
        promised: received_at,
    });
    world.note(|| format!("source {at}: commit of {seq} with {count} objects"));
    if world.random.percent(80) {
        complete(world, at);
    }
}

/// The objects of the next snapshot: most of its parent's, the new ones, and some that come back.
fn chosen(world: &mut World, at: usize, run: &Run) -> BTreeSet<usize> {
    let source = &world.sources[at];
    let parent = source
        .newest()
        .map_or_else(BTreeSet::new, |newest| newest.needs.clone());
    let (churn, comes_back) = (world.random.pick(&[0, 3, 15, 60]), world.random.pick(&[0, 0, 10]));
    let adopts = world.random.percent(50);
    let mut needs = BTreeSet::new();
    for id in source.live_rows() {
        let row = source.row(id);
        let takes = if run.uploaded.contains(&id) {
            true
        } else if parent.contains(&id) {
            let unreadable = world.random.percent(10);
            !world.random.percent(churn) && (!run.do_not_reuse.contains(&id) || unreadable)
        } else if row.state == ObjectState::Pending {
            adopts
        } else {
            row.state == ObjectState::Live && world.random.percent(comes_back)
        };
        if takes {
            needs.insert(id);
        }
    }
    needs
}

/// A run uses the larger of the policy at its start and at its commit.
fn larger(begun: &Policy, now: &Policy) -> Policy {
    Policy {
        retention_days: begun.retention_days.max(now.retention_days),
        grace_hours: begun.grace_hours.max(now.grace_hours),
        lock_cap_days: begun.lock_cap_days.max(now.lock_cap_days),
        ..now.clone()
    }
}

/// What falls short is locked; then, and only then, the snapshot is complete.
fn complete(world: &mut World, at: usize) {
    let source = &mut world.sources[at];
    let mut snapshot = source.locking.take().unwrap();
    let (policy, received_at) = (&snapshot.policy, snapshot.received_at);
    let (ahead, schedule) = (source.lock_ahead_days, &source.schedule);
    let lock = commit_lock(policy, ahead, schedule, received_at, &snapshot.tiers).unwrap();
    let promise = protected_until(policy, received_at);
    snapshot.protected_until = Some(promise);
    snapshot.promised = received_at + hours(24 * u64::from(policy.retention_days));
    if promise < snapshot.promised || promise > snapshot.promised + SignedDuration::from_secs(1) {
        world.fail("the promise is not received_at + N");
    }
    // That of the policy which the run commits under.
    let cap_days = policy.lock_cap_days;
    for id in &snapshot.needs {
        let confirmed = world.bucket.lock(world.sources[at].row(*id).version);
        world.sources[at].row_mut(*id).locked_until = confirmed;
        if confirmed.is_none_or(|confirmed| confirmed < lock.need) {
            set_lock(
                world,
                at,
                *id,
                lock.extend_to.max(confirmed.unwrap_or(Timestamp::MIN)),
                cap_days,
            );
        }
    }
    let seq = snapshot.seq;
    world.sources[at].rolling.insert(seq);
    world.sources[at].snapshots.push(snapshot);
    world.tally.snapshots += 1;
    world.note(|| format!("source {at}: {seq} is complete, promised until {promise}"));
}
