//! The overview and a tenant's page.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use shared::{
    api::{
        agent::RunState,
        request::NewTenant,
        view::{Damage, Health, Me, SnapshotView, TenantPage, TenantSummary},
    },
    ids::{AgentId, BackupSetId, SnapshotId, SourceId, StorageAccountId, TenantId},
};

use super::{name, or_taken, views};
use crate::{
    app::App,
    breaker::Silence,
    db::{
        self, TenantTx, agents::Agent, backup_sets::BackupSet, checks::BucketCheck, runs::Run,
        snapshots::Snapshot, sources::Source, storage_accounts::StorageAccount, sweeps::Sweep,
        tenants::Tenant,
    },
    error::ApiError,
    random,
    scope::{self, Access, Actor, TenantScope},
};

/// Findings of a bucket's check that a page shows.
const FINDINGS_SHOWN: u64 = 50;

/// Every tenant that the user may see, the worst first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(app: &App, user: &Me) -> Result<Vec<TenantSummary>, ApiError> {
    let tenants = if user.operator {
        db::tenants::all(&app.db.instance().await?).await?
    } else {
        db::tenants::of_user(&app.db.user(user.id).await?).await?
    };
    let mut summaries = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let actor = scope::authorise(&app.db, user.clone(), tenant.id, Access::Read).await?;
        summaries.push(summary(app, &actor.scope).await?);
    }
    summaries.sort_by(|a, b| a.health.cmp(&b.health).then_with(|| a.name.cmp(&b.name)));
    Ok(summaries)
}

/// Makes a tenant. Operators only.
///
/// # Errors
/// `Forbidden` for anybody else; `Conflict` when the name is taken.
pub async fn create(app: &App, user: &Me, request: NewTenant) -> Result<TenantSummary, ApiError> {
    if !user.operator {
        return Err(ApiError::Forbidden);
    }
    let now = app.clock.now();
    let tenant = Tenant {
        id: TenantId::from_uuid(random::uuid(now)),
        name: name("name", &request.name)?,
    };
    let tx = app.db.instance().await?;
    let taken = |error| {
        or_taken(
            error,
            "name_taken",
            "A customer of this name exists: choose another name.",
        )
    };
    db::tenants::add(&tx, &tenant, now).await.map_err(taken)?;
    let event = db::audit::Event {
        actor: &user.email,
        action: "tenant.create",
        subject: tenant.id.to_string(),
        detail: serde_json::json!({ "name": tenant.name }),
    };
    db::audit::add_instance(&tx, event, now).await?;
    tx.commit().await?;
    let actor = scope::authorise(&app.db, user.clone(), tenant.id, Access::Read).await?;
    summary(app, &actor.scope).await
}

async fn summary(app: &App, scope: &TenantScope) -> Result<TenantSummary, ApiError> {
    let tx = app.db.tenant(scope).await?;
    let folder = Folder::load(&tx, app).await?;
    folder.summary(&tx, app.clock.now()).await
}

/// A tenant's page.
///
/// # Errors
/// When the database does not answer.
pub async fn page(app: &App, actor: &Actor) -> Result<TenantPage, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let folder = Folder::load(&tx, app).await?;
    let accounts = &folder.accounts;
    let snapshots = db::snapshots::newest(&tx, 50).await?;
    let mut runs = folder.open_runs.clone();
    let ended = db::runs::newest_ended(&tx, 20).await?;
    runs.extend(
        ended
            .into_iter()
            .take(20_usize.saturating_sub(folder.open_runs.len())),
    );

    let account_name = |set: &BackupSet| {
        accounts
            .iter()
            .find(|account| account.id == set.storage_account_id)
            .map_or("", |account| &account.name)
    };
    let mut restores = Vec::new();
    let mut known: HashMap<SnapshotId, Snapshot> = snapshots
        .iter()
        .map(|snapshot| (snapshot.id, snapshot.clone()))
        .collect();
    for restore in db::restores::newest(&tx, 10).await? {
        if let std::collections::hash_map::Entry::Vacant(entry) = known.entry(restore.snapshot_id)
            && let Some(snapshot) = db::snapshots::find(&tx, restore.snapshot_id).await?
        {
            entry.insert(snapshot);
        }
        if let Some((snapshot, source)) = known.get(&restore.snapshot_id).and_then(|snapshot| {
            Some((
                snapshot,
                folder.sources.iter().find(|s| s.id == snapshot.source_id)?,
            ))
        }) {
            restores.push(views::restore(&restore, snapshot, source, now));
        }
    }
    let mut backup_sets = Vec::with_capacity(folder.sets.len());
    for set in folder.sets.values() {
        let mut view = views::backup_set(set, account_name(set));
        if let Some(check) = folder.checks.get(&set.id) {
            let findings = db::checks::findings(&tx, set.id, Some(FINDINGS_SHOWN)).await?;
            view.check = Some(views::bucket_check(check, findings));
        }
        let silence = folder.silences.get(&set.storage_account_id);
        view.silence = silence.copied().map(views::silence);
        backup_sets.push(view);
    }
    Ok(TenantPage {
        storage_accounts: accounts
            .iter()
            .map(|account| views::storage_account(account, folder.silences.get(&account.id).copied()))
            .collect(),
        backup_sets,
        agents: folder
            .agents
            .values()
            .map(|agent| views::agent(agent, now))
            .collect(),
        sources: folder
            .sources
            .iter()
            .map(|source| {
                let newest = folder
                    .newest
                    .get(&source.id)
                    .and_then(|newest| folder.snapshot_view(newest));
                let active = folder.open_runs.iter().find(|run| run.source_id == source.id);
                views::source(
                    source,
                    folder.hostname(source),
                    folder.set_name(source),
                    newest,
                    active,
                    folder.sweeps.get(&source.id),
                )
            })
            .collect(),
        runs: runs.iter().filter_map(|run| folder.run_view(run)).collect(),
        snapshots: snapshots
            .iter()
            .filter_map(|snapshot| folder.snapshot_view(snapshot))
            .collect(),
        restores,
        summary: folder.summary(&tx, now).await?,
    })
}

/// What the periodic check of a set's bucket has to say. Markers and unknown versions are told of by the look that was made
/// since, if there was one.
fn check_reasons(set: &BackupSet, check: Option<&BucketCheck>) -> Vec<(Health, String)> {
    let Some(check) = check else {
        return Vec::new();
    };
    let report = &check.report;
    let name = &set.name;
    let looked_since = set
        .inspection
        .as_ref()
        .is_some_and(|inspection| inspection.at > check.began_at);
    let of_strangers = |count: u64| if looked_since { 0 } else { count };
    let unneeded = report.missing - report.needed_missing.min(report.missing);
    let counts = [
        (
            Health::Failing,
            report.needed_missing,
            "objects that kept snapshots need are gone from the bucket. The next backup sends their data again.",
        ),
        (
            Health::Failing,
            report.other_size,
            "objects in the bucket have another size than was signed.",
        ),
        (
            Health::Failing,
            report.weak_lock,
            "objects in the bucket are not locked as S3 had confirmed.",
        ),
        (
            Health::Attention,
            unneeded,
            "objects that no snapshot needs any more are gone from the bucket before their time.",
        ),
        (
            Health::Attention,
            of_strangers(report.delete_markers),
            "delete markers are in the bucket that somebody put there.",
        ),
        (
            Health::Attention,
            of_strangers(report.unknown_versions),
            "object versions in the bucket are not ours.",
        ),
    ];
    let counted = counts.into_iter().filter(|(_, count, _)| *count > 0);
    let mut reasons: Vec<_> = counted
        .map(|(health, count, what)| (health, format!("{name}: {count} {what}")))
        .collect();
    if let Some(refused) = &report.refused {
        let reason = format!("{name}: the bucket could not be compared with the ledger: {refused}");
        reasons.push((Health::Attention, reason));
    }
    reasons
}

/// What a tenant has, loaded once for a page.
struct Folder {
    tenant: Tenant,
    accounts: Vec<StorageAccount>,
    silences: HashMap<StorageAccountId, Silence>,
    sets: std::collections::BTreeMap<BackupSetId, BackupSet>,
    agents: std::collections::BTreeMap<AgentId, Agent>,
    sources: Vec<Source>,
    open_runs: Vec<Run>,
    newest: HashMap<SourceId, Snapshot>,
    last_run: HashMap<SourceId, Run>,
    sweeps: HashMap<SourceId, Sweep>,
    checks: HashMap<BackupSetId, BucketCheck>,
    /// What complete snapshots have lost.
    damage: HashMap<SnapshotId, Damage>,
    /// How many snapshots of a source that is.
    damaged: HashMap<SourceId, u64>,
}

impl Folder {
    async fn load(tx: &TenantTx, app: &App) -> Result<Self, ApiError> {
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
            damage,
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

    fn hostname(&self, source: &Source) -> &str {
        self.agents
            .get(&source.agent_id)
            .map_or("", |agent| &agent.hostname)
    }

    fn set_name(&self, source: &Source) -> &str {
        self.sets.get(&source.backup_set_id).map_or("", |set| &set.name)
    }

    fn source(&self, id: SourceId) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    fn run_view(&self, run: &Run) -> Option<shared::api::view::RunView> {
        self.source(run.source_id)
            .map(|source| views::run(run, source, self.hostname(source)))
    }

    fn snapshot_view(&self, snapshot: &Snapshot) -> Option<SnapshotView> {
        let source = self.source(snapshot.source_id)?;
        let mut view = views::snapshot(snapshot, source, self.hostname(source));
        view.damage = self.damage.get(&snapshot.id).copied();
        Some(view)
    }

    async fn summary(&self, tx: &TenantTx, now: Timestamp) -> Result<TenantSummary, ApiError> {
        let (health, reasons) = self.health(now);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let snapshots = db::snapshots::count_complete(tx).await?;
        Ok(TenantSummary {
            id: self.tenant.id,
            name: self.tenant.name.clone(),
            health,
            reasons,
            agents: count(self.agents.len()),
            sources: count(self.sources.len()),
            snapshots: u32::try_from(snapshots).unwrap_or(u32::MAX),
            newest_snapshot_at: self.newest.values().map(|snapshot| snapshot.received_at).max(),
            active_runs: count(
                self.open_runs
                    .iter()
                    .filter(|run| run.state != RunState::Queued)
                    .count(),
            ),
        })
    }

    /// Whether no snapshot has come in since one was due, with the policy's grace. The scheduler's own `next_due` can
    /// not tell: it moves on when a run is queued, and a queued run may wait for its agent for weeks.
    fn is_late(&self, source: &Source, now: Timestamp) -> bool {
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

    /// Stores that are silent: nothing is backed up to them or extended in them meanwhile.
    fn silent_stores(&self) -> impl Iterator<Item = (Health, String)> {
        self.accounts.iter().filter_map(|account| {
            let silence = self.silences.get(&account.id)?;
            let sentence = format!(
                "{}: the S3 endpoint {} has not answered since {:.0}. Backups to it and refreshes of locks wait; what is \
                 locked stays locked. It is asked again at {:.0}. Look whether it is up and can be reached from this server.",
                account.name, account.endpoint, silence.since, silence.until
            );
            Some((Health::Failing, sentence))
        })
    }

    /// The worst of what is found, and a sentence for each finding.
    fn health(&self, now: Timestamp) -> (Health, Vec<String>) {
        if self.sources.is_empty() {
            return (Health::Empty, vec!["Nothing is backed up yet.".to_owned()]);
        }
        let mut findings: Vec<(Health, String)> = Vec::new();
        for source in &self.sources {
            let what = format!("{} on {}", source.name, self.hostname(source));
            let last_failed = self
                .last_run
                .get(&source.id)
                .filter(|run| run.state == RunState::Failed);
            if let Some(run) = last_failed {
                let reason = run.error.as_deref().unwrap_or("no reason given");
                findings.push((Health::Failing, format!("{what}: the last run failed: {reason}")));
            }
            match self.newest.get(&source.id) {
                None if last_failed.is_none() => {
                    findings.push((
                        Health::Attention,
                        format!("{what}: there is no complete snapshot yet."),
                    ));
                }
                Some(newest) if newest.totals.warnings > 0 => {
                    let files = newest.totals.warnings;
                    findings.push((
                        Health::Attention,
                        format!(
                            "{what}: snapshot {} left out or could not read {files} files.",
                            newest.seq
                        ),
                    ));
                }
                _ => {}
            }
            if let Some(snapshots) = self.damaged.get(&source.id) {
                let snapshots = match snapshots {
                    1 => "1 snapshot has".to_owned(),
                    more => format!("{more} snapshots have"),
                };
                findings.push((
                    Health::Failing,
                    format!(
                        "{what}: {snapshots} lost objects from the bucket. The next backup sends again what is still on the \
                         endpoint."
                    ),
                ));
            }
            // Nothing comes from a retired source any more, and that is right.
            if source.retired_at.is_none() && self.is_late(source, now) {
                findings.push((
                    Health::Attention,
                    format!(
                        "{what}: the scheduled run is late. Its newest snapshot is kept locked meanwhile."
                    ),
                ));
            }
            if let Some(refused) = self.sweeps.get(&source.id).map(|sweep| &sweep.report.refused)
                && let Some(first) = refused.first()
            {
                findings.push((
                    Health::Attention,
                    format!("{what}: the last sweep could not do everything: {first}"),
                ));
            }
        }
        for agent in self
            .agents
            .values()
            .filter(|agent| !views::agent(agent, now).online)
        {
            findings.push((
                Health::Attention,
                format!("The agent on {} is not online.", agent.hostname),
            ));
        }
        findings.extend(self.silent_stores());
        for set in self.sets.values() {
            findings.extend(check_reasons(set, self.checks.get(&set.id)));
            let Some(found) = &set.inspection else { continue };
            if found.missing_versions > 0 {
                let missing = found.missing_versions;
                findings.push((
                    Health::Failing,
                    format!(
                        "{}: {missing} object versions are missing from the bucket.",
                        set.name
                    ),
                ));
            }
            if found.delete_markers > 0 {
                let markers = found.delete_markers;
                findings.push((
                    Health::Attention,
                    format!(
                        "{}: somebody put {markers} delete markers into the bucket.",
                        set.name
                    ),
                ));
            }
            if found.unknown_versions > 0 {
                let unknown = found.unknown_versions;
                findings.push((
                    Health::Attention,
                    format!(
                        "{}: {unknown} object versions in the bucket are not ours.",
                        set.name
                    ),
                ));
            }
        }
        findings.sort_by_key(|finding| finding.0);
        let worst = findings.first().map_or(Health::Protected, |finding| finding.0);
        (worst, findings.into_iter().map(|finding| finding.1).collect())
    }
}
