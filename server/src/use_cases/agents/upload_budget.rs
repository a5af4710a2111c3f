//! How much may be signed and not be there: an address that is never used costs nothing, and an agent that asks for many and
//! sends to them all at once fills a bucket for as long as its locks last. So what was signed within an address' life is counted
//! until S3 shows it, for the source, its agent and its tenant. An agent that sends what it asks for never meets a limit.

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use shared::{
    ids::SourceId,
    limits::Limit,
    object::{ObjectHash, ObjectRef},
};

use crate::{
    app::App,
    db::{
        self,
        backup_sets::BackupSet,
        ledger::{ConfirmedLock, LedgerObject, Unsent},
    },
    error::ApiError,
    s3::ObjectStore,
    scope::Caller,
    use_cases::system::confirm,
};

/// Objects that S3 is asked for when a limit is met: the newest, since what was given up long ago would hold the others up.
const ASKED: u64 = 256;
/// HEADs side by side.
const PARALLEL: usize = 16;
const MIB: u64 = 1 << 20;

/// How much is asked for now.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    objects: u64,
    bytes: u64,
}

/// Which limit this would exceed, if any.
fn exceeded(open: Unsent, asked: Asked) -> Option<Limit> {
    let over = |open: u64, asked: u64, limit: Limit, unit: u64| {
        (open.saturating_add(asked) > limit.max() as u64 * unit).then_some(limit)
    };
    over(open.objects, asked.objects, Limit::UnsentObjects, 1)
        .or_else(|| over(open.bytes, asked.bytes, Limit::UnsentMebibytes, MIB))
        .or_else(|| {
            over(
                open.bytes_of_agent,
                asked.bytes,
                Limit::UnsentMebibytesOfAgent,
                MIB,
            )
        })
        .or_else(|| {
            over(
                open.bytes_of_tenant,
                asked.bytes,
                Limit::UnsentMebibytesOfTenant,
                MIB,
            )
        })
}

/// Refuses to sign for `objects` while too much was signed that is not there. Before it does, S3 is asked for the newest of it:
/// what is there is confirmed and counts no longer.
///
/// # Errors
/// `Later` when a limit is met.
pub async fn must_fit(
    app: &App,
    caller: &Caller,
    (store, set): (&dyn ObjectStore, &BackupSet),
    source: SourceId,
    objects: impl Iterator<Item = &ObjectRef>,
    (now, address_life): (Timestamp, SignedDuration),
) -> Result<(), ApiError> {
    let asked = objects.fold(Asked::default(), |sum, object| Asked {
        objects: sum.objects + 1,
        bytes: sum.bytes.saturating_add(object.size_bytes),
    });
    let since = now - address_life;
    let tx = app.db.tenant(&caller.scope).await?;
    let open = db::ledger::unsent(&tx, source, caller.agent.id, since).await?;
    if exceeded(open, asked).is_none() {
        return Ok(());
    }
    let newest = db::ledger::newest_unsent(&tx, source, since, ASKED).await?;
    drop(tx);
    let there = shown(store, set, source, newest).await;
    let tx = app.db.of_source(&caller.scope, source).await?;
    for (hash, lock) in &there {
        db::ledger::confirm(&tx, source, *hash, lock, now).await?;
    }
    let open = db::ledger::unsent(&tx, source, caller.agent.id, since).await?;
    tx.commit().await?;
    match exceeded(open, asked) {
        None => Ok(()),
        Some(limit) => {
            tracing::warn!(%source, agent = %caller.agent.id, ?limit, ?open, "more is signed than is sent");
            Err(ApiError::Later {
                code: "upload_budget",
                message: format!(
                    "{} objects with {} MiB were signed for this source and are not in the bucket. Send them, or wait until \
                     their addresses have run out, before asking for more.",
                    open.objects,
                    open.bytes / MIB
                ),
            })
        }
    }
}

/// Those that a HEAD of their key shows as they were signed. Whoever is not shown, or not answered for, stays as it is.
async fn shown(
    store: &dyn ObjectStore,
    set: &BackupSet,
    source: SourceId,
    rows: Vec<LedgerObject>,
) -> Vec<(ObjectHash, ConfirmedLock)> {
    let asked = rows.into_iter().map(|row| async move {
        let key = row.key(&set.prefix, source);
        let lock = confirm::newest(store, &set.bucket, &key, &row, set.policy.mode).await;
        Some((row.object.hash, lock.ok()??))
    });
    stream::iter(asked.collect::<Vec<_>>())
        .buffer_unordered(PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_met_by_what_is_open_and_asked_together() {
        let asked = Asked {
            objects: 4,
            bytes: 64 * MIB,
        };
        assert_eq!(exceeded(Unsent::default(), asked), None);
        let full = |limit: Limit| limit.max() as u64 * MIB - asked.bytes;
        let at_most = Unsent {
            objects: Limit::UnsentObjects.max() as u64 - 4,
            bytes: full(Limit::UnsentMebibytes),
            bytes_of_agent: full(Limit::UnsentMebibytesOfAgent),
            bytes_of_tenant: full(Limit::UnsentMebibytesOfTenant),
        };
        assert_eq!(exceeded(at_most, asked), None);
        for limit in [
            Limit::UnsentObjects,
            Limit::UnsentMebibytes,
            Limit::UnsentMebibytesOfAgent,
            Limit::UnsentMebibytesOfTenant,
        ] {
            let mut open = at_most;
            *match limit {
                Limit::UnsentObjects => &mut open.objects,
                Limit::UnsentMebibytes => &mut open.bytes,
                Limit::UnsentMebibytesOfAgent => &mut open.bytes_of_agent,
                _ => &mut open.bytes_of_tenant,
            } += 1;
            assert_eq!(exceeded(open, asked), Some(limit));
        }
    }
}
