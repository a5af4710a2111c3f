//! The page of a tenant's storage.

use std::collections::HashMap;

use shared::{api::view::TenantStorage, ids::StorageAccountId};

use crate::{app::App, db, error::ApiError, scope::Viewer, use_cases::views};

/// The storage accounts by name, and the backup sets in the order in which they were made.
///
/// # Errors
/// When the database does not answer.
pub async fn page(app: &App, actor: &Viewer) -> Result<TenantStorage, ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let accounts = db::storage_accounts::all(&tx).await?;
    let names: HashMap<StorageAccountId, &str> = accounts
        .iter()
        .map(|account| (account.id, account.name.as_str()))
        .collect();
    let mut sets = db::backup_sets::all(&tx).await?;
    sets.sort_by_key(|set| set.id);
    Ok(TenantStorage {
        storage_accounts: accounts
            .iter()
            .map(|account| views::storage_account(account, app.breakers.silence(account.id)))
            .collect(),
        backup_sets: sets
            .iter()
            .map(|set| {
                let account = names.get(&set.storage_account_id).copied().unwrap_or_default();
                views::backup_set(set, account)
            })
            .collect(),
    })
}
