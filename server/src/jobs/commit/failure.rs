//! Why a commit does not go through, whether that is believed at once, and what becomes of the run.

use jiff::{SignedDuration, Timestamp};
use shared::text;

use crate::{
    db::runs::Refusals,
    jobs::error::JobError,
    s3::S3Error,
    use_cases::system::confirm::{NotConfirmed, NotExtended},
};

/// A refusal of S3 is believed when tries in a row met one for so long,
const REFUSED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// and so many of them.
const REFUSALS_NEEDED: u32 = 4;
/// A commit is given up when it was received so long ago,
pub(in crate::jobs) const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// and so many tries have failed: pauses are a quarter of an hour at most, so that a server that was down for a day still tries for
/// about half of one.
const GIVE_UP_TRIES: i32 = 50;

/// Why a commit did not go through.
pub(super) enum Failure {
    /// The run can not become a snapshot; the reason is for the technician.
    Run(String),
    /// S3 says so now; it may say otherwise later.
    Refused(String),
    /// Try again.
    Passing(JobError),
}

impl<E: Into<JobError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Passing(error.into())
    }
}

impl Failure {
    /// As the job's error.
    pub(super) fn into_job_error(self) -> JobError {
        match self {
            Self::Run(reason) => JobError::GiveUp(reason),
            Self::Refused(reason) => JobError::Refused(text::shown(&reason)),
            Self::Passing(error) => error,
        }
    }
}

/// What becomes of a run whose commit did not go through.
#[derive(Debug)]
pub(super) enum Next {
    /// It ends, for this reason.
    End(String),
    /// The commit is tried again.
    Again {
        /// Why.
        error: JobError,
        /// The refusals of S3 that tries in a row have met.
        refusals: Option<Refusals>,
    },
}

/// What decides on it, besides the error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    /// The refusals that the tries before met.
    pub refusals: Option<Refusals>,
    /// When the commit was received.
    pub since: Timestamp,
    /// Tries, with this one.
    pub attempt: i32,
}

/// Decides. A clock that disagrees with the others says nothing of how long it has been: no run is given up by it.
pub(super) fn next(error: JobError, tries: Tries, now: Timestamp) -> Next {
    let refusals = match error {
        JobError::GiveUp(reason) => return Next::End(reason),
        JobError::Refused(ref reason) => {
            let refusals = Refusals::with(tries.refusals, now);
            let refused_for = now.duration_since(refusals.since);
            if refused_for >= REFUSED_FOR && refusals.count >= REFUSALS_NEEDED {
                return Next::End(reason.clone());
            }
            Some(refusals)
        }
        _ => None,
    };
    let is_timed = !matches!(error, JobError::ClocksDisagree(_));
    if is_timed && now.duration_since(tries.since) >= GIVE_UP_AFTER && tries.attempt >= GIVE_UP_TRIES {
        return Next::End(format!("Given up after 24 hours: {}", words(&error)));
    }
    Next::Again { error, refusals }
}

/// A store that cannot be asked now is asked again for as long as it takes; anything else it says is believed after a while.
pub(super) fn of_store(what: &str, error: S3Error) -> Failure {
    if error.is_passing() {
        Failure::Passing(JobError::store(format!("{what}: {error}")))
    } else {
        Failure::Refused(format!("{what}: {error}"))
    }
}

pub(super) fn of_extend(error: NotExtended) -> Failure {
    match error {
        NotExtended::Store(error) => of_store("A lock could not be extended", error),
        NotExtended::NotShown { .. } => Failure::Refused(format!("{error}.")),
    }
}

pub(super) fn of_confirm(error: NotConfirmed) -> Failure {
    match error {
        NotConfirmed::Store(error) => of_store("The locks could not be confirmed", error),
        other => Failure::Refused(format!("Not committed: {other}.")),
    }
}

/// What a person is told of an error.
pub(super) fn words(error: &JobError) -> String {
    let sentence = error.sentence();
    sentence.unwrap_or_else(|| "the server could not go on; its log says why".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn refused() -> JobError {
        JobError::Refused("denied.".to_owned())
    }

    fn store() -> JobError {
        JobError::store("no answer.")
    }

    fn clocks() -> JobError {
        JobError::ClocksDisagree("apart.".to_owned())
    }

    /// The decision at `secs` on a commit of moment 0: the reason of its end, or the count of its refusals.
    fn decided(
        error: JobError,
        refusals: Option<(i64, u32)>,
        attempt: i32,
        secs: i64,
    ) -> Result<u32, String> {
        let tries = Tries {
            refusals: refusals.map(|(since, count)| Refusals {
                since: at(since),
                count,
            }),
            since: at(0),
            attempt,
        };
        match next(error, tries, at(secs)) {
            Next::End(reason) => Err(reason),
            Next::Again { refusals, .. } => Ok(refusals.map_or(0, |refusals| refusals.count)),
        }
    }

    #[test]
    fn what_cannot_become_a_snapshot_ends_at_once() {
        let error = JobError::GiveUp("gone.".to_owned());
        assert_eq!(decided(error, None, 1, 0), Err("gone.".to_owned()));
    }

    #[test]
    fn a_refusal_is_believed_after_five_minutes_and_four_tries() {
        let end = Err("denied.".to_owned());
        assert_eq!(decided(refused(), None, 1, 0), Ok(1));
        assert_eq!(decided(refused(), Some((0, 3)), 4, 5 * MINUTE - 1), Ok(4));
        assert_eq!(decided(refused(), Some((0, 2)), 3, HOUR), Ok(3));
        assert_eq!(decided(refused(), Some((0, 3)), 4, 5 * MINUTE), end);
        // Another kind of error in between begins the count anew.
        assert_eq!(decided(store(), Some((0, 3)), 4, 5 * MINUTE), Ok(0));
    }

    #[test]
    fn a_commit_is_given_up_after_a_day_and_fifty_tries() {
        assert_eq!(decided(store(), None, 50, 24 * HOUR - 1), Ok(0));
        assert_eq!(decided(store(), None, 49, 24 * HOUR), Ok(0));
        let end = |words: &str| Err(format!("Given up after 24 hours: {words}"));
        assert_eq!(decided(store(), None, 50, 24 * HOUR), end("no answer."));
        assert_eq!(
            decided(JobError::Internal("detail".to_owned()), None, 50, 24 * HOUR),
            end("the server could not go on; its log says why")
        );
        assert_eq!(decided(clocks(), None, 999, 999 * HOUR), Ok(0));
    }
}
