//! Storage accounts: tried, sealed, kept.

use std::sync::Arc;

use shared::{
    api::{request::NewStorageAccount, view::StorageAccountView},
    ids::StorageAccountId,
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
        input::{bounded, name, or_taken, room_for_one, text},
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
    let name = name("name", &request.name)?;
    bounded("endpoint", request.endpoint.len(), Limit::Endpoint)?;
    let endpoint = app
        .storage_rule
        .endpoint(&request.endpoint)
        .map_err(|error| ApiError::invalid("endpoint", error.to_string()))?;
    let region = text(
        "region",
        &request.region,
        Limit::Region,
        "the provider's region, such as us-east-1",
    )?;
    let access_key = text(
        "access_key",
        &request.access_key,
        Limit::AccessKey,
        "the access key",
    )?;
    let secret = text(
        "secret_key",
        &request.secret_key,
        Limit::SecretKey,
        "the secret key",
    )?;
    let secret = Zeroizing::new(secret);
    let tx = app.db.tenant(&actor.scope).await?;
    room(&tx).await?;
    drop(tx);
    let tried = Endpoint {
        url: Some(endpoint.clone()),
        region: region.clone(),
        access_key: access_key.clone(),
        secret_key: secret.clone(),
        session_token: None,
        path_style: request.path_style,
    };
    let now = app.clock.now();
    let id = StorageAccountId::from_uuid(random::uuid(now));
    // Behind a breaker that nobody else asks: for its limits of time.
    let store = s3::connect(&tried, &app.storage_rule, &app.clock);
    let store = Guarded::new(store, id, &Arc::default(), &app.clock);
    match store.try_keys().await {
        // A key that may not list buckets is a valid key with little power, which is good.
        Err(error) if error.code() == "AccessDenied" => {}
        Err(error) => return Err(to_api_error(&error, S3Call::Keys { endpoint: &endpoint })),
        Ok(()) => {}
    }

    let secret_sealed =
        app.master_key
            .seal(actor.scope.tenant().as_uuid(), id.as_uuid(), secret.as_bytes())?;
    let account = StorageAccount {
        id,
        name,
        endpoint,
        region,
        access_key,
        secret_sealed,
        path_style: request.path_style,
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

async fn room(tx: &TenantTx) -> Result<(), ApiError> {
    room_for_one(
        db::storage_accounts::count(tx).await?,
        Limit::StorageAccounts,
        "too_many_storage_accounts",
        "Use one of them: an account can hold many backup sets.",
    )
}
