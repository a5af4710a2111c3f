//! A saboteur: takes a right plan and changes one thing in it, each of the ways in turn. Whatever he does makes the plan less
//! safe, or lets something leak, or makes it say what is not so; what would be harmless he leaves alone.

use jiff::{SignedDuration, Timestamp};
use shared::retention::{
    KeepReason, LockAhead, Need, NeedKind, ObjectVerdict, Plan, PlanInput, SnapshotPlan, SnapshotState,
    SourceInput, SourcePlan,
};

use super::{oracle, random::Random, support::hours};

/// What he did, and the plan that he leaves behind.
pub type Sabotage = (String, Plan);

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Everything that can be done to the plan of a case.
pub fn all(input: &PlanInput, plan: &Plan, now: Timestamp, random: &mut Random) -> Vec<Sabotage> {
    let mut found = Vec::new();
    for at in 0..plan.sources.len() {
        let mut put = |what: String, change: &dyn Fn(&mut Plan)| {
            let mut changed = plan.clone();
            change(&mut changed);
            if changed != *plan {
                found.push((format!("source {at}: {what}"), changed));
            }
        };
        shapes(plan, at, &mut put);
        lock_ahead(input, at, &mut put);
        for place in 0..plan.sources[at].snapshots.len() {
            for (what, snapshot) in snapshots(&input.sources[at], plan, at, place) {
                put(what, &|plan| plan.sources[at].snapshots[place] = snapshot.clone());
            }
        }
        for place in 0..plan.sources[at].objects.len() {
            let verdict = plan.sources[at].objects[place];
            for (what, changed) in objects(input, &plan.sources[at], (at, place), now) {
                let what = format!("{what}: object {place}, {verdict:?} → {changed:?}");
                put(what, &|plan| plan.sources[at].objects[place] = changed);
            }
            let other = random.place(plan.sources[at].objects.len());
            if tells_apart(verdict, plan.sources[at].objects[other]) {
                put(format!("swap {place} and {other}"), &|plan| {
                    plan.sources[at].objects.swap(place, other);
                });
            }
        }
    }
    found
}

fn shapes(plan: &Plan, at: usize, put: &mut impl FnMut(String, &dyn Fn(&mut Plan))) {
    put("is dropped".into(), &|plan| drop(plan.sources.remove(at)));
    put("is there twice".into(), &|plan| {
        plan.sources.push(plan.sources[at].clone());
    });
    let source = &plan.sources[at];
    if !source.objects.is_empty() {
        put("one object less".into(), &|plan| {
            plan.sources[at].objects.truncate(source.objects.len() - 1);
        });
    }
    if !source.snapshots.is_empty() {
        put("one snapshot less".into(), &|plan| {
            plan.sources[at].snapshots.truncate(source.snapshots.len() - 1);
        });
        put("one snapshot more".into(), &|plan| {
            let snapshot = plan.sources[at].snapshots[0].clone();
            plan.sources[at].snapshots.push(snapshot);
        });
    }
    put("one object more".into(), &|plan| {
        plan.sources[at].objects.push(ObjectVerdict::Hold { need: None });
    });
}

/// Another Q than the policy's, or one out of the range of an automatic one.
fn lock_ahead(input: &PlanInput, at: usize, put: &mut impl FnMut(String, &dyn Fn(&mut Plan))) {
    let interval = input.sources[at]
        .interval
        .map_or(0, |interval| interval.as_secs());
    let lowest = u32::try_from((interval + 86_399) / 86_400).unwrap().max(1);
    let highest = lowest.max(input.policy.longest_retention_days().min(90));
    let wrong = match input.policy.lock_ahead {
        LockAhead::Days(days) => [days - 1, days + 1, 0],
        LockAhead::Auto => [lowest - 1, highest + 1, u32::MAX],
    };
    for days in wrong {
        put(format!("Q = {days}"), &|plan| {
            plan.sources[at].lock_ahead_days = days;
        });
    }
}

fn snapshots(source: &SourceInput, plan: &Plan, at: usize, place: usize) -> Vec<(String, SnapshotPlan)> {
    let right = &plan.sources[at].snapshots[place];
    let mut found = Vec::new();
    let mut put = |what: &str, change: &dyn Fn(&mut SnapshotPlan)| {
        let mut changed = right.clone();
        change(&mut changed);
        found.push((format!("snapshot {place}: {what}"), changed));
    };
    let reasons = [
        KeepReason::WithinRetention,
        KeepReason::StoredPromise,
        KeepReason::Tier,
        KeepReason::LastGood,
        KeepReason::Pinned,
        KeepReason::Frozen,
    ];
    for reason in reasons {
        if right.reasons.contains(&reason) {
            put("a reason less", &|snapshot| {
                snapshot.reasons.retain(|other| *other != reason);
            });
        } else {
            put("a reason more", &|snapshot| {
                snapshot.reasons.push(reason);
                snapshot.reasons.sort_unstable();
            });
        }
    }
    put("given up", &|snapshot| snapshot.reasons.clear());
    put("protected for less", &|snapshot| {
        snapshot.protected_until -= SECOND;
    });
    put("protected for longer", &|snapshot| {
        snapshot.protected_until += SECOND;
    });
    if source.snapshots[place].state == SnapshotState::Expired {
        put("revived", &|snapshot| {
            snapshot.reasons = vec![KeepReason::WithinRetention];
        });
    }
    found
}

/// Whether it matters which of two objects has which verdict.
fn tells_apart(one: ObjectVerdict, other: ObjectVerdict) -> bool {
    use ObjectVerdict::{AddAgain, AwaitUnlock, Copy, Hold, Refresh};
    let until = |verdict: ObjectVerdict| verdict.need().map(|need| need.until);
    let same_kind = std::mem::discriminant(&one) == std::mem::discriminant(&other);
    match (one, other) {
        (AwaitUnlock { until: one }, AwaitUnlock { until: other }) => one != other,
        (Refresh { until: one, .. }, Refresh { until: other, .. })
        | (Copy { until: one, .. }, Copy { until: other, .. })
            if one != other =>
        {
            true
        }
        // What may be added again for a tier may be left as it is instead.
        (Hold { need: Some(_) }, AddAgain { .. }) | (AddAgain { .. }, Hold { need: Some(_) }) => {
            until(one) != until(other)
        }
        // What may be added again may be refreshed instead, and is asked for by the same need.
        (Refresh { .. } | Copy { .. } | AddAgain { .. }, Refresh { .. } | Copy { .. } | AddAgain { .. }) => {
            until(one) != until(other)
        }
        _ => !same_kind || until(one) != until(other),
    }
}

fn objects(
    input: &PlanInput,
    plan: &SourcePlan,
    (at, place): (usize, usize),
    now: Timestamp,
) -> Vec<(&'static str, ObjectVerdict)> {
    use ObjectVerdict::{AddAgain, AwaitUnlock, Copy, Delete, Hold, Refresh};
    let verdict = plan.objects[place];
    let source = &input.sources[at];
    let object = &source.objects[place];
    let lock = object.locked_until;
    let ahead = hours(24 * u64::from(input.policy.lock_cap_days));
    let cap = Timestamp::from_second(now.as_second())
        .unwrap()
        .checked_add(ahead)
        .unwrap_or(Timestamp::MAX);
    let extend = |need, until| {
        if input.provider.can_extend {
            Refresh { need, until }
        } else {
            Copy { need, until }
        }
    };
    let mut found = vec![("deleted", Delete), ("nobody's", Hold { need: None })];
    found.extend(lock.map(|until| ("left to unlock", AwaitUnlock { until })));
    found.push((
        "waits for another date",
        AwaitUnlock {
            until: now + hours(1),
        },
    ));
    match verdict {
        Hold { need: Some(need) } => {
            found.push((
                "a lock that suffices is moved",
                extend(need, lock.unwrap_or(need.until).max(need.until)),
            ));
            found.push(("a lock that suffices is shortened", extend(need, need.until)));
            if !oracle::may_wait_for_tier(input, source, object, now) {
                let kind = NeedKind::Upcoming;
                found.push((
                    "added again for nothing",
                    AddAgain {
                        need: Need { kind, ..need },
                    },
                ));
            }
            found.push((
                "its need is made smaller",
                Hold {
                    need: Some(earlier(need)),
                },
            ));
            found.push((
                "its need is made larger",
                Hold {
                    need: Some(later(need)),
                },
            ));
        }
        Hold { need: None } | AwaitUnlock { .. } | Delete => {
            for kind in [NeedKind::Protection, NeedKind::Upcoming] {
                let need = Need { until: cap, kind };
                found.push(("a need is made up", Hold { need: Some(need) }));
                found.push(("locked for nothing", extend(need, cap)));
                found.push(("added again, needed by nobody", AddAgain { need }));
            }
        }
        Refresh { need, until } | Copy { need, until } => {
            found.push(("left too short", Hold { need: Some(need) }));
            found.push(("a second too short", extend(need, need.until - SECOND)));
            found.push(("a fraction", extend(need, until - SignedDuration::from_millis(1))));
            found.push(("beyond the cap", extend(need, cap + SECOND)));
            let reach = hours(24 * u64::from(plan.lock_ahead_days));
            found.push(("beyond Q", extend(need, need.until + reach + SECOND)));
            found.push(("as far as the need and no further", extend(need, need.until)));
            found.push(("a second further", extend(need, until + SECOND)));
            found.push(("a smaller need", extend(earlier(need), until)));
            found.push(("a larger need", extend(later(need), until)));
            let other = if input.provider.can_extend {
                Copy { need, until }
            } else {
                Refresh { need, until }
            };
            found.push(("not within the provider's power", other));
            if !oracle::may_wait(input, source, object, now) {
                found.push((
                    "added again too late",
                    AddAgain {
                        need: Need {
                            kind: NeedKind::Upcoming,
                            ..need
                        },
                    },
                ));
            }
            if need.kind != NeedKind::Upcoming {
                found.push(("added again for another need", AddAgain { need }));
            }
        }
        AddAgain { need } => {
            if lock < Some(need.until) {
                found.push(("left too short", Hold { need: Some(need) }));
            } else {
                found.push(("its lock suffices, and is moved", extend(need, cap)));
            }
            found.push(("a smaller need", AddAgain { need: earlier(need) }));
            found.push(("a second too short", extend(need, need.until - SECOND)));
        }
    }
    // What he happens to have left as it was is no sabotage.
    found.retain(|(_, changed)| *changed != verdict);
    found
}

fn earlier(need: Need) -> Need {
    Need {
        until: need.until - SECOND,
        ..need
    }
}

fn later(need: Need) -> Need {
    Need {
        until: need.until + SECOND,
        ..need
    }
}
