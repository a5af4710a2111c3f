//! What the planner is told of a source: Q, the distance of its runs, the provider. The rules are the planner's.

use jiff::Timestamp;
use shared::{
    api::agent::RunState,
    retention::{self, Churn, LockError, Period, Provider},
    schedule::ScheduleError,
};

use crate::{
    db::{self, TenantTx, backup_sets::BackupSet, sources::Source, storage_accounts::StorageAccount},
    error::ApiError,
};

/// The provider behind a storage account: as it was found to be, or else Amazon S3 Standard.
#[must_use]
pub fn provider(account: &StorageAccount) -> Provider {
    account.provider.unwrap_or(Provider::AWS_STANDARD)
}

/// Q for a source: as its last sweep reckoned it, or for one that was never swept, as for any.
///
/// # Errors
/// When the schedule is malformed.
pub fn lock_ahead_days(
    set: &BackupSet,
    account: &StorageAccount,
    source: &Source,
) -> Result<u32, ScheduleError> {
    if let Some(days) = source.lock_ahead_days {
        return Ok(days);
    }
    let churn = Churn::unknown(source.schedule.longest_interval(source.created_at)?);
    Ok(churn.lock_ahead_days(&set.policy, &provider(account)))
}

/// The tiers that a snapshot of the source is expected to take if it is committed about now: what is sent for it is locked for them
/// at once. After a run that ended without a snapshot none are expected: its locks can not be taken back, and runs that never end
/// well must not lock for a tier again and again. The commit then extends what was sent.
///
/// # Errors
/// When the database does not answer, or the policy's zone is unknown.
pub async fn expected_tiers(
    tx: &TenantTx,
    set: &BackupSet,
    source: &Source,
    now: Timestamp,
) -> Result<Vec<Period>, ApiError> {
    if set.policy.tiers.is_empty() {
        return Ok(Vec::new());
    }
    let last = db::runs::newest_ended_of_source(tx, source.id).await?;
    if last.is_some_and(|run| run.state == RunState::Failed) {
        return Ok(Vec::new());
    }
    let since = retention::tiers_look_back(now);
    let earlier = db::snapshots::tiered_since(tx, source.id, None, since).await?;
    Ok(retention::expected_tiers(&set.policy, &earlier, now).map_err(LockError::from)?)
}
