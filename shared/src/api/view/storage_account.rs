//! Storage accounts.

use serde::{Deserialize, Serialize};

use super::silence::SilenceView;
use crate::ids::StorageAccountId;

/// A storage account; its secret is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageAccountView {
    /// The storage account.
    pub id: StorageAccountId,
    /// Its name.
    pub name: String,
    /// The S3 endpoint.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// Since when its store does not answer, if it does not.
    #[serde(default)]
    pub silence: Option<SilenceView>,
}
