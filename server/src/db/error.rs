//! What can go wrong with the database.

use sea_orm::{ConnAcquireErr, DbErr, SqlErr};

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database refused or did not answer.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// A row holds what this version does not understand.
    #[error("the database holds something unexpected in {what}: {detail}")]
    Corrupt {
        /// Where.
        what: &'static str,
        /// What.
        detail: String,
    },
    /// The database belongs to another server's data folder.
    #[error(
        "it belongs to another master key than the one in this data folder. Name the data folder that its server has always used, \
         or put that folder's master.key back from its backup. If the key is lost, start with an empty database and rebuild the \
         ledgers from the buckets. Nothing was changed"
    )]
    OtherKey,
}

impl DbError {
    pub(super) fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string(),
        }
    }

    /// Whether no connection was free in time: all of them are at work.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Database(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        )
    }

    /// Whether a unique index refused the row: somebody was faster, or a name is taken.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(error)
            if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }
}
