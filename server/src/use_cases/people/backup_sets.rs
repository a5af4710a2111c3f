//! Backup sets: a bucket that can hold immutable backups, and the policy.

use repository::{kit::holds_secret_words, recovery::RecoveryPublicKey};
use shared::{
    api::{request::NewBackupSet, view::BackupSetView},
    ids::BackupSetId,
    limits::Limit,
    retention::PolicyError,
};

use super::s3_errors::{S3Call, to_api_error};
use crate::{
    app::App,
    db::{self, TenantTx, backup_sets::BackupSet},
    error::ApiError,
    random,
    s3::ObjectStore,
    scope::Manager,
    use_cases::{
        input::{bounded, name, or_taken, room_for_one, text},
        views,
    },
};

/// Makes the bucket, or checks an existing one, and keeps the set.
///
/// # Errors
/// `Invalid` with what to do when the bucket can not hold immutable backups or the policy is not one; `Conflict`
/// when the name is taken.
pub async fn create(app: &App, actor: &Manager, request: NewBackupSet) -> Result<BackupSetView, ApiError> {
    let name = name("name", &request.name)?;
    if !request.immutable_retention {
        return Err(ApiError::invalid(
            "immutable_retention",
            "Tick “Immutable retention policy”: without it whoever steals the bucket's keys can delete the backups, \
             and Holdfast keeps no such backups.",
        ));
    }
    bounded("time_zone", request.options.time_zone.len(), Limit::TimeZone)?;
    bounded("tiers", request.options.tiers.len(), Limit::Tiers)?;
    // Nothing of what was sent is repeated, kept or logged.
    if holds_secret_words(&request.recovery_key) {
        return Err(ApiError::invalid(
            "recovery_key",
            "recovery_key: these are secret words of a recovery kit, and not its public key. They were not kept, but they have been \
             sent to this server: make a new kit, and give its public key, which begins with hfrk1.",
        ));
    }
    bounded("recovery_key", request.recovery_key.len(), Limit::RecoveryKey)?;
    let bucket = text("bucket", &request.bucket, Limit::Bucket, "the bucket's name")?;
    let policy = request
        .options
        .policy(request.retention_days, request.mode)
        .map_err(|error| ApiError::invalid(policy_field(&error), format!("{error}.")))?;
    let recovery_key = RecoveryPublicKey::parse(&request.recovery_key).map_err(|error| {
        ApiError::invalid(
            "recovery_key",
            format!("The recovery public key is not one: {error}. Paste the text that `holdfast-agent keygen` prints."),
        )
    })?;
    let prefix = prefix(&request.prefix)?;

    let tx = app.db.tenant(&actor.scope).await?;
    let account = db::storage_accounts::find(&tx, request.storage_account_id)
        .await?
        .ok_or(ApiError::NotFound("storage account"))?;
    room(&tx).await?;
    drop(tx);
    let store = app.store(&actor.scope, &account)?;
    let call = S3Call::Bucket {
        endpoint: &account.endpoint,
        bucket: &bucket,
    };
    if request.create_bucket {
        store
            .create_bucket(&bucket)
            .await
            .map_err(|error| to_api_error(&error, call))?;
    }
    check_bucket(store.as_ref(), &bucket, call).await?;

    let now = app.clock.now();
    let set = BackupSet {
        id: BackupSetId::from_uuid(random::uuid(now)),
        storage_account_id: account.id,
        name,
        bucket,
        prefix,
        policy,
        recovery_key,
        inspection: None,
        compliance_proven_at: None,
        compliance_tried_at: None,
        created_at: now,
    };
    let tx = app.db.tenant(&actor.scope).await?;
    room(&tx).await?;
    let taken = |error| {
        or_taken(
            error,
            "name_taken",
            "A backup set of this name exists: choose another name.",
        )
    };
    db::backup_sets::add(&tx, &set).await.map_err(taken)?;
    let event = db::audit::Event {
        actor: &actor.user.email,
        action: "backup_set.create",
        subject: set.id.to_string(),
        detail: serde_json::json!({
            "bucket": set.bucket,
            "prefix": set.prefix,
            "policy": set.policy,
            "recovery_fingerprint": set.recovery_key.fingerprint().to_string(),
        }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    Ok(views::backup_set(&set, &account.name))
}

async fn room(tx: &TenantTx) -> Result<(), ApiError> {
    room_for_one(
        db::backup_sets::count(tx).await?,
        Limit::BackupSets,
        "too_many_backup_sets",
        "Use one of them: a backup set can hold many sources.",
    )
}

/// The field that an error of a policy is about.
fn policy_field(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::OutOfRange { field, .. } => field,
        PolicyError::UnknownTimeZone(_) => "time_zone",
        PolicyError::DuplicateTier { .. } => "tiers",
        PolicyError::BeyondCap { .. } => "lock_cap_days",
    }
}

/// Asks S3 itself whether the bucket has both: a bucket that only looks right is refused.
async fn check_bucket(store: &dyn ObjectStore, bucket: &str, call: S3Call<'_>) -> Result<(), ApiError> {
    let state = store
        .bucket_state(bucket)
        .await
        .map_err(|error| to_api_error(&error, call))?;
    if !state.versioning {
        return Err(ApiError::invalid(
            "bucket_not_versioned",
            format!(
                "The bucket `{bucket}` has no versioning, and Object Lock needs it. Use a bucket that was made with \
                 Object Lock, or let Holdfast create one."
            ),
        ));
    }
    if !state.object_lock {
        return Err(ApiError::invalid(
            "bucket_not_lockable",
            format!(
                "The bucket `{bucket}` has no Object Lock, so nothing in it can be immutable. Most providers turn it \
                 on only when a bucket is made: let Holdfast create one."
            ),
        ));
    }
    Ok(())
}

/// Keys without `+`, `%` or spaces list the same way at every provider.
fn prefix(text: &str) -> Result<String, ApiError> {
    let text = text.trim().trim_matches('/');
    if text.is_empty() {
        return Ok(String::new());
    }
    let fits = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if text.len() > Limit::Prefix.max() || !text.split('/').all(fits) {
        return Err(ApiError::invalid(
            "prefix",
            "prefix: use letters, digits, `-`, `_` and `.`, with `/` between the parts, 200 characters at most.",
        ));
    }
    Ok(format!("{text}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_in_a_slash_or_are_empty() {
        assert_eq!(prefix(" ").unwrap(), "");
        assert_eq!(prefix("/acme/office/").unwrap(), "acme/office/");
        for bad in ["a b", "a+b", "a%20", "a//b", "../a", "ä"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }
}
