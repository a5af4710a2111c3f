//! From records to what people see.

use jiff::{SignedDuration, Timestamp};
use shared::api::{
    agent::{RunState, SnapshotSummary},
    report::RunReport,
    view::{
        AgentView, BackupSetView, BucketCheckView, BucketFindingView, ProtectionView, RestoreState,
        RestoreView, RunView, SilenceView, SnapshotState, SnapshotView, SourceName, SourceView,
        StorageAccountView, StuckView, SweepView,
    },
};

use crate::breaker::Silence;
use crate::db::{
    agents::Agent,
    backup_sets::BackupSet,
    checks::BucketCheck,
    restores::{Restore, StoredState},
    runs::Run,
    snapshots::Snapshot,
    sources::Source,
    storage_accounts::StorageAccount,
    sweeps::Sweep,
};

/// Agents poll for work at least every 30 seconds: one that has been silent for four times as long is gone.
const ONLINE_FOR: SignedDuration = SignedDuration::from_mins(2);

/// The silence of a store.
#[must_use]
pub fn silence(silence: Silence) -> SilenceView {
    SilenceView {
        since: silence.since,
        asked_again_at: silence.until,
    }
}

/// A storage account, without its secret.
#[must_use]
pub fn storage_account(account: &StorageAccount, silent: Option<Silence>) -> StorageAccountView {
    StorageAccountView {
        id: account.id,
        name: account.name.clone(),
        endpoint: account.endpoint.clone(),
        region: account.region.clone(),
        access_key: account.access_key.clone(),
        silence: silent.map(silence),
    }
}

/// A backup set.
#[must_use]
pub fn backup_set(set: &BackupSet, account_name: &str) -> BackupSetView {
    BackupSetView {
        id: set.id,
        name: set.name.clone(),
        storage_account_id: set.storage_account_id,
        storage_account_name: account_name.to_owned(),
        bucket: set.bucket.clone(),
        prefix: set.prefix.clone(),
        retention_days: set.policy.retention_days,
        mode: set.policy.mode,
        policy: set.policy.clone(),
        recovery_fingerprint: set.recovery_key.fingerprint().to_string(),
        created_at: set.created_at,
        inspection: set.inspection.clone(),
    }
}

/// A check of a backup set's bucket.
#[must_use]
pub fn bucket_check(check: &BucketCheck, findings: Vec<BucketFindingView>) -> BucketCheckView {
    BucketCheckView {
        began_at: check.began_at,
        ended_at: check.ended_at,
        report: check.report.clone(),
        findings,
    }
}

/// An agent.
#[must_use]
pub fn agent(agent: &Agent, now: Timestamp) -> AgentView {
    AgentView {
        id: agent.id,
        hostname: agent.hostname.clone(),
        os: agent.os.clone(),
        version: agent.version.clone(),
        backup_set_id: agent.backup_set_id,
        enrolled_at: agent.enrolled_at,
        last_seen_at: agent.last_seen_at,
        online: is_online(agent, now),
        held: agent.machines.held(),
    }
}

fn is_online(agent: &Agent, now: Timestamp) -> bool {
    agent
        .last_seen_at
        .is_some_and(|seen| now.duration_since(seen) < ONLINE_FOR)
}

/// How a source stands.
#[derive(Debug, Default)]
pub struct SourceState<'a> {
    /// Its newest complete snapshot.
    pub newest_snapshot: Option<SnapshotView>,
    /// What the run of that said of the source.
    pub report: Option<&'a RunReport>,
    /// Its run that is queued or under way.
    pub active_run: Option<&'a Run>,
    /// Its last sweep.
    pub last_sweep: Option<&'a Sweep>,
}

/// A source.
#[must_use]
pub fn source(
    source: &Source,
    its_agent: &Agent,
    backup_set_name: &str,
    state: SourceState<'_>,
    now: Timestamp,
) -> SourceView {
    let lines = |numbers: fn(&RunReport) -> &Vec<u32>| {
        let numbers = state.report.map(numbers).into_iter().flatten();
        let line = |number: &u32| source.excludes.get(usize::try_from(*number).ok()?).cloned();
        numbers.filter_map(line).collect()
    };
    SourceView {
        id: source.id,
        name: source.name.clone(),
        agent_id: source.agent_id,
        hostname: its_agent.hostname.clone(),
        online: is_online(its_agent, now),
        held: its_agent.machines.held(),
        backup_set_id: source.backup_set_id,
        backup_set_name: backup_set_name.to_owned(),
        paths: source.paths.clone(),
        excludes: source.excludes.clone(),
        options: source.options.clone(),
        unmatched_excludes: lines(|report| &report.unmatched_excludes),
        unread_excludes: lines(|report| &report.unread_excludes),
        took_nothing: state
            .report
            .zip(state.newest_snapshot.as_ref())
            .is_some_and(|(report, newest)| report.took_nothing(newest.totals.files)),
        schedule: source.schedule.clone(),
        next_due: source.next_due,
        newest_snapshot: state.newest_snapshot,
        active_run: state.active_run.map(|run| run.id),
        protection: protection(source, state.last_sweep),
    }
}

/// A source's name and its agent's host name.
#[must_use]
pub fn source_name(source: &Source, hostname: Option<String>) -> SourceName {
    SourceName {
        id: source.id,
        name: source.name.clone(),
        hostname: hostname.unwrap_or_default(),
    }
}

/// How a source's backups are kept protected.
#[must_use]
pub fn protection(source: &Source, last_sweep: Option<&Sweep>) -> ProtectionView {
    ProtectionView {
        retired_at: source.retired_at,
        last_sweep: last_sweep.map(|sweep| SweepView {
            began_at: sweep.began_at,
            ended_at: sweep.ended_at,
            report: sweep.report.clone(),
        }),
        next_sweep_at: source.next_sweep_at,
    }
}

/// A read of a run under way that does not come back. The agent tells which of the source's paths it is below.
fn stuck(run: &Run, source: &Source) -> Option<StuckView> {
    let stuck = run
        .progress
        .as_ref()?
        .stuck
        .filter(|_| run.state == RunState::Running)?;
    Some(StuckView {
        path: source.paths.get(usize::try_from(stuck.path).ok()?)?.clone(),
        seconds: stuck.seconds,
    })
}

/// A run.
#[must_use]
pub fn run(run: &Run, source: &Source, hostname: &str) -> RunView {
    RunView {
        id: run.id,
        source_id: run.source_id,
        source_name: source.name.clone(),
        hostname: hostname.to_owned(),
        state: run.state,
        created_at: run.created_at,
        started_at: run.started_at,
        reported_at: run.reported_at,
        finished_at: run.finished_at,
        progress: run.progress.clone(),
        confirmed: (run.to_confirm > 0).then_some((run.confirmed, run.to_confirm)),
        snapshot_id: run.snapshot_id,
        error: run.error.clone(),
        report: run.report.clone(),
        not_before: run.not_before,
        retries: run.retries,
        stuck: stuck(run, source),
    }
}

/// A snapshot.
#[must_use]
pub fn snapshot(snapshot: &Snapshot, source: &Source, hostname: &str) -> SnapshotView {
    SnapshotView {
        id: snapshot.id,
        source_id: snapshot.source_id,
        source_name: source.name.clone(),
        hostname: hostname.to_owned(),
        seq: snapshot.seq,
        state: snapshot.state,
        received_at: snapshot.received_at,
        protected_until: snapshot.protected_until,
        tiers: snapshot.tiers.clone(),
        mode: snapshot.mode,
        totals: snapshot.totals,
        soundness: snapshot.soundness(),
        anomalies: snapshot.anomalies.clone(),
        judged_at: snapshot.judged_at,
        damage: None,
    }
}

/// A snapshot, as its agent sees it.
#[must_use]
pub fn snapshot_summary(snapshot: &Snapshot, source: &Source) -> SnapshotSummary {
    SnapshotSummary {
        id: snapshot.id,
        source_id: snapshot.source_id,
        source_name: source.name.clone(),
        seq: snapshot.seq,
        received_at: snapshot.received_at,
        protected_until: snapshot.protected_until,
        complete: snapshot.state == SnapshotState::Complete,
        totals: snapshot.totals,
    }
}

/// A restore.
#[must_use]
pub fn restore(restore: &Restore, snapshot: &Snapshot, source: &Source, now: Timestamp) -> RestoreView {
    RestoreView {
        id: restore.id,
        snapshot_id: restore.snapshot_id,
        source_name: source.name.clone(),
        seq: snapshot.seq,
        state: match restore.state {
            StoredState::Authorised | StoredState::Running if restore.expires_at <= now => {
                RestoreState::Expired
            }
            StoredState::Authorised => RestoreState::Authorised,
            StoredState::Running => RestoreState::Running,
            StoredState::Succeeded => RestoreState::Succeeded,
            StoredState::Failed => RestoreState::Failed,
            StoredState::Ended => RestoreState::Ended,
        },
        authorised_by: restore.authorised_by.clone(),
        created_at: restore.created_at,
        expires_at: restore.expires_at,
        finished_at: restore.finished_at,
        progress: restore.progress.clone(),
        error: restore.error.clone(),
        permission_id: restore.permission_id,
        purpose: restore.purpose,
    }
}
