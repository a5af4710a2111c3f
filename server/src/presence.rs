//! Whether a version that S3 once confirmed is still in the bucket, and when its absence is believed.
//!
//! One answer decides nothing that cannot be undone: stores answer 404 for objects that they hold, while a node is
//! away or before a write has reached every replica. An object counts as gone after [`MISSES_NEEDED`] askings spread over
//! [`MISSES_SPAN`], each of which did not find it by its name, and the last neither in the listing of its key. What is listed all
//! the time and never given (an entry of the store's index without an object) counts as gone after [`LISTED_MISSES_SPAN`]. One
//! sighting by name in between, or any time later, clears what was noted; a listing alone clears nothing.

use jiff::{SignedDuration, Timestamp};

use crate::s3::{ObjectStore, S3Error, VersionHead, versions_of_key};

/// So many askings in a row must have found nothing.
const MISSES_NEEDED: u32 = 3;
/// At least so long must lie between the first of them and the last.
const MISSES_SPAN: SignedDuration = SignedDuration::from_mins(2);
/// The same for what is listed: an index may be behind for longer than an object is not found.
const LISTED_MISSES_SPAN: SignedDuration = SignedDuration::from_hours(1);
/// Askings that follow each other faster count as one.
const MISS_INTERVAL: SignedDuration = SignedDuration::from_secs(20);

/// What was noted of one object that was asked for and not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// How many askings in a row found nothing.
    pub askings: u32,
    /// The first of them.
    pub since: Timestamp,
    /// The last of them.
    pub asked_at: Timestamp,
}

impl Absence {
    /// What is to be noted after one more asking at `now` that found nothing. What a clock noted that was ahead, and was set
    /// back since, is forgotten: it would hold the count for as long as it was ahead.
    #[must_use]
    pub fn asked(before: Option<Self>, now: Timestamp) -> Self {
        match before.filter(|before| before.asked_at <= now) {
            None => Self {
                askings: 1,
                since: now,
                asked_at: now,
            },
            Some(before) if now.duration_since(before.asked_at) < MISS_INTERVAL => before,
            Some(before) => Self {
                askings: before.askings.saturating_add(1),
                asked_at: now,
                ..before
            },
        }
    }

    /// Whether the object counts as gone, when the last asking found this.
    #[must_use]
    pub fn is_believed(&self, last: Unseen) -> bool {
        let span = match last {
            Unseen::Absent => MISSES_SPAN,
            Unseen::OnlyListed => LISTED_MISSES_SPAN,
        };
        self.askings >= MISSES_NEEDED && self.asked_at.duration_since(self.since) >= span
    }
}

/// How a version was not found by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// The listing of its key does not name it either.
    Absent,
    /// The listing of its key names it: the two answers contradict each other.
    OnlyListed,
}

/// What S3 says of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// A HEAD shows it.
    Shown(VersionHead),
    /// A HEAD says that there is none.
    Unseen(Unseen),
}

/// Asks for one version by name, and where that finds nothing, for the listing of its key.
///
/// # Errors
/// When S3 could not be asked.
pub async fn ask(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    version: &str,
) -> Result<Presence, S3Error> {
    if let Some(head) = store.head(bucket, key, Some(version)).await? {
        return Ok(Presence::Shown(head));
    }
    let listed = versions_of_key(store, bucket, key).await?;
    let is_listed = listed.iter().any(|one| one.version_id == version);
    Ok(Presence::Unseen(if is_listed {
        Unseen::OnlyListed
    } else {
        Unseen::Absent
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn after(askings: &[i64]) -> Absence {
        let mut absence = None;
        for secs in askings {
            absence = Some(Absence::asked(absence, at(*secs)));
        }
        absence.unwrap()
    }

    #[test]
    fn gone_is_believed_after_three_askings_over_two_minutes() {
        let believed = |askings: &[i64]| after(askings).is_believed(Unseen::Absent);
        assert!(believed(&[0, 60, 120]));
        assert!(!believed(&[0, 60, 119]));
        assert!(!believed(&[0, 3_600]));
        // A burst counts as one asking, however many there are in it.
        assert!(!believed(&[0, 1, 2, 3, 4, 5, 6, 7, 140]));
        assert!(believed(&[0, 1, 31, 63, 127]));
    }

    #[test]
    fn what_is_listed_and_never_given_is_believed_later() {
        let believed = |askings: &[i64]| after(askings).is_believed(Unseen::OnlyListed);
        assert!(!believed(&[0, 60, 120, 3_599]));
        assert!(believed(&[0, 60, 3_600]));
        assert!(!believed(&[0, 3_600]));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_believed_and_holds_nothing() {
        let absence = after(&[0, 60, -100_000]);
        assert_eq!((absence.askings, absence.since), (1, at(-100_000)));
        assert!(!absence.is_believed(Unseen::Absent));
        // Noted by a clock that was years ahead.
        let absence = after(&[200_000_000, 200_000_060, 0, 60, 120]);
        assert!(absence.is_believed(Unseen::Absent));
    }
}
