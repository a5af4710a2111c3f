//! Backup sets.

#![allow(clippy::too_many_arguments, reason = "one for each field of the form")]

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
#[cfg(feature = "ssr")]
use shared::{
    api::request::PolicyOptions,
    retention::{LockAhead, Period, Tier},
};
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
            (Period::Hour, tier_hour.as_str()),
            (Period::Day, &tier_day),
            (Period::Week, &tier_week),
            (Period::Month, &tier_month),
            (Period::Year, &tier_year),
        ],
        time_zone: &time_zone,
        keep_last: &keep_last,
        lock_ahead_days: &lock_ahead_days,
        grace_hours: &grace_hours,
    };
    let days = whole("retention_days", "Number of days", &retention_days, 90);
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
    tiers: [(Period, &'a str); 5],
    time_zone: &'a str,
    keep_last: &'a str,
    lock_ahead_days: &'a str,
    grace_hours: &'a str,
}

#[cfg(feature = "ssr")]
impl Advanced<'_> {
    /// What is empty has its usual value. Ranges and the zone are the server's to check.
    fn read(&self) -> Result<PolicyOptions, ConsoleError> {
        let mut options = PolicyOptions::default();
        for (every, days) in self.tiers {
            if !days.trim().is_empty() {
                options.tiers.push(Tier {
                    every,
                    retention_days: whole("tiers", "Days to keep some backups longer", days, 365)?,
                });
            }
        }
        if !self.time_zone.trim().is_empty() {
            self.time_zone.trim().clone_into(&mut options.time_zone);
        }
        if !self.keep_last.trim().is_empty() {
            options.keep_last = whole("keep_last", "Newest backups that never lapse", self.keep_last, 1)?;
        }
        let ahead = self.lock_ahead_days.trim();
        if !ahead.is_empty() && !ahead.eq_ignore_ascii_case("auto") {
            let days = whole("lock_ahead_days", "Look-ahead", ahead, 14).map_err(|_| {
                ConsoleError::field(
                    "lock_ahead_days",
                    "Look-ahead: write auto, or a whole number of days.",
                )
            })?;
            options.lock_ahead = LockAhead::Days(days);
        }
        if !self.grace_hours.trim().is_empty() {
            options.grace_hours = whole(
                "grace_hours",
                "Hours that a run may be late",
                self.grace_hours,
                24,
            )?;
        }
        Ok(options)
    }
}

#[cfg(feature = "ssr")]
fn whole(field: &str, what: &str, text: &str, such_as: u32) -> Result<u32, ConsoleError> {
    text.trim()
        .parse()
        .map_err(|_| ConsoleError::field(field, format!("{what}: write a whole number, such as {such_as}.")))
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
