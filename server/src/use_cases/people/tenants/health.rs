//! How well a tenant is protected, and a sentence for each thing that keeps it from being so. One cause is one sentence, however
//! many sources and backup sets meet it: what S3 refuses is told once for each storage account and error code, and while a store is
//! silent nothing else is told of its not answering.

mod findings;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use shared::{
    anomaly::Judgement,
    api::{
        agent::RunState,
        view::{BucketCheckReport, BucketInspection, Health},
    },
    retention::Soundness,
    words::counted,
};

use self::findings::Findings;
use super::folder::Folder;
use crate::{
    db::{backup_sets::BackupSet, checks::BucketCheck, snapshots::Snapshot, sources::Source},
    use_cases::views,
};

/// The worst of what is found, and a sentence for each finding. Pure: everything was read before.
pub(super) fn of(folder: &Folder, now: Timestamp) -> (Health, Vec<String>) {
    if folder.sources.is_empty() {
        return (Health::Empty, vec!["Nothing is backed up yet.".to_owned()]);
    }
    let mut found = Findings::default();
    for source in &folder.sources {
        of_source(folder, source, now, &mut found);
    }
    let agents = folder.agents.values();
    for agent in agents.filter(|agent| !views::agent(agent, now).online) {
        found.add(
            Health::Attention,
            format!("The agent on {} is not online.", agent.hostname),
        );
    }
    silent_stores(folder, &mut found);
    for set in folder.sets.values() {
        if let Some(check) = folder.checks.get(&set.id) {
            last_check(folder, set, check, &mut found);
        }
        if let Some(inspection) = &set.inspection {
            last_inspection(&set.name, inspection, &mut found);
        }
    }
    found.sentences(&folder.accounts)
}

fn of_source(folder: &Folder, source: &Source, now: Timestamp, found: &mut Findings) {
    let what = format!("{} on {}", source.name, folder.hostname(source));
    let set = folder.sets.get(&source.backup_set_id);
    let account = set.map(|set| set.storage_account_id);
    let is_silent = account.is_some_and(|account| folder.silences.contains_key(&account));
    let last_run = folder.last_run.get(&source.id);
    let last_failed = last_run.filter(|run| run.state == RunState::Failed);
    if let Some(run) = last_failed {
        let reason = run.error.as_deref().unwrap_or("no reason given");
        if !(is_silent && of_silence(reason)) {
            found.add_reason(Health::Failing, account, &what, "the last run failed", reason);
        }
    }
    match folder.newest.get(&source.id) {
        None if last_failed.is_none() => {
            found.add(
                Health::Attention,
                format!("{what}: there is no complete snapshot yet."),
            );
        }
        Some(newest) if newest.totals.warnings > 0 => {
            let files = counted(newest.totals.warnings, "file", "files");
            let seq = newest.seq;
            let sentence = format!("{what}: snapshot {seq} left out or could not read {files}.");
            found.add(Health::Attention, sentence);
        }
        _ => {}
    }
    if let Some(sentence) = folder.newest.get(&source.id).and_then(anomalies) {
        found.add(Health::Attention, format!("{what}: {sentence}"));
    }
    if let Some(snapshots) = folder.damaged.get(&source.id) {
        let snapshots = counted(*snapshots, "snapshot has", "snapshots have");
        found.add(
            Health::Failing,
            format!(
                "{what}: {snapshots} lost objects from the bucket. The next backup sends again what is still on the machine."
            ),
        );
    }
    // Nothing comes from a retired source any more, and that is right.
    if source.retired_at.is_none() && folder.is_late(source, now) {
        found.add(
            Health::Attention,
            format!("{what}: the scheduled run is late. Its newest snapshot is kept locked meanwhile."),
        );
    }
    let sweep = folder.sweeps.get(&source.id);
    if let Some(first) = sweep.and_then(|sweep| sweep.report.refused.first())
        && !(is_silent && of_silence(first))
    {
        let what_happened = "the last sweep could not do everything";
        found.add_reason(Health::Attention, account, &what, what_happened, first);
    }
}

/// Anomalies, at most, that a sentence names.
const ANOMALIES_NAMED: usize = 3;

/// What is suspicious about the newest snapshot.
fn anomalies(newest: &Snapshot) -> Option<String> {
    let (seq, all) = (newest.seq, &newest.anomalies);
    if all.is_empty() || newest.judgement == Some(Judgement::Good) {
        return None;
    }
    let named = all.iter().take(ANOMALIES_NAMED).map(ToString::to_string);
    let mut named = named.collect::<Vec<_>>().join("; ");
    if all.len() > ANOMALIES_NAMED {
        named = format!("{named}; and {} more", all.len() - ANOMALIES_NAMED);
    }
    Some(match newest.soundness() {
        Soundness::Sound => format!("snapshot {seq} differs from the good one before: {named}."),
        Soundness::Undecided => format!(
            "snapshot {seq} holds far less than the good one before: {named}. What is good stays locked. Look at the machine, then \
             decide on the snapshot's page."
        ),
        Soundness::Bad => format!(
            "snapshot {seq} was found to be bad: {named}. The good one before stays locked until the next good one."
        ),
    })
}

/// Whether a reason says no more than that the store does not answer.
fn of_silence(reason: &str) -> bool {
    [
        "S3 endpoint has not answered",
        "S3 endpoint did not answer",
        "S3 endpoint or the database could not be asked",
    ]
    .iter()
    .any(|words| reason.contains(words))
}

/// Stores that are silent: nothing is backed up to them or extended in them meanwhile.
fn silent_stores(folder: &Folder, found: &mut Findings) {
    for account in &folder.accounts {
        let Some(silence) = folder.silences.get(&account.id) else {
            continue;
        };
        found.add(
            Health::Failing,
            format!(
                "{}: the S3 endpoint {} has not answered since {:.0}. Backups to it and refreshes of locks wait; what is \
                 locked stays locked. It is asked again at {:.0}. Look whether it is up and can be reached from this server.",
                account.name, account.endpoint, silence.since, silence.until
            ),
        );
    }
}

/// What the periodic check of a set's bucket has to say.
fn last_check(folder: &Folder, set: &BackupSet, check: &BucketCheck, found: &mut Findings) {
    let inspected_since = set
        .inspection
        .as_ref()
        .is_some_and(|inspection| inspection.at > check.began_at);
    for (health, sentence) in counts(&check.report, inspected_since) {
        found.add(health, format!("{}: {sentence}", set.name));
    }
    if let Some(refused) = &check.report.refused
        && !(folder.silences.contains_key(&set.storage_account_id) && of_silence(refused))
    {
        let what = "the bucket could not be compared with the ledger";
        let account = Some(set.storage_account_id);
        found.add_reason(Health::Attention, account, &set.name, what, refused);
    }
}

/// A sentence for each count of a check that is not 0. Markers and unknown versions are told of by the inspection that was made
/// since, if there was one.
fn counts(report: &BucketCheckReport, inspected_since: bool) -> Vec<(Health, String)> {
    let unless_inspected = |count: u64| if inspected_since { 0 } else { count };
    let unneeded = report.missing - report.needed_missing.min(report.missing);
    let counts = [
        (
            Health::Failing,
            report.needed_missing,
            (
                "object that kept snapshots need is",
                "objects that kept snapshots need are",
            ),
            "gone from the bucket. The next backup sends the data again.",
        ),
        (
            Health::Failing,
            report.other_size,
            ("object", "objects"),
            "in the bucket with another size than was signed.",
        ),
        (
            Health::Failing,
            report.weak_lock,
            ("object in the bucket is", "objects in the bucket are"),
            "not locked as S3 had confirmed.",
        ),
        (
            Health::Attention,
            unneeded,
            (
                "object that no snapshot needs any more is",
                "objects that no snapshot needs any more are",
            ),
            "gone from the bucket before the time.",
        ),
        (
            Health::Attention,
            unless_inspected(report.delete_markers),
            ("delete marker is", "delete markers are"),
            "in the bucket that somebody put there.",
        ),
        (
            Health::Attention,
            unless_inspected(report.unknown_versions),
            (
                "object version in the bucket is",
                "object versions in the bucket are",
            ),
            "not ours.",
        ),
    ];
    let counts = counts.into_iter().filter(|(_, count, ..)| *count > 0);
    counts
        .map(|(health, count, (one, many), what)| (health, format!("{} {what}", counted(count, one, many))))
        .collect()
}

/// What the last inspection of a set's bucket found, which somebody asked for.
fn last_inspection(name: &str, inspection: &BucketInspection, found: &mut Findings) {
    if inspection.missing_versions > 0 {
        let missing = counted(
            inspection.missing_versions,
            "object version is",
            "object versions are",
        );
        found.add(
            Health::Failing,
            format!("{name}: {missing} missing from the bucket."),
        );
    }
    if inspection.delete_markers > 0 {
        let markers = counted(inspection.delete_markers, "delete marker", "delete markers");
        found.add(
            Health::Attention,
            format!("{name}: somebody put {markers} into the bucket."),
        );
    }
    if inspection.unknown_versions > 0 {
        let unknown = counted(
            inspection.unknown_versions,
            "object version in the bucket is",
            "object versions in the bucket are",
        );
        found.add(Health::Attention, format!("{name}: {unknown} not ours."));
    }
}
