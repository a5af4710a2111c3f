//! A backup set's page.

use serde::{Deserialize, Serialize};

use crate::api::view::{
    backup_set::BackupSetView, check::BucketCheckView, silence::SilenceView, source::SourceProtection,
};

/// A backup set's page. `GET /api/v1/tenants/{tenant}/backup-sets/{set}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSetPage {
    /// The backup set.
    pub backup_set: BackupSetView,
    /// What the server's last periodic check of the bucket found.
    pub check: Option<BucketCheckView>,
    /// Since when its store does not answer, if it does not.
    pub silence: Option<SilenceView>,
    /// How the backups of its sources are kept protected.
    pub sources: Vec<SourceProtection>,
}
