//! What an input becomes when its plan has been carried out.

use shared::retention::{
    LockAhead, ObjectInput, ObjectState, ObjectVerdict, Plan, PlanInput, Policy, SnapshotState,
};

pub fn apply(input: &PlanInput, plan: &Plan) -> PlanInput {
    let mut after = input.clone();
    for (source, planned) in after.sources.iter_mut().zip(&plan.sources) {
        for (snapshot, verdict) in source.snapshots.iter_mut().zip(&planned.snapshots) {
            if !verdict.keeps() {
                snapshot.state = SnapshotState::Expired;
            }
        }
        let mut objects = Vec::new();
        for (object, verdict) in source.objects.drain(..).zip(&planned.objects) {
            match verdict {
                ObjectVerdict::Delete => {}
                ObjectVerdict::Refresh { until, .. } => {
                    objects.push(ObjectInput {
                        locked_until: Some(*until),
                        ..object
                    });
                }
                ObjectVerdict::Copy { until, .. } => {
                    objects.push(ObjectInput {
                        locked_until: Some(*until),
                        ..object
                    });
                    // The old version waits for its lock's end.
                    let state = ObjectState::Deleting;
                    objects.push(ObjectInput {
                        born: None,
                        dropped: None,
                        state,
                        ..object
                    });
                }
                _ => objects.push(object),
            }
        }
        source.objects = objects;
    }
    after
}

/// One source alone, with Q given.
pub fn alone(input: &PlanInput, source: usize, lock_ahead_days: u32) -> PlanInput {
    PlanInput {
        policy: Policy {
            lock_ahead: LockAhead::Days(lock_ahead_days),
            ..input.policy.clone()
        },
        sources: vec![input.sources[source].clone()],
        ..*input
    }
}
