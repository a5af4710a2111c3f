//! The server's sweep: plan, check, carry out against the bucket; and, where no run is open, groom.

use jiff::{SignedDuration, Timestamp};
use shared::retention::{
    LockAhead, ObjectState, ObjectVerdict, Plan, PlanInput, Policy, Soundness, SourcePlan, check, plan,
    tiers_at_end,
};

use super::{
    bucket::Refusal,
    promises,
    world::{Row, RowId, World},
};

/// A sweep, half of the time a groom run with it, which may break off and be begun anew.
pub fn sweep(world: &mut World) {
    let grooms = world.random.percent(50);
    if world.random.percent(5) {
        let most = world.random.place(10);
        run(world, grooms, most);
    }
    run(world, grooms, usize::MAX);
    world.last_sweep = world.time;
    world.sweep_by = world.time + world.policy.sweep_every();
}

/// A sweep and a groom run of everything, now.
pub fn groom(world: &mut World) {
    run(world, true, usize::MAX);
}

/// Carries out the first `most` verdicts on objects; all of it unless that is few.
fn run(world: &mut World, grooms: bool, most: usize) {
    confirm(world);
    end_periods(world);
    let (plan, ids) = planned(world);
    let mut done = 0;
    for (at, ids) in ids.iter().enumerate() {
        let fenced = world.sources[at].run.is_some() || world.sources[at].locking.is_some();
        let grooms = grooms && !fenced;
        let planned = &plan.sources[at];
        if grooms {
            expire(world, at, planned);
        }
        world.sources[at].do_not_reuse.clear();
        for (id, verdict) in ids.iter().zip(&planned.objects) {
            if done == most {
                world.note(|| "the sweep breaks off".to_owned());
                return;
            }
            done += 1;
            carry_out(world, at, *id, verdict, grooms);
        }
        promote(world, at, planned);
        promises::roll(world, at);
        world.sources[at].lock_ahead_days = planned.lock_ahead_days;
    }
    promises::after_sweep(world);
    for at in 0..world.sources.len() {
        if grooms && world.sources[at].run.is_none() && world.sources[at].locking.is_none() {
            promises::after_groom(world, at);
        }
    }
    nothing_is_left_to_do(world);
}

/// HEAD what the ledger does not know, most of the time.
fn confirm(world: &mut World) {
    for source in &mut world.sources {
        for row in source.rows.iter_mut().flatten() {
            if row.locked_until.is_none() && world.random.percent(60) {
                row.locked_until = world.bucket.lock(row.version);
            }
        }
    }
}

/// What periods give whose snapshots nobody has judged.
fn end_periods(world: &mut World) {
    for at in 0..world.sources.len() {
        let (input, _) = world.sources[at].input();
        for (seq, tiers) in tiers_at_end(&world.policy, &input.snapshots, world.now()).unwrap() {
            let mut snapshots = world.sources[at].snapshots.iter_mut();
            let snapshot = snapshots.find(|snapshot| snapshot.seq == seq.get()).unwrap();
            if snapshot.expired || snapshot.soundness != Soundness::Undecided {
                world.fail(&format!("source {at}: {seq} is given {tiers:?}"));
            }
            snapshot.tiers.extend(&tiers);
            snapshot.tiers.sort_unstable();
            world.tally.late_tiers += 1;
            world.note(|| format!("source {at}: {seq} is given {tiers:?} as its period has ended"));
        }
    }
}

fn planned(world: &World) -> (Plan, Vec<Vec<RowId>>) {
    let (input, ids) = world.input();
    let plan = match plan(&input, world.now()) {
        Ok(plan) => plan,
        Err(error) => world.fail(&format!("no plan: {error}")),
    };
    let violations = check(&input, &plan, world.now());
    if !violations.is_empty() {
        world.fail(&format!("check: {violations:?} in {input:#?} {plan:#?}"));
    }
    (plan, ids)
}

fn expire(world: &mut World, at: usize, planned: &SourcePlan) {
    for (place, verdict) in planned.snapshots.iter().enumerate() {
        let snapshot = &world.sources[at].snapshots[place];
        if verdict.keeps() || snapshot.expired {
            continue;
        }
        promises::may_expire(world, at, snapshot);
        let seq = snapshot.seq;
        world.sources[at].snapshots[place].expired = true;
        world.tally.expiries += 1;
        world.note(|| format!("source {at}: {seq} expires"));
    }
}

fn carry_out(world: &mut World, at: usize, id: RowId, verdict: &ObjectVerdict, grooms: bool) {
    match verdict {
        ObjectVerdict::Hold { .. } | ObjectVerdict::AwaitUnlock { .. } => {}
        ObjectVerdict::Refresh { until, .. } | ObjectVerdict::Copy { until, .. } => {
            let extends = matches!(verdict, ObjectVerdict::Refresh { .. });
            if extends != world.provider.can_extend {
                world.fail(&format!("row {id}: {verdict:?} from a provider that cannot"));
            }
            promises::reaches_no_further(world, at, id, *until);
            set_lock(world, at, id, *until, world.policy.lock_cap_days);
        }
        ObjectVerdict::AddAgain { .. } => {
            world.tally.wishes += 1;
            world.sources[at].do_not_reuse.insert(id);
        }
        ObjectVerdict::Delete if grooms => delete(world, at, id),
        ObjectVerdict::Delete => {}
    }
}

/// `deleting` is committed first; then S3 is called, if the server still stands.
fn delete(world: &mut World, at: usize, id: RowId) {
    promises::may_delete(world, at, id);
    world.sources[at].row_mut(id).state = ObjectState::Deleting;
    world.note(|| format!("source {at}: deletes row {id}"));
    if world.random.percent(3) {
        return;
    }
    let (version, time) = (world.sources[at].row(id).version, world.time);
    match world.bucket.delete(version, time) {
        Ok(()) => {
            world.sources[at].rows[id] = None;
            world.tally.deletes += 1;
        }
        // The server's clock is a little ahead of S3's: later, then.
        Err(Refusal::Locked) if world.skew > SignedDuration::ZERO => {}
        Err(refusal) => world.fail(&format!("P4: row {id} is to be deleted: {refusal:?}")),
    }
}

/// Moves a lock, under a policy with this cap; where the provider cannot, the same bytes become a new version, and the old one waits for its end.
pub fn set_lock(world: &mut World, at: usize, id: RowId, until: Timestamp, cap_days: u32) {
    let cap = world.now() + SignedDuration::from_hours(24) * i32::try_from(cap_days).unwrap();
    if until > cap {
        world.fail(&format!("P8: row {id} locked until {until}, beyond the cap"));
    }
    let old = world.sources[at].row(id).clone();
    world.note(|| {
        format!(
            "source {at}: row {id} {old:?} locked until {until}",
            old = old.locked_until
        )
    });
    if world.provider.can_extend {
        let answer = world.bucket.extend(old.version, until);
        // A lock that the ledger had forgotten may reach further than what is asked for.
        if answer.is_err() && !(answer == Err(Refusal::WouldShorten) && old.locked_until.is_none()) {
            world.fail(&format!("row {id} is to be locked until {until}: {answer:?}"));
        }
        world.tally.refreshes += 1;
    } else {
        let version = world.bucket.put(until);
        let source = &mut world.sources[at];
        source.row_mut(id).version = version;
        let locked_until = world.bucket.lock(old.version);
        source.rows.push(Some(Row {
            locked_until,
            born: None,
            dropped: None,
            state: ObjectState::Deleting,
            ..old
        }));
        world.tally.copies += 1;
    }
    let row = world.sources[at].row_mut(id);
    row.locked_until = world.bucket.lock(row.version);
}

/// What a snapshot's tier, or a policy that was raised, gives it on top becomes a promise when S3 has confirmed it.
fn promote(world: &mut World, at: usize, planned: &SourcePlan) {
    for (place, verdict) in planned.snapshots.iter().enumerate() {
        let snapshot = &world.sources[at].snapshots[place];
        let date = verdict.protected_until;
        if snapshot.expired
            || !verdict.asks_for_locks()
            || snapshot.protected_until >= Some(date)
            || world.random.percent(50)
        {
            continue;
        }
        if snapshot
            .needs
            .iter()
            .any(|id| promises::lock(world, at, *id) < date)
        {
            world.fail(&format!(
                "snapshot {} was to be locked until {date}",
                snapshot.seq
            ));
        }
        let snapshot = &mut world.sources[at].snapshots[place];
        snapshot.protected_until = Some(date);
        snapshot.promised = snapshot.promised.max(date);
        world.tally.promotions += 1;
    }
}

/// The same instant again: the plan is right, and asks for nothing that was not asked for before.
fn nothing_is_left_to_do(world: &World) {
    planned(world);
    let (input, ids) = world.input();
    for (place, (source, ids)) in world.sources.iter().zip(ids).enumerate() {
        // Q as it was: an automatic one is reckoned from the ledger, of which the groom run has just deleted a part, and whether
        // adding again pays depends on it.
        let input = PlanInput {
            policy: Policy {
                lock_ahead: LockAhead::Days(source.lock_ahead_days),
                ..input.policy.clone()
            },
            sources: vec![input.sources[place].clone()],
            ..input
        };
        let plan = plan(&input, world.now()).unwrap();
        for (id, verdict) in ids.into_iter().zip(&plan.sources[0].objects) {
            match verdict {
                ObjectVerdict::AddAgain { .. } if source.do_not_reuse.contains(&id) => {}
                // What has just been refreshed for what is needed now, and is worth adding again for the next tier.
                ObjectVerdict::AddAgain { need } if source.row(id).locked_until >= Some(need.until) => {}
                ObjectVerdict::Refresh { .. }
                | ObjectVerdict::Copy { .. }
                | ObjectVerdict::AddAgain { .. } => {
                    world.fail(&format!(
                        "row {id}, planned again at the same instant: {verdict:?}"
                    ));
                }
                ObjectVerdict::Hold { .. } | ObjectVerdict::AwaitUnlock { .. } | ObjectVerdict::Delete => {}
            }
        }
    }
}
