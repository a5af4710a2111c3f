//! `check` finds whatever a saboteur does.

use proptest::prelude::*;
use shared::retention::{Violation, ViolationKind, check, plan};

use super::{arbitrary::inputs, random::Random, sabotage, support::cases};

proptest! {
    #![proptest_config(cases(2_000))]

    /// Each change of one verdict towards less safety or towards a leak, in each place, is found, and found where it is.
    #[test]
    fn every_sabotage_is_found(case in inputs(true)) {
        let Ok(right) = plan(&case.input, case.now) else { return Ok(()) };
        let mut random = Random::new(case.seed);
        for (what, wrong) in sabotage::all(&case.input, &right, case.now, &mut random) {
            let found = check(&case.input, &wrong, case.now);
            prop_assert!(!found.is_empty(), "not found: {}", what);
            // And told by its name: a snapshot that is lost is not merely misread.
            let is = |kind: fn(&ViolationKind) -> bool| found.iter().any(|violation| kind(&violation.kind));
            if what.ends_with("given up") {
                prop_assert!(is(|kind| matches!(kind, ViolationKind::SnapshotLost { .. })), "{}: {:?}", what, found);
            }
            if what.ends_with("revived") {
                prop_assert!(is(|kind| matches!(kind, ViolationKind::SnapshotLeaked { .. })), "{}: {:?}", what, found);
            }
            // The date with a fraction is the same to S3; everything else that stands is untouched.
            if wrong.sources.len() == right.sources.len() {
                let changed = right.sources.iter().zip(&wrong.sources).position(|(right, wrong)| right != wrong);
                prop_assert!(found.iter().all(|violation| Some(violation.source) == changed), "{}: {:?}", what, found);
            }
        }
    }
}

/// A reader of a log must be able to tell what is wrong with what.
#[test]
fn violations_say_where_and_what() {
    use ViolationKind as Kind;
    let say = |kind| Violation { source: 3, kind }.to_string();
    let all = [
        (Kind::Shape, "sources[3]: the plan does not match the input"),
        (
            Kind::LockAhead { days: 8 },
            "sources[3]: a look-ahead of 8 days is not the policy's",
        ),
        (
            Kind::SnapshotLost { snapshot: 1 },
            "sources[3].snapshots[1]: expires, but must be kept",
        ),
        (
            Kind::SnapshotLeaked { snapshot: 1 },
            "sources[3].snapshots[1]: kept without a reason",
        ),
        (
            Kind::SnapshotMisread { snapshot: 1 },
            "sources[3].snapshots[1]: its protection or its reasons are wrong",
        ),
        (
            Kind::DeletesNeeded { object: 2 },
            "sources[3].objects[2]: deleted, but needed",
        ),
        (
            Kind::DeletesFrozen { object: 2 },
            "sources[3].objects[2]: deleted while an anomaly is open",
        ),
        (
            Kind::DeletesLocked { object: 2 },
            "sources[3].objects[2]: deleted, but locked",
        ),
        (
            Kind::LockTooShort { object: 2 },
            "sources[3].objects[2]: locked too short, and left so",
        ),
        (
            Kind::BadDate { object: 2 },
            "sources[3].objects[2]: the new lock date is wrong",
        ),
        (
            Kind::NotPossible { object: 2 },
            "sources[3].objects[2]: this can not be done with it",
        ),
        (
            Kind::ObjectLeaked { object: 2 },
            "sources[3].objects[2]: kept, but nobody needs it",
        ),
        (
            Kind::ObjectMisread { object: 2 },
            "sources[3].objects[2]: names a wrong need or date",
        ),
    ];
    for (kind, text) in all {
        assert_eq!(say(kind), text);
    }
}
