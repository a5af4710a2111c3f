//! What the server tells the operators of the instance until one of them has dealt with it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::NoticeId;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The database's epoch is lower than the data folder's, or is gone.
    DatabaseRestored,
    /// The data folder has no epoch, and the database has one: it can not be told whether the database was restored.
    EpochLost,
}

impl NoticeKind {
    /// One line.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::DatabaseRestored => "The database was restored from a backup",
            Self::EpochLost => "The server can not tell whether its database is the newest",
        }
    }

    /// What happened, what was done about it, and what is left to do.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::DatabaseRestored => {
                "When the server started, its database was older than its data folder. Everybody was signed out, unused \
                 enrollment tokens were ended, and jobs that were under way begin anew. What happened after the backup \
                 is missing: look through customers, users, agents and storage accounts, and compare each backup set \
                 with its bucket by running “holdfast rebuild-ledger” on the server, before backups go on for long."
            }
            Self::EpochLost => {
                "When the server started, its data folder did not say how often the server had been started before; the \
                 database did. A restored database would look the same, so everybody was signed out, unused enrollment \
                 tokens were ended, and jobs that were under way begin anew. If the data folder was restored or moved by \
                 hand, nothing else is to be done. If the database was restored too, compare each backup set with its \
                 bucket by running “holdfast rebuild-ledger” on the server."
            }
        }
    }
}

/// Something that an operator has to know. `GET /api/v1/notices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The notice.
    pub id: NoticeId,
    /// What happened.
    pub kind: NoticeKind,
    /// When it was found.
    pub found_at: Timestamp,
    /// What happened, what was done about it, and what is left to do: a few sentences.
    pub text: String,
}
