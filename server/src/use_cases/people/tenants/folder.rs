//! What a tenant has, loaded once to judge how well it is protected.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use shared::ids::{AgentId, BackupSetId, SourceId, StorageAccountId};

use crate::{
    app::App,
    breaker::Silence,
    db::{
        self, TenantTx, agents::Agent, backup_sets::BackupSet, checks::BucketCheck, runs::Run,
        snapshots::Snapshot, sources::Source, storage_accounts::StorageAccount, sweeps::Sweep,
        tenants::Tenant,
    },
    error::ApiError,
};

/// What a tenant has, loaded once to judge how well it is protected.
pub(super) struct Folder {
    pub(super) tenant: Tenant,
    pub(super) accounts: Vec<StorageAccount>,
    pub(super) silences: HashMap<StorageAccountId, Silence>,
    pub(super) sets: BTreeMap<BackupSetId, BackupSet>,
    pub(super) agents: BTreeMap<AgentId, Agent>,
    pub(super) sources: Vec<Source>,
    pub(super) open_runs: Vec<Run>,
    pub(super) newest: HashMap<SourceId, Snapshot>,
    pub(super) last_run: HashMap<SourceId, Run>,
    pub(super) sweeps: HashMap<SourceId, Sweep>,
    pub(super) checks: HashMap<BackupSetId, BucketCheck>,
    /// How many complete snapshots of a source have lost objects.
    pub(super) damaged: HashMap<SourceId, u64>,
}

impl Folder {
    pub(super) async fn load(tx: &TenantTx, app: &App) -> Result<Self, ApiError> {
        let tenant = db::tenants::current(tx)
            .await?
            .ok_or(ApiError::NotFound("tenant"))?;
        let sources = db::sources::all(tx).await?;
        let mut newest = HashMap::new();
        let mut last_run = HashMap::new();
        for source in &sources {
            newest.extend(
                db::snapshots::newest_complete(tx, source.id)
                    .await?
                    .map(|found| (source.id, found)),
            );
            last_run.extend(
                db::runs::newest_ended_of_source(tx, source.id)
                    .await?
                    .map(|found| (source.id, found)),
            );
        }
        let damage = db::absence::damage(tx, None).await?;
        let accounts = db::storage_accounts::all(tx).await?;
        let silences = accounts
            .iter()
            .filter_map(|account| Some((account.id, app.breakers.silence(account.id)?)));
        Ok(Self {
            tenant,
            damaged: db::snapshots::count_by_source(tx, damage.keys().copied()).await?,
            silences: silences.collect(),
            accounts,
            sets: db::backup_sets::all(tx)
                .await?
                .into_iter()
                .map(|set| (set.id, set))
                .collect(),
            agents: db::agents::all(tx)
                .await?
                .into_iter()
                .map(|agent| (agent.id, agent))
                .collect(),
            open_runs: db::runs::open(tx).await?,
            sources,
            newest,
            last_run,
            sweeps: db::sweeps::newest(tx).await?,
            checks: db::checks::newest_of_all(tx).await?,
        })
    }

    pub(super) fn hostname(&self, source: &Source) -> &str {
        self.agents
            .get(&source.agent_id)
            .map_or("", |agent| &agent.hostname)
    }

    /// Whether no snapshot has come in since one was due, with the policy's grace. The scheduler's own `next_due` can
    /// not tell: it moves on when a run is queued, and a queued run may wait for its agent for weeks.
    pub(super) fn is_late(&self, source: &Source, now: Timestamp) -> bool {
        let since = self
            .newest
            .get(&source.id)
            .map_or(source.created_at, |newest| newest.received_at);
        let grace = self
            .sets
            .get(&source.backup_set_id)
            .map_or(SignedDuration::ZERO, |set| set.policy.grace());
        // A schedule that can not be read is the schedule round's to report.
        source
            .schedule
            .next_after(since)
            .ok()
            .flatten()
            .is_some_and(|due| due + grace < now)
    }
}
