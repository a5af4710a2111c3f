//! The live stream.

use serde::{Deserialize, Serialize};

use super::{restore::RestoreView, run::RunView};
use crate::ids::{BackupSetId, SourceId};

/// One event of the live stream `GET /console/events?tenant={tenant}` (server-sent events; the data is this, as
/// JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveEvent {
    /// A run moved on.
    Run(Box<RunView>),
    /// A restore moved on.
    Restore(Box<RestoreView>),
    /// A sweep of this source has ended: its page shows what it did.
    Sweep {
        /// The source.
        source: SourceId,
    },
    /// A check of this backup set's bucket has ended.
    Check {
        /// The backup set.
        backup_set: BackupSetId,
    },
}
