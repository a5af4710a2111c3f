//! Storage accounts.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::ids::TenantId;

use crate::error::ConsoleError;

/// Tries and keeps a storage account, and goes on to the form for a backup set in it.
#[server(prefix = "/console/fn", endpoint = "create_storage_account")]
pub async fn create_storage_account(
    tenant: TenantId,
    name: String,
    endpoint: String,
    region: String,
    access_key: String,
    secret_key: String,
    #[server(default)] path_style: bool,
) -> Result<(), ConsoleError> {
    let request = shared::api::request::NewStorageAccount {
        name: name.clone(),
        endpoint: endpoint.trim().to_owned(),
        region: region.trim().to_owned(),
        access_key: access_key.trim().to_owned(),
        secret_key: secret_key.trim().to_owned(),
        path_style,
    };
    let result = super::call::<operations::CreateStorageAccount>(tenant, request).await;
    let account = super::form::back_to_form::<CreateStorageAccount, _>(
        result,
        &format!("/tenants/{tenant}/storage-accounts/new"),
        &[
            ("name", &name),
            ("endpoint", &endpoint),
            ("region", &region),
            ("access_key", &access_key),
            ("path_style", if path_style { "true" } else { "false" }),
        ],
    )?;
    leptos_axum::redirect(&format!(
        "/tenants/{tenant}/backup-sets/new?storage_account_id={}",
        account.id
    ));
    Ok(())
}
