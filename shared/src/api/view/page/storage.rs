//! The page of a tenant's storage.

use serde::{Deserialize, Serialize};

use crate::api::view::{backup_set::BackupSetView, storage_account::StorageAccountView};

/// The page of a tenant's storage. `GET /api/v1/tenants/{tenant}/storage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantStorage {
    /// The storage accounts.
    pub storage_accounts: Vec<StorageAccountView>,
    /// The backup sets.
    pub backup_sets: Vec<BackupSetView>,
}
