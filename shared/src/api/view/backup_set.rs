//! Backup sets.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::inspection::BucketInspection;
use crate::{
    ids::{BackupSetId, StorageAccountId},
    retention::{LockMode, Policy},
};

/// A backup set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSetView {
    /// The backup set.
    pub id: BackupSetId,
    /// Its name.
    pub name: String,
    /// The storage account.
    pub storage_account_id: StorageAccountId,
    /// The storage account's name.
    pub storage_account_name: String,
    /// The bucket.
    pub bucket: String,
    /// What every key begins with.
    pub prefix: String,
    /// N, in days.
    pub retention_days: u32,
    /// The lock mode.
    pub mode: LockMode,
    /// The whole policy.
    pub policy: Policy,
    /// Fingerprint of the recovery public key, as printed in the recovery kit.
    pub recovery_fingerprint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the last look into the bucket found.
    pub inspection: Option<BucketInspection>,
}

/// A backup set's name, for links and lists of choices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSetName {
    /// The backup set.
    pub id: BackupSetId,
    /// Its name.
    pub name: String,
}
