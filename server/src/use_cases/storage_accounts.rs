//! Storage accounts: tried, sealed, kept.

use std::sync::Arc;

use shared::{
    api::{request::NewStorageAccount, view::StorageAccountView},
    ids::StorageAccountId,
};
use zeroize::Zeroizing;

use super::{
    explain::{Doing, explain},
    name, or_taken, views,
};
use crate::{
    app::App,
    db::{self, storage_accounts::StorageAccount},
    error::ApiError,
    random,
    s3::{self, Endpoint, Guarded, ObjectStore},
    scope::Actor,
};

/// Tries the keys and keeps the account, its secret sealed.
///
/// # Errors
/// `Invalid` with what to do when the endpoint does not answer or does not accept the keys; `Conflict` when the
/// name is taken.
pub async fn create(
    app: &App,
    actor: &Actor,
    request: NewStorageAccount,
) -> Result<StorageAccountView, ApiError> {
    let name = name("name", &request.name)?;
    let endpoint = request.endpoint.trim().trim_end_matches('/').to_owned();
    let url: http::Uri = endpoint.parse().map_err(|_| bad_endpoint(&endpoint))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none() || url.path() != "/" {
        return Err(bad_endpoint(&endpoint));
    }
    let region = request.region.trim().to_owned();
    if region.is_empty() {
        return Err(ApiError::invalid(
            "region",
            "region: give the provider's region, such as us-east-1.",
        ));
    }
    let secret = Zeroizing::new(request.secret_key.trim().to_owned());
    let access_key = request.access_key.trim().to_owned();
    if access_key.is_empty() || secret.is_empty() {
        return Err(ApiError::invalid(
            "access_key",
            "Give both the access key and its secret key.",
        ));
    }
    let tried = Endpoint {
        url: endpoint.clone(),
        region: region.clone(),
        access_key: access_key.clone(),
        secret_key: secret.clone(),
        path_style: request.path_style,
    };
    let now = app.clock.now();
    let id = StorageAccountId::from_uuid(random::uuid(now));
    // Behind a breaker that nobody else asks: for its limits of time.
    let store = Guarded::new(s3::connect(&tried, &app.clock), id, &Arc::default(), &app.clock);
    match store.try_keys().await {
        // A key that may not list buckets is a valid key with little power, which is good.
        Err(error) if error.code() == "AccessDenied" => {}
        Err(error) => return Err(explain(&error, Doing::TryingKeys { endpoint: &endpoint })),
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

fn bad_endpoint(endpoint: &str) -> ApiError {
    ApiError::invalid(
        "endpoint",
        format!(
            "`{endpoint}` is not an S3 endpoint: give an address such as https://s3.example.com, without a path."
        ),
    )
}
