//! How much changes between two runs, in whole pieces, with nothing lost to rounding.

use super::{
    calendar::{DAY, Secs},
    workload::Workload,
};

/// What a run finds changed since the run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// Pieces that are no longer there.
    pub deaths: u64,
    /// Pieces that are new without replacing one.
    pub growth: u64,
}

/// Keeps what is left of a piece from run to run.
pub(super) struct Flow {
    /// Growth in millionths of a piece a day, churn in billionths a day.
    growth: u128,
    churn: u128,
    growth_rest: u128,
    churn_rest: u128,
    last: Option<Secs>,
}

const MILLION: u128 = 1_000_000;
const BILLION: u128 = 1_000_000_000;

impl Flow {
    pub fn new(workload: &Workload) -> Self {
        let growth = workload.growth_objects_per_day * f64::from(workload.pieces_per_object);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "validated: neither negative nor large"
        )]
        let whole = |part: f64, scale: f64| (part * scale).round() as u128;
        Self {
            growth: whole(growth, 1e6),
            churn: whole(workload.churn_per_day, 1e9),
            growth_rest: 0,
            churn_rest: 0,
            last: None,
        }
    }

    /// What has changed at `now`, of `pieces` that were in use; `None` at the first run.
    pub fn next(&mut self, now: Secs, pieces: u64) -> Option<Change> {
        let passed = self.last.map(|last| u128::from(now.abs_diff(last)));
        self.last = Some(now);
        let passed = passed?;
        let day = u128::from(DAY.unsigned_abs());
        let take = |rest: &mut u128, amount: u128, scale: u128| {
            *rest += amount;
            let whole = *rest / scale;
            *rest %= scale;
            u64::try_from(whole).unwrap_or(u64::MAX)
        };
        let growth = take(&mut self.growth_rest, self.growth * passed, MILLION * day);
        let churned = u128::from(pieces) * self.churn * passed;
        let deaths = take(&mut self.churn_rest, churned, BILLION * day);
        Some(Change {
            deaths: deaths.min(pieces),
            growth,
        })
    }
}
