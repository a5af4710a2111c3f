//! Backup sets.

#![allow(clippy::too_many_arguments, reason = "one for each field of the form")]

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
#[cfg(feature = "ssr")]
use shared::{
    api::request::PolicyOptions,
    input,
    retention::{Period, Tier},
};
use shared::{
    api::view::{BackupSetPage, BucketInspection},
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
    #[server(default)] tier_hour: String,
    #[server(default)] tier_day: String,
    #[server(default)] tier_week: String,
    #[server(default)] tier_month: String,
    #[server(default)] tier_year: String,
    #[server(default)] time_zone: String,
    #[server(default)] keep_last: String,
    #[server(default)] lock_ahead_days: String,
    #[server(default)] grace_hours: String,
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
        ("tier_hour", &tier_hour),
        ("tier_day", &tier_day),
        ("tier_week", &tier_week),
        ("tier_month", &tier_month),
        ("tier_year", &tier_year),
        ("time_zone", &time_zone),
        ("keep_last", &keep_last),
        ("lock_ahead_days", &lock_ahead_days),
        ("grace_hours", &grace_hours),
    ];
    let options = Advanced {
        tiers: [
            (Period::Hour, "tier_hour", tier_hour.as_str()),
            (Period::Day, "tier_day", &tier_day),
            (Period::Week, "tier_week", &tier_week),
            (Period::Month, "tier_month", &tier_month),
            (Period::Year, "tier_year", &tier_year),
        ],
        time_zone: &time_zone,
        keep_last: &keep_last,
        lock_ahead_days: &lock_ahead_days,
        grace_hours: &grace_hours,
    };
    let days = input::retention_days(&retention_days).map_err(ConsoleError::from);
    let result = match days.and_then(|days| Ok((days, options.read()?))) {
        Ok((days, options)) => {
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
                options,
            };
            super::call::<operations::CreateBackupSet>(tenant, request).await
        }
        Err(error) => Err(error),
    };
    let set = super::form::back_to_form::<CreateBackupSet, _>(result, &page, &typed)?;
    leptos_axum::redirect(&format!("/tenants/{tenant}/backup-sets/{}", set.id));
    Ok(())
}

/// The fields under *Advanced*, as they were typed.
#[cfg(feature = "ssr")]
struct Advanced<'a> {
    tiers: [(Period, &'static str, &'a str); 5],
    time_zone: &'a str,
    keep_last: &'a str,
    lock_ahead_days: &'a str,
    grace_hours: &'a str,
}

#[cfg(feature = "ssr")]
impl Advanced<'_> {
    fn read(&self) -> Result<PolicyOptions, ConsoleError> {
        let mut tiers = Vec::new();
        for (every, field, days) in self.tiers {
            let days =
                input::tier_days(days).map_err(|error| ConsoleError::field(field, error.to_string()))?;
            tiers.extend(days.map(|retention_days| Tier {
                every,
                retention_days,
            }));
        }
        Ok(PolicyOptions {
            tiers,
            time_zone: input::time_zone(self.time_zone)?,
            keep_last: input::keep_last(self.keep_last)?,
            lock_ahead: input::lock_ahead(self.lock_ahead_days)?,
            grace_hours: input::grace_hours(self.grace_hours)?,
        })
    }
}

/// A backup set's page.
#[server(prefix = "/console/fn", endpoint = "load_backup_set")]
pub async fn load_backup_set(tenant: TenantId, set: BackupSetId) -> Result<BackupSetPage, ConsoleError> {
    super::status::answer(super::call::<operations::ReadBackupSet>((tenant, set), ()).await)
}

/// Looks into the bucket and keeps what was found.
#[server(prefix = "/console/fn", endpoint = "inspect_bucket")]
pub async fn inspect_bucket(tenant: TenantId, set: BackupSetId) -> Result<BucketInspection, ConsoleError> {
    let page = format!("/tenants/{tenant}/backup-sets/{set}");
    let result = super::call::<operations::InspectBucket>((tenant, set), ()).await;
    let inspection = super::form::back_to_form::<InspectBucket, _>(result, &page, &[])?;
    super::form::plain_post_goes_to(&page);
    Ok(inspection)
}
