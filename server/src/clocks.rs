//! Three clocks that must agree (promise P8): the server's, the database's, the store's.
//!
//! Beyond a bound nothing is signed, extended or deleted. A clock that runs ahead would sign locks that cannot be taken
//! back, and would take for unlocked what is not. The same goes for a clock that cannot be read: the server's and the
//! database's are compared whatever the store does, and a store whose time was not known within [`STORE_TIME_TTL`] is not signed for.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use shared::ids::StorageAccountId;

use crate::{
    clock::Clock,
    db::{Db, DbError},
    s3::{ObjectStore, S3Error},
};

/// How far two of the clocks may be apart.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// For how long an agreement is taken for granted when uploads are signed.
const AGREEMENT_TTL: SignedDuration = SignedDuration::from_secs(60);
/// For how long a store's time is taken as known when the store does not tell it now.
const STORE_TIME_TTL: SignedDuration = SignedDuration::from_hours(1);

/// What the three clocks showed at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The server's.
    pub server: Timestamp,
    /// The database's.
    pub database: Timestamp,
    /// The store's: the `Date` of an answer.
    pub store: Timestamp,
}

impl Reading {
    /// The server's and the database's alone.
    fn of_two(server: Timestamp, database: Timestamp) -> Self {
        Self {
            server,
            database,
            store: server,
        }
    }

    fn all(&self) -> [Timestamp; 3] {
        [self.server, self.database, self.store]
    }

    /// What has passed by every clock: only what ended before this may be deleted.
    #[must_use]
    pub fn earliest(&self) -> Timestamp {
        self.all().into_iter().fold(self.server, Timestamp::min)
    }

    /// How far the clocks are apart.
    #[must_use]
    pub fn spread(&self) -> SignedDuration {
        let latest = self.all().into_iter().fold(self.server, Timestamp::max);
        latest.duration_since(self.earliest())
    }

    /// Refuses when they are too far apart.
    ///
    /// # Errors
    /// `Disagree` with what each clock shows.
    pub fn agreed(self) -> Result<Self, ClocksError> {
        if self.spread() <= MAX_SKEW {
            return Ok(self);
        }
        Err(ClocksError::Disagree(self))
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this server {:.0}, its database {:.0}, the S3 endpoint {:.0}",
            self.server, self.database, self.store
        )
    }
}

/// Why the clocks are not relied on.
#[derive(Debug, thiserror::Error)]
pub enum ClocksError {
    /// They are too far apart.
    #[error(
        "The clocks disagree by more than 5 minutes ({0}). Nothing is signed, extended or deleted until they agree: set the one \
         that is wrong by a time server."
    )]
    Disagree(Reading),
    /// The store has not told its time for too long.
    #[error(
        "The time of the S3 endpoint is not known: it has not told it for an hour. Nothing is signed, extended or deleted until it \
         does, since locks of a wrong length cannot be taken back. Check that the endpoint answers."
    )]
    Unknown,
    /// The database could not be asked.
    #[error("database: {0}")]
    Database(#[from] DbError),
    /// The store could not be asked.
    #[error("object store: {0}")]
    Store(#[from] S3Error),
}

/// Compares the three clocks.
#[derive(Debug)]
pub struct Clocks {
    db: Db,
    clock: Clock,
    /// When they last agreed, for each storage account.
    agreed: Mutex<HashMap<StorageAccountId, Timestamp>>,
}

impl Clocks {
    /// For this server's clock and its database's.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self {
            db,
            clock,
            agreed: Mutex::default(),
        }
    }

    /// Asks all three now.
    ///
    /// # Errors
    /// `Disagree`, or when one of them can not be asked.
    pub async fn compare(
        &self,
        account: StorageAccountId,
        store: &dyn ObjectStore,
        bucket: &str,
    ) -> Result<Reading, ClocksError> {
        let database = self.db.time().await? + self.clock.travelled();
        let before = self.clock.now();
        // Whether or not the store answers.
        self.judged(account, Reading::of_two(before, database))?;
        let at_store = store.time(bucket).await?;
        let reading = Reading {
            // A slow answer makes no skew: the store's date lies somewhere between these two.
            server: at_store.clamp(before, self.clock.now()),
            database,
            store: at_store,
        };
        let reading = self.judged(account, reading)?;
        let mut known = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(account, reading.server);
        Ok(reading)
    }

    /// A disagreement ends what was known of the store.
    fn judged(&self, account: StorageAccountId, reading: Reading) -> Result<Reading, ClocksError> {
        reading.agreed().inspect_err(|_| {
            let mut known = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
            known.remove(&account);
        })
    }

    // Promise: P8
    /// The same, unless they agreed a moment ago. A store that does not tell its time now is no disagreement, if it told it
    /// within the last hour.
    ///
    /// # Errors
    /// `Disagree`, `Unknown`, or when the database does not answer.
    pub async fn must_agree(
        &self,
        account: StorageAccountId,
        store: &dyn ObjectStore,
        bucket: &str,
    ) -> Result<(), ClocksError> {
        let now = self.clock.now();
        let last = {
            let known = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&account).copied()
        };
        // A clock that was set meanwhile is asked again, whichever way it went.
        if last.is_some_and(|last| now.duration_since(last).abs() <= AGREEMENT_TTL) {
            return Ok(());
        }
        match self.compare(account, store, bucket).await {
            Ok(_) => Ok(()),
            Err(error @ ClocksError::Disagree(_)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the clocks could not be compared");
                if last.is_some_and(|last| is_known(last, now)) {
                    // The database was compared before the store was asked, or did not answer: then nothing goes on.
                    return self.db.time().await.map(drop).map_err(Into::into);
                }
                Err(ClocksError::Unknown)
            }
        }
    }
}

/// Whether a time that a store told at `last` counts as known; one that lies ahead was told before a clock was set back.
fn is_known(last: Timestamp, now: Timestamp) -> bool {
    now.duration_since(last).abs() <= STORE_TIME_TTL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_known_for_an_hour() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-05-01T12:00:00Z");
        assert!(is_known(at("2026-05-01T11:00:00Z"), now));
        assert!(!is_known(at("2026-05-01T10:59:59Z"), now));
        assert!(!is_known(at("2026-05-01T13:00:01Z"), now));
    }

    #[test]
    fn five_minutes_are_agreement_and_more_is_not() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let reading = |store: &str| Reading {
            server: at("2026-05-01T12:00:00Z"),
            database: at("2026-05-01T12:00:01Z"),
            store: at(store),
        };
        assert!(reading("2026-05-01T12:05:00Z").agreed().is_ok());
        assert!(reading("2026-05-01T11:55:01Z").agreed().is_ok());
        assert_eq!(
            reading("2026-05-01T11:56:00Z").earliest(),
            at("2026-05-01T11:56:00Z")
        );
        for wrong in [
            "2026-05-01T12:05:01Z",
            "2026-05-01T11:55:00Z",
            "2036-05-01T12:00:00Z",
        ] {
            let error = reading(wrong).agreed().unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
