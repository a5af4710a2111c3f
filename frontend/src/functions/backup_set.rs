//! Backup sets.

#![allow(clippy::too_many_arguments, reason = "one for each field of the form")]

use leptos::prelude::*;
use shared::{
    api::view::BucketInspection,
    ids::{BackupSetId, StorageAccountId, TenantId},
    retention::LockMode,
};

use crate::error::ConsoleError;

/// Makes or checks the bucket, keeps the backup set and goes to its page.
#[server(prefix = "/console/fn", endpoint = "create_backup_set")]
pub async fn create_backup_set(
    tenant: TenantId,
    name: String,
    storage_account_id: StorageAccountId,
    bucket: String,
    #[server(default)] prefix: String,
    create_bucket: bool,
    #[server(default)] immutable_retention: bool,
    retention_days: String,
    mode: LockMode,
    recovery_key: String,
) -> Result<(), ConsoleError> {
    let page = format!("/tenants/{tenant}/backup-sets/new");
    let typed = [
        ("name", name.as_str()),
        ("storage_account_id", &storage_account_id.to_string()),
        ("bucket", &bucket),
        ("prefix", &prefix),
        ("create_bucket", if create_bucket { "true" } else { "false" }),
        (
            "immutable_retention",
            if immutable_retention { "true" } else { "false" },
        ),
        ("retention_days", &retention_days),
        (
            "mode",
            match mode {
                LockMode::Compliance => "compliance",
                LockMode::Governance => "governance",
            },
        ),
        ("recovery_key", &recovery_key),
    ];
    let result = match retention_days.trim().parse() {
        Ok(days) => {
            let request = shared::api::request::NewBackupSet {
                name: name.clone(),
                storage_account_id,
                bucket: bucket.trim().to_owned(),
                prefix: prefix.trim().to_owned(),
                create_bucket,
                immutable_retention,
                retention_days: days,
                mode,
                recovery_key: recovery_key.trim().to_owned(),
            };
            super::backend()?.create_backup_set(tenant, request).await
        }
        Err(_) => Err(ConsoleError::Refused(
            "Number of days: write a whole number, such as 90.".to_owned(),
        )),
    };
    let set = super::form::back_to_form::<CreateBackupSet, _>(result, &page, &typed)?;
    leptos_axum::redirect(&format!("/tenants/{tenant}/backup-sets/{}", set.id));
    Ok(())
}

/// Looks into the bucket and keeps what was found.
#[server(prefix = "/console/fn", endpoint = "inspect_bucket")]
pub async fn inspect_bucket(tenant: TenantId, set: BackupSetId) -> Result<BucketInspection, ConsoleError> {
    let page = format!("/tenants/{tenant}/backup-sets/{set}");
    let result = super::backend()?.inspect_bucket(tenant, set).await;
    let inspection = super::form::back_to_form::<InspectBucket, _>(result, &page, &[])?;
    super::form::plain_post_goes_to(&page);
    Ok(inspection)
}
