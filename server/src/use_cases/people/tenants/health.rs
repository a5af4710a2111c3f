//! How well a tenant is protected, and a sentence for each thing that keeps it from being so. One cause is one sentence, however
//! many sources and backup sets meet it: what S3 refuses is told once for each storage account and error code, and while a store is
//! silent nothing else is told of its not answering.

use std::collections::{BTreeMap, btree_map::Entry};

use jiff::Timestamp;
use shared::{
    api::{agent::RunState, view::Health},
    ids::StorageAccountId,
    s3_refusal::{self, Cause},
    words::counted,
};

use super::folder::Folder;
use crate::{
    db::{backup_sets::BackupSet, checks::BucketCheck, sources::Source},
    use_cases::views,
};

/// Sources and backup sets, at most, that a sentence names.
const NAMED: usize = 3;

/// The worst of what is found, and a sentence for each finding.
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
        check(folder, set, folder.checks.get(&set.id), &mut found);
        last_look(set, &mut found);
    }
    found.sentences(folder)
}

/// What is found, before the same cause is told once.
#[derive(Default)]
struct Findings {
    told: Vec<(Health, String)>,
    refusals: BTreeMap<(StorageAccountId, Cause), Refused>,
}

/// What S3 refuses of one storage account, for one cause.
struct Refused {
    health: Health,
    code: String,
    /// What met it: sources and backup sets, each once.
    subjects: Vec<String>,
    /// The finding as it stands, while it is the only one.
    alone: Option<String>,
}

impl Findings {
    fn add(&mut self, health: Health, sentence: String) {
        self.told.push((health, sentence));
    }

    /// A finding whose reason was stored as a sentence, which may tell of a refusal of the store.
    fn add_reason(
        &mut self,
        health: Health,
        account: Option<StorageAccountId>,
        subject: &str,
        what: &str,
        reason: &str,
    ) {
        let sentence = format!("{subject}: {what}: {reason}");
        let refusal = account.zip(s3_refusal::in_sentence(reason));
        let Some((account, (code, cause))) = refusal else {
            return self.add(health, sentence);
        };
        let known = match self.refusals.entry((account, cause)) {
            Entry::Vacant(entry) => entry.insert(Refused {
                health,
                code: code.to_owned(),
                subjects: Vec::new(),
                alone: Some(sentence),
            }),
            Entry::Occupied(entry) => {
                let known = entry.into_mut();
                known.alone = None;
                known
            }
        };
        known.health = known.health.min(health);
        if !known.subjects.iter().any(|known| known == subject) {
            known.subjects.push(subject.to_owned());
        }
    }

    fn sentences(mut self, folder: &Folder) -> (Health, Vec<String>) {
        for ((account, cause), refused) in self.refusals {
            if let Some(sentence) = refused.alone {
                self.told.push((refused.health, sentence));
                continue;
            }
            let account = folder.accounts.iter().find(|known| known.id == account);
            let account = account.map_or("", |account| &account.name);
            let named = refused.subjects.iter().take(NAMED).cloned().collect::<Vec<_>>();
            let more = refused.subjects.len() - named.len();
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let sentence = format!(
                "{account}: S3 refuses what is asked of it ({}): {}. It concerns {}{more}.",
                refused.code,
                cause.remedy(),
                named.join(", ")
            );
            self.told.push((refused.health, sentence));
        }
        self.told.sort_by_key(|finding| finding.0);
        let worst = self.told.first().map_or(Health::Protected, |finding| finding.0);
        (worst, self.told.into_iter().map(|finding| finding.1).collect())
    }
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
    if let Some(snapshots) = folder.damaged.get(&source.id) {
        let snapshots = counted(*snapshots, "snapshot has", "snapshots have");
        found.add(
            Health::Failing,
            format!(
                "{what}: {snapshots} lost objects from the bucket. The next backup sends again what is still on the endpoint."
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

/// What the periodic check of a set's bucket has to say. Markers and unknown versions are told of by the look that was made
/// since, if there was one.
fn check(folder: &Folder, set: &BackupSet, check: Option<&BucketCheck>, found: &mut Findings) {
    let Some(check) = check else {
        return;
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
            of_strangers(report.delete_markers),
            ("delete marker is", "delete markers are"),
            "in the bucket that somebody put there.",
        ),
        (
            Health::Attention,
            of_strangers(report.unknown_versions),
            (
                "object version in the bucket is",
                "object versions in the bucket are",
            ),
            "not ours.",
        ),
    ];
    for (health, count, (one, many), what) in counts {
        if count > 0 {
            found.add(health, format!("{name}: {} {what}", counted(count, one, many)));
        }
    }
    if let Some(refused) = &report.refused
        && !(folder.silences.contains_key(&set.storage_account_id) && of_silence(refused))
    {
        let what = "the bucket could not be compared with the ledger";
        found.add_reason(
            Health::Attention,
            Some(set.storage_account_id),
            name,
            what,
            refused,
        );
    }
}

/// What the last look into a set's bucket found, on somebody's demand.
fn last_look(set: &BackupSet, found: &mut Findings) {
    let Some(look) = &set.inspection else {
        return;
    };
    let name = &set.name;
    if look.missing_versions > 0 {
        let missing = counted(look.missing_versions, "object version is", "object versions are");
        found.add(
            Health::Failing,
            format!("{name}: {missing} missing from the bucket."),
        );
    }
    if look.delete_markers > 0 {
        let markers = counted(look.delete_markers, "delete marker", "delete markers");
        found.add(
            Health::Attention,
            format!("{name}: somebody put {markers} into the bucket."),
        );
    }
    if look.unknown_versions > 0 {
        let unknown = counted(
            look.unknown_versions,
            "object version in the bucket is",
            "object versions in the bucket are",
        );
        found.add(Health::Attention, format!("{name}: {unknown} not ours."));
    }
}
