//! Step 2 of a commit: the snapshot gets its number.

use jiff::Timestamp;
use repository::manifest::ManifestHeader;
use shared::{
    anomaly::{Anomaly, Taken, anomalies},
    api::{
        agent::{CommitRequest, PathTotals, RunState},
        commit::CommitPage,
        view::SnapshotState,
    },
    ids::SnapshotId,
    retention::{self, LockError, Period, TierCandidate, assign_tiers},
};

use super::{failure::Failure, presence, set::Touched, state::Commit};
use crate::{
    db::{self, TenantTx, snapshots::Snapshot},
    random,
};

/// What a run took beside the newest sound snapshot.
pub(super) struct Looked {
    /// The source's paths with what lies below each; empty when the agent did not tell.
    paths: Vec<(String, PathTotals)>,
    anomalies: Vec<Anomaly>,
}

impl Looked {
    pub(super) fn is_sound(&self) -> bool {
        !self.anomalies.iter().any(|anomaly| anomaly.change.is_unsound())
    }
}

/// The source's paths with what lies below each; nothing when the agent did not tell, or tells of others than the source has now.
fn paths_of(paths: &[String], totals: &[PathTotals]) -> Vec<(String, PathTotals)> {
    if paths.len() != totals.len() {
        return Vec::new();
    }
    paths.iter().cloned().zip(totals.iter().copied()).collect()
}

impl Commit<'_> {
    /// Step 2: the snapshot gets its number, the ledger what was added and dropped, all or nothing.
    pub(super) async fn number(
        &mut self,
        request: &CommitRequest,
        header: &ManifestHeader,
    ) -> Result<(), Failure> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        let source = db::sources::lock(&tx, self.source.id).await?;
        let source = source.ok_or_else(|| Failure::Run("The source is gone.".into()))?;
        let run = db::runs::lock(&tx, self.run.id).await?;
        let mut run = run.ok_or_else(|| Failure::Run("The run is gone.".into()))?;
        if run.state != RunState::Committing {
            // Another worker was here.
            self.run = run;
            return Ok(());
        }
        if source.newest_seq != request.parent_seq {
            return Err(Failure::Run(
                "Not committed: another snapshot came in between.".into(),
            ));
        }
        let seq = source.newest_seq + 1;
        let received_at = run.received_at.unwrap_or(now);
        self.apply(&tx, request, header, seq).await?;
        // Noted since it was looked for, by a sweep or the daily check.
        match db::absence::missing_of(&tx, source.id, seq).await? {
            0 => {}
            missing => return Err(presence::gone(missing)),
        }

        let clean = request.totals.warnings == 0;
        let looked = self.look_for_anomalies(&tx, request).await?;
        let sound = looked.is_sound();
        let snapshot = Snapshot {
            id: SnapshotId::from_uuid(random::uuid(received_at)),
            source_id: source.id,
            run_id: run.id,
            seq,
            state: SnapshotState::Locking,
            received_at,
            protected_until: retention::protected_until(&self.set.policy, received_at),
            mode: self.set.policy.mode,
            manifest: request.manifest,
            totals: request.totals,
            tiers: self.tiers(&tx, received_at, clean, sound).await?,
            clean,
            sound,
            anomalies: looked.anomalies,
            judgement: None,
            judged_at: None,
            expired_at: None,
        };
        db::snapshots::add(&tx, &snapshot).await?;
        if !looked.paths.is_empty() {
            db::snapshots::add_paths(&tx, snapshot.id, &looked.paths).await?;
        }
        db::sources::set_newest_seq(&tx, source.id, seq).await?;
        run.state = RunState::Locking;
        run.snapshot_id = Some(snapshot.id);
        run.error = None;
        run.confirmed = run.to_confirm;
        db::runs::save(&tx, &run).await?;
        tx.commit().await?;
        (self.run, self.source) = (run, source);
        self.announce();
        Ok(())
    }

    /// The tiers of a snapshot that is being committed: decided here, once. (The run uses the larger of the policy at its start
    /// and at its commit; that is today's, because a policy can not be changed yet.)
    pub(super) async fn tiers(
        &self,
        tx: &TenantTx,
        received_at: Timestamp,
        clean: bool,
        sound: bool,
    ) -> Result<Vec<Period>, Failure> {
        let since = retention::tiers_look_back(received_at);
        let earlier = db::snapshots::tiered_since(tx, self.source.id, None, since).await?;
        let candidate = TierCandidate {
            received_at,
            clean,
            sound,
        };
        assign_tiers(&self.set.policy, &earlier, candidate).map_err(|error| LockError::from(error).into())
    }

    /// Compares what the run took with the newest sound snapshot before.
    pub(super) async fn look_for_anomalies(
        &self,
        tx: &TenantTx,
        request: &CommitRequest,
    ) -> Result<Looked, Failure> {
        let paths = paths_of(&self.source.paths, &request.paths);
        let baseline = db::snapshots::newest_sound(tx, self.source.id).await?;
        let before = match &baseline {
            Some(baseline) => db::snapshots::paths(tx, baseline.id).await?,
            None => Vec::new(),
        };
        let baseline = baseline.as_ref().map(|baseline| Taken {
            totals: &baseline.totals,
            paths: &before,
        });
        let taken = Taken {
            totals: &request.totals,
            paths: &paths,
        };
        let anomalies = anomalies(baseline, taken);
        Ok(Looked { paths, anomalies })
    }

    pub(super) async fn apply(
        &self,
        tx: &TenantTx,
        request: &CommitRequest,
        header: &ManifestHeader,
        seq: u64,
    ) -> Result<(), Failure> {
        let id = self.source.id;
        if request.counted_liveness {
            db::ledger::clear_live_bytes(tx, id).await?;
        }
        let mut touched = Touched::default();
        for number in 0..request.change.pages {
            let page = self.page(tx, number).await?;
            let hashes = page.hashes();
            let (changed, refused) = match &page {
                CommitPage::Added(_) => (
                    db::ledger::make_live(tx, id, &hashes, seq).await?,
                    "an added object is being deleted or is not confirmed",
                ),
                CommitPage::Dropped(_) => (
                    db::ledger::drop_from(tx, id, &hashes, seq).await?,
                    "a dropped object was not needed by the snapshot before",
                ),
                CommitPage::Liveness(packs) => {
                    db::ledger::set_live_bytes(tx, id, packs).await?;
                    continue;
                }
            };
            touched.by(&hashes);
            if changed != hashes.len() as u64 {
                return Err(Failure::Run(format!("Not committed: {refused}.")));
            }
        }
        self.must_match(tx, header, seq, &touched).await?;
        // A manifest describes one snapshot: none after it needs it.
        let manifest = [request.manifest.hash];
        if db::ledger::make_live(tx, id, &manifest, seq).await? != 1 {
            return Err(Failure::Run(
                "Not committed: the manifest is not confirmed.".into(),
            ));
        }
        db::ledger::drop_from(tx, id, &manifest, seq + 1).await?;
        Ok(())
    }

    pub(super) async fn snapshot(&self) -> Result<Snapshot, Failure> {
        let id = self
            .run
            .snapshot_id
            .ok_or_else(|| Failure::Run("The run has no snapshot.".into()))?;
        let tx = self.app.db.tenant(self.scope).await?;
        let snapshot = db::snapshots::find(&tx, id).await?;
        snapshot.ok_or_else(|| Failure::Run("The snapshot is gone.".into()))
    }
}
