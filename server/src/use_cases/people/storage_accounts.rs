//! Storage accounts: tried, sealed, kept.

use std::sync::Arc;

use shared::{
    api::{request::NewStorageAccount, view::StorageAccountView},
    ids::StorageAccountId,
    input,
    limits::Limit,
};
use zeroize::Zeroizing;

use super::s3_errors::{S3Call, to_api_error};
use crate::{
    app::App,
    db::{self, TenantTx, storage_accounts::StorageAccount},
    error::ApiError,
    random,
    s3::{self, Endpoint, Guarded, ObjectStore},
    scope::Manager,
    use_cases::{
        input::{name, or_taken, room_for_one},
        views,
    },
};

/// Tries the keys and keeps the account, its secret sealed.
///
/// # Errors
/// `Invalid` with what to do when the endpoint does not answer or does not accept the keys; `Conflict` when the
/// name is taken.
pub async fn create(
    app: &App,
    actor: &Manager,
    request: NewStorageAccount,
) -> Result<StorageAccountView, ApiError> {
    let (name, endpoint, tried) = checked(app, &request)?;
    let tx = app.db.tenant(&actor.scope).await?;
    room(&tx).await?;
    drop(tx);
    let now = app.clock.now();
    let id = StorageAccountId::from_uuid(random::uuid(now));
    try_keys(app, id, &endpoint, &tried).await?;
    let account = StorageAccount {
        id,
        name,
        secret_sealed: app.master_key.seal(
            actor.scope.tenant().as_uuid(),
            id.as_uuid(),
            tried.secret_key.as_bytes(),
        )?,
        endpoint,
        region: tried.region,
        access_key: tried.access_key,
        path_style: tried.path_style,
        provider: None,
    };
    let tx = app.db.tenant(&actor.scope).await?;
    room(&tx).await?;
    let taken = |error| {
        or_taken(
            error,
            "name_taken",
            "A storage account of this name exists: choose another name.",
        )
    };
    db::storage_accounts::add(&tx, &account, now)
        .await
        .map_err(taken)?;
    let event = db::audit::Event {
        actor: &actor.user.email,
        action: "storage_account.create",
        subject: id.to_string(),
        detail: serde_json::json!({ "endpoint": account.endpoint, "access_key": account.access_key }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    Ok(views::storage_account(&account, None))
}

/// The name, the endpoint's address, and the endpoint with its keys, as they were asked for. Errors name the first field that is wrong.
fn checked(app: &App, request: &NewStorageAccount) -> Result<(String, String, Endpoint), ApiError> {
    let name = name("name", &request.name)?;
    let url = app
        .storage_rule
        .endpoint(&input::endpoint(&request.endpoint)?)
        .map_err(|error| ApiError::invalid("endpoint", error.to_string()))?;
    let region = input::region(&request.region)?;
    let access_key = input::access_key(&request.access_key)?;
    let secret_key = input::secret_key(&request.secret_key)?;
    let endpoint = Endpoint {
        url: Some(url.clone()),
        region,
        access_key,
        secret_key: Zeroizing::new(secret_key),
        session_token: None,
        path_style: request.path_style,
    };
    Ok((name, url, endpoint))
}

/// Asks the endpoint whether the keys are valid.
async fn try_keys(app: &App, id: StorageAccountId, endpoint: &str, tried: &Endpoint) -> Result<(), ApiError> {
    // Behind a breaker that nobody else asks: for its limits of time.
    let store = s3::connect(tried, &app.storage_rule, &app.clock);
    let store = Guarded::new(store, id, &Arc::default(), &app.clock);
    match store.try_keys().await {
        // A key that may not list buckets is a valid key with little power, which is good.
        Err(error) if error.code() == "AccessDenied" => Ok(()),
        Err(error) => Err(to_api_error(&error, S3Call::Keys { endpoint })),
        Ok(()) => Ok(()),
    }
}

async fn room(tx: &TenantTx) -> Result<(), ApiError> {
    room_for_one(
        db::storage_accounts::count(tx).await?,
        Limit::StorageAccounts,
        "too_many_storage_accounts",
        "Use one of them: an account can hold many backup sets.",
    )
}
