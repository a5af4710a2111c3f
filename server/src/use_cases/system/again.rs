//! Runs that are queued again: what failed for the store's or the network's sake is tried again with growing pauses, until the
//! schedule's own next run.

use jiff::{SignedDuration, Timestamp};
use shared::{ids::RunId, text};

use crate::{
    db::{self, DbError, TenantTx, runs::Run, sources::Source},
    random,
};

/// The pause before the first run that is queued again; it doubles with each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// And at most.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(15);
/// How many are queued again where no schedule brings the next one: about a day of them.
const MOST_UNSCHEDULED: u32 = 100;

/// When a run is tried again after so many runs, at least one, failed in a row; `None` when it is not, since the schedule's next run
/// comes as soon, or since no schedule brings an end.
#[must_use]
pub fn at(failed: u32, next_due: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let doublings = failed.saturating_sub(1).min(16);
    let at = now + (FIRST_PAUSE * (1_i32 << doublings)).min(LONGEST_PAUSE);
    match next_due {
        Some(due) => Some(at).filter(|at| *at < due),
        None => Some(at).filter(|_| failed <= MOST_UNSCHEDULED),
    }
}

/// Queues the run again that has just failed and was saved. The source's row must be locked. `None` when it is not queued again.
///
/// # Errors
/// When the database does not answer.
pub async fn queue(
    tx: &TenantTx,
    source: &Source,
    failed: &Run,
    now: Timestamp,
) -> Result<Option<Run>, DbError> {
    let retries = failed.retries.saturating_add(1);
    let Some(not_before) = at(retries, source.next_due, now).filter(|_| source.retired_at.is_none()) else {
        return Ok(None);
    };
    if db::runs::open_of_source(tx, source.id).await?.is_some() {
        return Ok(None);
    }
    let reason = failed.error.as_deref().unwrap_or("no reason was given");
    let run = Run {
        not_before: Some(not_before),
        retries,
        error: Some(text::shown(&format!("The run before this one failed: {reason}"))),
        ..Run::queued(RunId::from_uuid(random::uuid(now)), source.id, now)
    };
    db::runs::add(tx, &run).await?;
    Ok(Some(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    #[test]
    fn pauses_grow_to_a_quarter_of_an_hour_and_end_before_the_next_run_is_due() {
        let pause = |failed, due: Option<i64>| {
            at(failed, due.map(moment), moment(0)).map(|at| at.duration_since(moment(0)).as_secs())
        };
        let week = 7 * 24 * 3_600;
        let pauses: Vec<_> = (1..=8).map(|failed| pause(failed, Some(week))).collect();
        let expected = [30, 60, 120, 240, 480, 900, 900, 900].map(Some);
        assert_eq!(pauses, expected);
        assert_eq!(pause(50_000, Some(week)), Some(900));
        assert_eq!(pause(4, Some(241)), Some(240));
        // The schedule's own run comes as soon.
        assert_eq!(pause(4, Some(240)), None);
        assert_eq!(pause(1, Some(-5)), None);
        assert_eq!(pause(100, None), Some(900));
        assert_eq!(pause(101, None), None);
    }
}
