//! A snapshot's page, and the decision on one that is not sound.

use jiff::Timestamp;
use shared::{
    anomaly::Judgement,
    api::view::{LiveEvent, SnapshotPage, SnapshotReview, SnapshotState, SnapshotView, SoundSnapshot},
    ids::SnapshotId,
    retention::{self, LockError, Period, SnapshotInput, Soundness, TierCandidate, assign_tiers},
};

use crate::{
    app::App,
    db::{self, TenantTx, backup_sets::BackupSet, snapshots::Snapshot},
    error::ApiError,
    scope::{Manager, Viewer},
    use_cases::{
        system::restores::{set_of, with_source},
        views,
    },
};

/// Restores that a snapshot's page has; the tenant's list has all.
const RESTORES_SHOWN: u64 = 20;

/// A snapshot's page.
///
/// # Errors
/// `NotFound` when the tenant has no such snapshot.
pub async fn page(app: &App, actor: &Viewer, id: SnapshotId) -> Result<SnapshotPage, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let (snapshot, source) = with_source(&tx, id).await?;
    let set = set_of(&tx, &source).await?;
    let account = db::storage_accounts::find(&tx, set.storage_account_id).await?;
    let agent = db::agents::find(&tx, source.agent_id)
        .await?
        .ok_or(ApiError::NotFound("agent"))?;
    let needs = db::due::needs(&tx, source.id, snapshot.seq).await?;
    let review = review(&db::snapshots::of_source(&tx, source.id).await?, &snapshot, now)?;
    let restores = db::restores::newest_of_snapshot(&tx, snapshot.id, RESTORES_SHOWN).await?;
    let mut view = views::snapshot(&snapshot, &source, &agent.hostname);
    view.damage = db::absence::damage(&tx, Some(&[snapshot.id]))
        .await?
        .remove(&snapshot.id);
    Ok(SnapshotPage {
        snapshot: view,
        backup_set: views::backup_set(&set, account.as_ref().map_or("", |account| &account.name)),
        objects: needs.objects,
        stored_bytes: needs.bytes,
        earliest_lock: needs.earliest_lock,
        latest_lock: needs.latest_lock,
        review,
        oldest_confirmation: db::absence::oldest_confirmation(&tx, source.id, snapshot.seq).await?,
        restore_command: format!(
            "holdfast-agent restore --snapshot {id} --seq {} --expect-source {} --to /path/to/empty/folder \
             --kit recovery-kit.txt",
            snapshot.seq, source.id
        ),
        report: db::runs::reports(&tx, [snapshot.run_id])
            .await?
            .remove(&snapshot.run_id),
        restores: restores
            .iter()
            .map(|restore| views::restore(restore, &snapshot, &source, now))
            .collect(),
    })
}

/// What hangs on a decision on `snapshot`, of a source with these snapshots, by number.
fn review(all: &[Snapshot], snapshot: &Snapshot, now: Timestamp) -> Result<Option<SnapshotReview>, ApiError> {
    if snapshot.state != SnapshotState::Complete || snapshot.soundness().is_sound() {
        return Ok(None);
    }
    let inputs = all.iter().map(|other| other.input(false));
    let inputs = inputs.collect::<Result<Vec<SnapshotInput>, _>>()?;
    let is_before =
        |other: &&Snapshot| other.seq < snapshot.seq && other.sound && other.state == SnapshotState::Complete;
    Ok(Some(SnapshotReview {
        frozen_until: retention::frozen_until(&inputs).filter(|until| now < *until),
        sound: all.iter().rfind(is_before).map(|sound| SoundSnapshot {
            id: sound.id,
            seq: sound.seq,
            received_at: sound.received_at,
            protected_until: sound.protected_until,
        }),
    }))
}

/// Decides on a snapshot that is not sound. A bad one may be called good later; a good one stays good, since what it had held
/// may be gone.
///
/// # Errors
/// `NotFound` when the tenant has no such snapshot; `Conflict` when there is nothing to decide.
pub async fn judge(
    app: &App,
    actor: &Manager,
    id: SnapshotId,
    judgement: Judgement,
) -> Result<SnapshotView, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let (_, source) = with_source(&tx, id).await?;
    // Sweeps, too, decide what is kept under the source's row.
    db::sources::lock(&tx, source.id).await?;
    let (mut snapshot, source) = with_source(&tx, id).await?;
    may_judge(&snapshot, judgement)?;
    let set = set_of(&tx, &source).await?;
    let more = match judgement {
        Judgement::Good => open_tiers(&tx, &set, &snapshot).await?,
        Judgement::Bad => Vec::new(),
    };
    snapshot.tiers.extend(&more);
    snapshot.tiers.sort_unstable();
    snapshot.tiers.dedup();
    db::snapshots::judge(&tx, id, judgement, &snapshot.tiers, now).await?;
    db::sources::set_next_sweep(&tx, source.id, now).await?;
    let event = db::audit::Event {
        actor: &actor.user.email,
        action: "snapshot.judge",
        subject: id.to_string(),
        detail: serde_json::json!({
            "source": source.id, "seq": snapshot.seq, "judgement": judgement, "tiers": more,
            "anomalies": snapshot.anomalies,
        }),
    };
    db::audit::add(&tx, event, now).await?;
    let (snapshot, source) = with_source(&tx, id).await?;
    let agent = db::agents::find(&tx, source.agent_id)
        .await?
        .ok_or(ApiError::NotFound("agent"))?;
    tx.commit().await?;
    app.live
        .send(actor.scope.tenant(), LiveEvent::Sweep { source: source.id });
    Ok(views::snapshot(&snapshot, &source, &agent.hostname))
}

fn may_judge(snapshot: &Snapshot, judgement: Judgement) -> Result<(), ApiError> {
    match (snapshot.state, snapshot.soundness(), judgement) {
        (SnapshotState::Complete, Soundness::Undecided, _)
        | (SnapshotState::Complete, Soundness::Bad, Judgement::Good) => Ok(()),
        (SnapshotState::Complete, Soundness::Bad, Judgement::Bad) => Err(ApiError::conflict(
            "judged",
            "Somebody has decided already that this snapshot is bad.",
        )),
        (SnapshotState::Complete, Soundness::Sound, _) => Err(ApiError::conflict(
            "sound",
            "There is nothing to decide: this snapshot is sound, or somebody has decided that it is good.",
        )),
        (SnapshotState::Locking, ..) => Err(ApiError::conflict(
            "not_complete",
            "This snapshot's locks are still being confirmed. Decide when it is complete.",
        )),
        (SnapshotState::Expired | SnapshotState::Broken, ..) => Err(ApiError::conflict(
            "not_kept",
            "There is nothing to decide: this snapshot is not kept any more, or was never complete.",
        )),
    }
}

/// The tiers that the snapshot's periods still have for it.
async fn open_tiers(tx: &TenantTx, set: &BackupSet, snapshot: &Snapshot) -> Result<Vec<Period>, ApiError> {
    let since = retention::tiers_look_back(snapshot.received_at);
    let others = db::snapshots::tiered_since(tx, snapshot.source_id, Some(snapshot.id), since).await?;
    let candidate = TierCandidate {
        received_at: snapshot.received_at,
        clean: snapshot.clean,
        sound: true,
    };
    Ok(assign_tiers(&set.policy, &others, candidate).map_err(LockError::from)?)
}
