//! Writing what the bucket told into the ledger: one transaction for a source, behind the fence that grooming has too.

use jiff::Timestamp;
use repository::manifest::ManifestHeader;
use shared::{
    api::{agent::SourceOptions, view::SnapshotState},
    ids::SourceId,
    schedule::Schedule,
};

use super::{compare::Comparison, ledger::Ledger, report::Written, scan::Found};
use crate::{
    app::App,
    db::{self, DbError, TenantTx, agents::Agent, backup_sets::BackupSet, sources::Source},
    error::ApiError,
    presence::Unseen,
    random,
    scope::TenantScope,
};

/// Who is at work, in the audit log.
const ACTOR: &str = "holdfast rebuild-ledger";

/// Writes. Refused while a run or a job of the source is at work, or when one went by since the ledger was read.
///
/// # Errors
/// `Conflict` when it is refused.
pub(super) async fn apply(
    app: &App,
    scope: &TenantScope,
    set: &BackupSet,
    found: &Found,
    ledger: &Ledger,
    comparison: &Comparison,
) -> Result<Written, ApiError> {
    let now = app.clock.now();
    let id = found.id;
    let tx = app.db.tenant(scope).await?;
    if let Some(header) = &found.newest_header {
        owner(&tx, set, header, ledger, now).await?;
    }
    let source = writable(&tx, set, id, ledger).await?;
    for snapshot in &comparison.snapshots {
        if ledger.snapshots.contains_key(&snapshot.seq) {
            db::rebuild::correct_snapshot(&tx, snapshot).await?;
        } else {
            db::rebuild::add_run(&tx, snapshot).await?;
            db::snapshots::add(&tx, snapshot).await?;
        }
    }
    db::set_sums::forget(&tx, id).await?;
    db::rebuild::put_objects(&tx, id, &comparison.objects, now).await?;
    for (hash, lock) in &comparison.locks {
        db::ledger::confirm(&tx, id, *hash, lock, now).await?;
    }
    // One reading of the bucket is one asking: the sweeps that follow ask again, until it is believed.
    let absent = comparison.missing.iter().map(|hash| (*hash, Unseen::Absent));
    let absent: Vec<_> = absent.collect();
    db::absence::note(&tx, id, &absent, now).await?;
    if !comparison.missing.is_empty() {
        db::sources::set_next_sweep(&tx, id, now).await?;
    }
    let newest = found.snapshots.keys().next_back().copied().unwrap_or(0);
    if newest > source.newest_seq {
        db::sources::set_newest_seq(&tx, id, newest).await?;
    }
    let written = Written {
        snapshots: comparison.snapshots.len() as u64,
        objects: (comparison.objects.len() + comparison.locks.len()) as u64,
        missing: comparison.missing.len() as u64,
    };
    let expired = comparison
        .snapshots
        .iter()
        .filter(|snapshot| snapshot.state == SnapshotState::Expired);
    let event = db::audit::Event {
        actor: ACTOR,
        action: "ledger.rebuild",
        subject: id.to_string(),
        detail: serde_json::json!({
            "backup_set": set.id, "bucket": set.bucket, "written": written, "expired": expired.count(),
            "findings": comparison.findings.len(),
        }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    Ok(written)
}

/// The source, its row locked, if its ledger may be written.
async fn writable(tx: &TenantTx, set: &BackupSet, id: SourceId, ledger: &Ledger) -> Result<Source, ApiError> {
    let Some(source) = db::sources::lock(tx, id).await? else {
        return Err(ApiError::conflict(
            "no_owner",
            "No manifest of it can be used, so its agent is not known, and the database does not know the source.",
        ));
    };
    if source.backup_set_id != set.id {
        return Err(ApiError::conflict(
            "other_set",
            format!(
                "The database has it in another backup set, {}.",
                source.backup_set_id
            ),
        ));
    }
    if db::runs::is_active(tx, id).await? || db::rebuild::job_is_running(tx, id).await? {
        return Err(ApiError::conflict(
            "run_open",
            "A run, a commit or a sweep of it is under way. Wait for its end, then rebuild again.",
        ));
    }
    if db::rebuild::mark(tx, id).await? != ledger.mark {
        return Err(ApiError::conflict(
            "moved_on",
            "A commit or a sweep changed its ledger meanwhile. Rebuild again.",
        ));
    }
    Ok(source)
}

/// Makes the agent and the source where the database does not know them. Both are *unclaimed*: no credential opens the
/// agent, and the source has no paths and no schedule. It is not retired either: its newest snapshots are kept rolling like
/// any other's, until somebody decides.
async fn owner(
    tx: &TenantTx,
    set: &BackupSet,
    header: &ManifestHeader,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<(), ApiError> {
    if ledger.source.is_some() {
        return Ok(());
    }
    if ledger.agent.is_none() {
        let agent = Agent {
            id: header.agent_id,
            backup_set_id: set.id,
            hostname: format!("unclaimed {}", short(header.agent_id.as_uuid())),
            os: "unknown".into(),
            version: "unknown".into(),
            signing_key: header.signer,
            credential_hash: random::bytes::<32>().to_vec(),
            enrolled_at: now,
            last_seen_at: None,
            token_id: None,
            machines: Default::default(),
        };
        db::agents::add(tx, &agent).await.map_err(taken)?;
    }
    let source = Source {
        id: header.source_id,
        agent_id: header.agent_id,
        backup_set_id: set.id,
        name: format!("unclaimed {}", short(header.source_id.as_uuid())),
        paths: Vec::new(),
        excludes: Vec::new(),
        schedule: Schedule::manual(),
        next_due: None,
        newest_seq: 0,
        retired_at: None,
        next_sweep_at: None,
        lock_ahead_days: None,
        options: SourceOptions::default(),
        created_at: now,
    };
    db::sources::add(tx, &source).await.map_err(taken)
}

/// What this tenant's transaction does not see, and is there.
fn taken(error: DbError) -> ApiError {
    if error.is_duplicate() {
        let message = "The database has it, or its agent, in another tenant.";
        ApiError::conflict("other_tenant", message)
    } else {
        error.into()
    }
}

/// The end of an id, which is its random part.
fn short(id: uuid::Uuid) -> String {
    id.simple().to_string().split_off(24)
}
