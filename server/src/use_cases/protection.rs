//! What the planner is told of a source: Q, the distance of its runs, the provider. The rules are the planner's.

use shared::{
    retention::{Churn, Provider},
    schedule::ScheduleError,
};

use crate::db::{backup_sets::BackupSet, sources::Source, storage_accounts::StorageAccount};

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
