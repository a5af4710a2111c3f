//! The laws that every plan obeys, on arbitrary inputs.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::retention::{
    ObjectInput, ObjectState, ObjectVerdict, PlanError, PlanInput, Policy, PolicyError, SourcePlan, check,
    due, plan,
};

use super::{
    apply::{alone, apply},
    arbitrary::{Case, inputs},
    oracle,
    random::Random,
    support::cases,
    support::hours,
};

fn planned(case: &Case) -> Vec<SourcePlan> {
    plan(&case.input, case.now).unwrap().sources
}

proptest! {
    #![proptest_config(cases(3_000))]

    /// Section 5 of the design, read by somebody else, gives the same plan: reasons, needs, dates, Q and refusals.
    #[test]
    fn a_second_reader_plans_the_same(case in inputs(true)) {
        let Case { input, now, .. } = &case;
        let expected: Option<Vec<_>> =
            input.sources.iter().map(|source| oracle::plan_one(input, source, *now)).collect();
        match plan(input, *now) {
            Ok(plan) => prop_assert_eq!(Some(&plan.sources), expected.as_ref()),
            Err(error) => {
                prop_assert!(matches!(error, PlanError::Policy(PolicyError::BeyondCap { .. })), "{}", error);
                prop_assert_eq!(None, expected);
            }
        }
    }

    /// `check` finds nothing in what `plan` says, and one verdict stands for each snapshot and each object.
    #[test]
    fn check_agrees_with_plan(case in inputs(true)) {
        let Ok(plan) = plan(&case.input, case.now) else { return Ok(()) };
        prop_assert_eq!(check(&case.input, &plan, case.now), vec![]);
        for (source, planned) in case.input.sources.iter().zip(&plan.sources) {
            prop_assert_eq!(source.objects.len(), planned.objects.len());
            prop_assert_eq!(source.snapshots.len(), planned.snapshots.len());
        }
    }

    /// Once carried out, a plan leaves nothing to do at the same instant but wishes, and `check` finds nothing.
    #[test]
    fn a_plan_carried_out_leaves_nothing_to_do(case in inputs(false)) {
        let first = plan(&case.input, case.now).unwrap();
        let after = apply(&case.input, &first);
        let again = plan(&after, case.now).unwrap();
        prop_assert_eq!(check(&after, &again, case.now), vec![]);
        for (at, before) in first.sources.iter().enumerate() {
            // Q as it was: an automatic one is reckoned from a ledger of which a part is now gone.
            let input = alone(&after, at, before.lock_ahead_days);
            let again = plan(&input, case.now).unwrap().sources.remove(0);
            prop_assert_eq!(check(&input, &plan(&input, case.now).unwrap(), case.now), vec![]);
            for verdict in &again.objects {
                let idle = matches!(
                    verdict,
                    ObjectVerdict::Hold { .. } | ObjectVerdict::AddAgain { .. } | ObjectVerdict::AwaitUnlock { .. }
                );
                // The version that a copy replaced may have been unlocked all the while.
                let replaced = !case.input.provider.can_extend && *verdict == ObjectVerdict::Delete;
                prop_assert!(idle || replaced, "{:?}", verdict);
            }
            // What has just been refreshed for what is needed now may be worth adding again for the next tier: one wish more, and
            // none for what falls short.
            let wishes = |objects: &[ObjectInput], plan: &SourcePlan| {
                let pairs = objects.iter().zip(&plan.objects);
                let is_wish = |(object, verdict): &(&ObjectInput, &ObjectVerdict)| match verdict {
                    ObjectVerdict::AddAgain { need } => object.locked_until < Some(need.until),
                    _ => false,
                };
                pairs.filter(is_wish).count()
            };
            prop_assert_eq!(wishes(&case.input.sources[at].objects, before), wishes(&input.sources[0].objects, &again));
            for ((snapshot, before), again) in
                input.sources[0].snapshots.iter().zip(&before.snapshots).zip(&again.snapshots)
            {
                prop_assert_eq!(before, again, "snapshot {}", snapshot.seq);
            }
        }
    }

    /// A lock only ever moves to a later date, in whole seconds and within the cap.
    #[test]
    fn locks_only_grow(case in inputs(true)) {
        let Ok(plan) = plan(&case.input, case.now) else { return Ok(()) };
        let whole = Timestamp::from_second(case.now.as_second()).unwrap();
        let cap = hours(24 * u64::from(case.input.policy.lock_cap_days));
        let cap = whole.checked_add(cap).unwrap_or(Timestamp::MAX);
        for (source, planned) in case.input.sources.iter().zip(&plan.sources) {
            for (object, verdict) in source.objects.iter().zip(&planned.objects) {
                if let ObjectVerdict::Refresh { need, until } | ObjectVerdict::Copy { need, until } = verdict {
                    prop_assert!(object.locked_until.is_none_or(|lock| lock < *until));
                    prop_assert!(need.until <= *until && *until <= cap);
                    prop_assert_eq!(until.subsec_nanosecond(), 0);
                }
            }
        }
    }

    /// Nothing that is locked, unknown, or of an open run is deleted, whatever else is said of it.
    #[test]
    fn the_untouchable_is_not_touched(case in inputs(false)) {
        for (source, planned) in case.input.sources.iter().zip(planned(&case)) {
            for (object, verdict) in source.objects.iter().zip(planned.objects) {
                let of_run = object.state == ObjectState::Pending && source.open_run;
                let untouchable = object.locked_until.is_none_or(|lock| lock >= case.now)
                    || object.state == ObjectState::Unknown
                    || of_run;
                prop_assert!(!untouchable || verdict != ObjectVerdict::Delete);
            }
        }
    }

    /// The order of the objects and of the sources does not matter, and each source is planned by itself.
    #[test]
    fn order_and_company_do_not_matter(case in inputs(false)) {
        let plans = planned(&case);
        let mut random = Random::new(case.seed);
        for (source, expected) in case.input.sources.iter().zip(&plans) {
            let mut order: Vec<usize> = (0..source.objects.len()).collect();
            for place in (1..order.len()).rev() {
                order.swap(place, random.place(place + 1));
            }
            let mut shuffled = source.clone();
            shuffled.objects = order.iter().map(|place| source.objects[*place]).collect();
            let input = PlanInput { sources: vec![shuffled], ..case.input.clone() };
            let got = plan(&input, case.now).unwrap().sources.remove(0);
            let expected_objects: Vec<_> = order.iter().map(|place| expected.objects[*place]).collect();
            prop_assert_eq!(&got.objects, &expected_objects);
            prop_assert_eq!(&got.snapshots, &expected.snapshots);
            prop_assert_eq!(got.lock_ahead_days, expected.lock_ahead_days);
        }
        let mut turned = case.clone();
        turned.input.sources.reverse();
        let mut got = planned(&turned);
        got.reverse();
        prop_assert_eq!(got, plans);
    }

    /// Outside `due` nothing is done; and what is inside is planned the same when nothing else is fetched.
    #[test]
    fn due_holds_all_that_there_is_to_do(case in inputs(false)) {
        for (at, plan_of_all) in planned(&case).into_iter().enumerate() {
            let mut part = alone(&case.input, at, plan_of_all.lock_ahead_days);
            let bounds = due(&case.input.policy, &case.input.sources[at], case.now);
            let newest = part.sources[0].snapshots.last().map(|snapshot| snapshot.seq);
            prop_assert_eq!(bounds.newest_known, newest);
            prop_assert!(bounds.kept.iter().all(|(_, date)| *date <= bounds.latest) && bounds.latest >= case.now);
            let mut inside = Vec::new();
            for (object, verdict) in part.sources[0].objects.iter().zip(&plan_of_all.objects) {
                if bounds.contain(object) {
                    inside.push(*verdict);
                } else {
                    let idle = matches!(verdict, ObjectVerdict::Hold { .. } | ObjectVerdict::AwaitUnlock { .. });
                    prop_assert!(idle, "{:?} outside", verdict);
                }
                // And not much more than there is to do.
                let waits = matches!(verdict, ObjectVerdict::AwaitUnlock { until } if *until >= bounds.open_run);
                prop_assert!(!(waits && bounds.contain(object)));
                let held = matches!(verdict, ObjectVerdict::Hold { need: Some(_) });
                let pending = object.state == ObjectState::Pending;
                let before_tier =
                    object.locked_until < oracle::next_tier(&case.input.policy, &case.input.sources[at], case.now);
                let at_rest = !held || pending || before_tier;
                prop_assert!(at_rest || !bounds.contain(object), "{:?} held, but due", object);
            }
            part.sources[0].objects.retain(|object| bounds.contain(object));
            prop_assert_eq!(plan(&part, case.now).unwrap().sources.remove(0).objects, inside);
        }
    }

    /// More promises never make a need smaller: a longer N, a larger keep_last, a pin, a source that is taken up again.
    #[test]
    fn more_is_never_less(case in inputs(false)) {
        let mut more = case.clone();
        let mut random = Random::new(case.seed);
        let longer = case.input.policy.retention_days + random.days(0, 9);
        more.input.policy = Policy {
            retention_days: longer,
            keep_last: case.input.policy.keep_last + random.days(0, 2),
            grace_hours: case.input.policy.grace_hours + random.days(0, 30),
            ..case.input.policy.clone()
        };
        for source in &mut more.input.sources {
            for snapshot in &mut source.snapshots {
                snapshot.pinned |= random.percent(10);
            }
            source.retired &= random.percent(50);
        }
        for (less, more) in planned(&case).iter().zip(planned(&more)) {
            for (less, more) in less.snapshots.iter().zip(&more.snapshots) {
                prop_assert!(less.protected_until <= more.protected_until && (!less.keeps() || more.keeps()));
            }
            for (less, more) in less.objects.iter().zip(&more.objects) {
                let until = |verdict: &ObjectVerdict| verdict.need().map(|need| need.until);
                prop_assert!(until(less) <= until(more));
            }
        }
    }

    /// Dates at both ends of time, numbers at both ends of their range: an answer or an error, and no panic.
    #[test]
    fn nothing_panics(case in inputs(true)) {
        let mut case = case;
        let mut random = Random::new(case.seed);
        let ends = [
            Timestamp::MIN,
            Timestamp::MAX,
            Timestamp::UNIX_EPOCH,
            "9999-12-30T22:00:00Z".parse().unwrap(),
            "1969-12-31T23:59:59.999999999Z".parse().unwrap(),
        ];
        for source in &mut case.input.sources {
            if random.percent(30) {
                source.interval = Some(random.pick(&[SignedDuration::MAX, SignedDuration::from_nanos(1)]));
            }
            if random.percent(30) {
                source.next_due = Some(random.pick(&ends));
            }
            for snapshot in &mut source.snapshots {
                if random.percent(20) {
                    snapshot.received_at = random.pick(&ends);
                }
                if random.percent(20) {
                    snapshot.protected_until = Some(random.pick(&ends));
                }
            }
            for object in &mut source.objects {
                if random.percent(20) {
                    object.locked_until = Some(random.pick(&ends));
                }
                if random.percent(10) {
                    (object.bytes, object.live_bytes) = (u64::MAX, u64::MAX);
                }
            }
            let bounds = due(&case.input.policy, source, case.now);
            let _ = source.objects.iter().filter(|object| bounds.contain(object)).count();
        }
        let now = if random.percent(50) { case.now } else { random.pick(&ends) };
        if let Ok(plan) = plan(&case.input, now) {
            let _ = check(&case.input, &plan, now);
        }
    }
}
