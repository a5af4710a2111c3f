//! Cases of a tenant's health, without a database: each changes a tenant that is well protected.

use std::collections::{BTreeMap, HashMap};

use repository::{identity::AgentSigningKey, recovery::RecoverySeed};
use shared::{
    api::{
        agent::{RunState, SnapshotTotals, SourceOptions},
        view::{SnapshotState, SweepReport},
    },
    ids::{AgentId, BackupSetId, RunId, SnapshotId, SourceId, StorageAccountId, TenantId},
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::{LockMode, Policy},
    schedule::{Recurrence, Schedule},
};
use uuid::Uuid;

use super::*;
use crate::{
    breaker::Silence,
    db::{
        agents::Agent, runs::Run, snapshots::Snapshot, storage_accounts::StorageAccount, sweeps::Sweep,
        tenants::Tenant,
    },
};

const ID: Uuid = Uuid::from_u128(1);
const DENIED: &str = "not committed: AccessDenied (HTTP 403): the keys lack it.";

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hour * 3_600).unwrap()
}

fn account() -> StorageAccountId {
    StorageAccountId::from_uuid(ID)
}

fn agent() -> Agent {
    Agent {
        id: AgentId::from_uuid(ID),
        backup_set_id: BackupSetId::from_uuid(ID),
        hostname: "web-1".to_owned(),
        os: "linux".to_owned(),
        version: "1".to_owned(),
        signing_key: AgentSigningKey::from_seed([1; 32]).public(),
        credential_hash: Vec::new(),
        enrolled_at: at(-100),
        last_seen_at: Some(at(0)),
        token_id: None,
        machines: Default::default(),
    }
}

fn source(id: u128, name: &str) -> Source {
    Source {
        id: SourceId::from_uuid(Uuid::from_u128(id)),
        agent_id: AgentId::from_uuid(ID),
        backup_set_id: BackupSetId::from_uuid(ID),
        name: name.to_owned(),
        paths: vec!["/srv".to_owned()],
        excludes: Vec::new(),
        schedule: Schedule {
            recurrence: Recurrence::Hour { minute: 0 },
            time_zone: "UTC".to_owned(),
        },
        next_due: None,
        newest_seq: 1,
        retired_at: None,
        next_sweep_at: None,
        lock_ahead_days: None,
        options: SourceOptions::default(),
        created_at: at(-100),
    }
}

fn snapshot(source: SourceId) -> Snapshot {
    Snapshot {
        id: SnapshotId::from_uuid(ID),
        source_id: source,
        run_id: RunId::from_uuid(ID),
        seq: 1,
        state: SnapshotState::Complete,
        received_at: at(-1),
        protected_until: at(2_000),
        mode: LockMode::Compliance,
        manifest: ObjectRef {
            kind: ObjectKind::Manifest,
            hash: ObjectHash::from_bytes([1; 32]),
            size_bytes: 1,
        },
        totals: SnapshotTotals::default(),
        tiers: Vec::new(),
        clean: true,
        sound: true,
        anomalies: Vec::new(),
        judgement: None,
        judged_at: None,
        expired_at: None,
    }
}

fn protected() -> Folder {
    let set = BackupSet {
        id: BackupSetId::from_uuid(ID),
        storage_account_id: account(),
        name: "servers".to_owned(),
        bucket: "acme".to_owned(),
        prefix: String::new(),
        policy: Policy::new(30, LockMode::Compliance).unwrap(),
        recovery_key: RecoverySeed::from_bytes([1; 32]).secret().public().clone(),
        inspection: None,
        compliance_proven_at: None,
        compliance_tried_at: None,
        created_at: at(-100),
    };
    let source = source(1, "files");
    Folder {
        tenant: Tenant {
            id: TenantId::from_uuid(ID),
            name: "Acme".to_owned(),
        },
        accounts: vec![StorageAccount {
            id: account(),
            name: "provider".to_owned(),
            endpoint: "https://s3.example".to_owned(),
            region: "eu".to_owned(),
            access_key: "key".to_owned(),
            secret_sealed: Vec::new(),
            path_style: false,
            provider: None,
        }],
        silences: HashMap::new(),
        sets: BTreeMap::from([(set.id, set)]),
        agents: BTreeMap::from([(AgentId::from_uuid(ID), agent())]),
        open_runs: Vec::new(),
        newest: HashMap::from([(source.id, snapshot(source.id))]),
        last_run: HashMap::new(),
        sweeps: HashMap::new(),
        checks: HashMap::new(),
        damaged: HashMap::new(),
        sources: vec![source],
    }
}

fn first(folder: &Folder) -> SourceId {
    folder.sources[0].id
}

fn fail_last_run(folder: &mut Folder, source: SourceId, reason: &str) {
    let mut run = Run::queued(RunId::from_uuid(ID), source, at(-1));
    run.state = RunState::Failed;
    run.error = Some(reason.to_owned());
    folder.last_run.insert(source, run);
}

fn set(folder: &mut Folder) -> &mut BackupSet {
    folder.sets.values_mut().next().unwrap()
}

fn checked(folder: &mut Folder, report: BucketCheckReport) {
    let id = BackupSetId::from_uuid(ID);
    let check = BucketCheck {
        backup_set_id: id,
        began_at: at(-2),
        ended_at: at(-2),
        report,
    };
    folder.checks.insert(id, check);
}

fn inspection(unknown_versions: u64) -> BucketInspection {
    BucketInspection {
        at: at(-1),
        versions: 9,
        bytes: 9,
        delete_markers: 0,
        known_versions: 9 - unknown_versions,
        unknown_versions,
        missing_versions: 0,
        marker_examples: Vec::new(),
    }
}

fn silence(folder: &mut Folder) {
    let silence = Silence {
        since: at(-3),
        until: at(1),
    };
    folder.silences.insert(account(), silence);
}

/// A case: what is changed, the health that follows, and words of each sentence in order.
type Case = (&'static str, fn(&mut Folder), Health, &'static [&'static str]);

const CASES: &[Case] = &[
    ("nothing is wrong", |_| {}, Health::Protected, &[]),
    (
        "no source",
        |folder| folder.sources.clear(),
        Health::Empty,
        &["Nothing is backed up yet."],
    ),
    (
        "the last run failed",
        |folder| fail_last_run(folder, first(folder), "the disk is full."),
        Health::Failing,
        &["files on web-1: the last run failed: the disk is full."],
    ),
    (
        "no snapshot yet",
        |folder| {
            folder.newest.clear();
            folder.sources[0].created_at = at(-1);
        },
        Health::Attention,
        &["files on web-1: there is no complete snapshot yet."],
    ),
    (
        "unreadable files",
        |folder| {
            let source = first(folder);
            folder.newest.get_mut(&source).unwrap().totals.warnings = 2;
        },
        Health::Attention,
        &["snapshot 1 left out or could not read 2 files"],
    ),
    (
        "a late run",
        |folder| {
            let source = first(folder);
            folder.newest.get_mut(&source).unwrap().received_at = at(-26);
        },
        Health::Attention,
        &["the scheduled run is late"],
    ),
    (
        "a retired source is never late",
        |folder| {
            let source = first(folder);
            folder.newest.get_mut(&source).unwrap().received_at = at(-26);
            folder.sources[0].retired_at = Some(at(-20));
        },
        Health::Protected,
        &[],
    ),
    (
        "an agent that is not online",
        |folder| folder.agents.values_mut().next().unwrap().last_seen_at = None,
        Health::Attention,
        &["The agent on web-1 is not online."],
    ),
    (
        "snapshots that lost objects",
        |folder| {
            let source = first(folder);
            folder.damaged.insert(source, 1);
        },
        Health::Failing,
        &["1 snapshot has lost objects from the bucket"],
    ),
    (
        "the worst comes first",
        |folder| {
            folder.agents.values_mut().next().unwrap().last_seen_at = None;
            fail_last_run(folder, first(folder), "the disk is full.");
        },
        Health::Failing,
        &["the last run failed", "is not online"],
    ),
    (
        "a sweep that could not do everything",
        |folder| {
            let source_id = first(folder);
            let sweep = Sweep {
                source_id,
                began_at: at(-1),
                ended_at: at(-1),
                report: SweepReport {
                    refused: vec!["a lock was not extended.".to_owned()],
                    ..SweepReport::default()
                },
            };
            folder.sweeps.insert(source_id, sweep);
        },
        Health::Attention,
        &["the last sweep could not do everything: a lock was not extended."],
    ),
    (
        "one refusal of S3 is told as it stands",
        |folder| fail_last_run(folder, first(folder), DENIED),
        Health::Failing,
        &["files on web-1: the last run failed: not committed: AccessDenied"],
    ),
    (
        "the same refusal of two sources is one sentence",
        |folder| {
            let other = source(2, "mail");
            folder.newest.insert(other.id, snapshot(other.id));
            fail_last_run(folder, first(folder), DENIED);
            fail_last_run(folder, other.id, DENIED);
            folder.sources.push(other);
        },
        Health::Failing,
        &["provider: S3 refuses what is asked of it (AccessDenied)"],
    ),
    (
        "a silent store is told once, and not again by what waits for it",
        |folder| {
            silence(folder);
            fail_last_run(folder, first(folder), "the S3 endpoint did not answer.");
            let refused = Some("The S3 endpoint did not answer.".to_owned());
            checked(
                folder,
                BucketCheckReport {
                    refused,
                    ..BucketCheckReport::default()
                },
            );
        },
        Health::Failing,
        &["provider: the S3 endpoint https://s3.example has not answered since"],
    ),
    (
        "objects that are gone, needed or not",
        |folder| {
            checked(
                folder,
                BucketCheckReport {
                    missing: 3,
                    needed_missing: 1,
                    ..BucketCheckReport::default()
                },
            );
        },
        Health::Failing,
        &[
            "servers: 1 object that kept snapshots need is gone",
            "servers: 2 objects that no snapshot needs any more are gone",
        ],
    ),
    (
        "an inspection after the check tells of unknown versions in its place",
        |folder| {
            checked(
                folder,
                BucketCheckReport {
                    unknown_versions: 5,
                    ..BucketCheckReport::default()
                },
            );
            set(folder).inspection = Some(inspection(2));
        },
        Health::Attention,
        &["servers: 2 object versions in the bucket are not ours."],
    ),
    (
        "an inspection that found nothing",
        |folder| set(folder).inspection = Some(inspection(0)),
        Health::Protected,
        &[],
    ),
];

#[test]
fn each_cause_has_its_health_and_its_sentence() {
    for (case, change, health, sentences) in CASES {
        let mut folder = protected();
        change(&mut folder);
        let (found, told) = of(&folder, at(0));
        assert_eq!(found, *health, "{case}: {told:?}");
        assert_eq!(told.len(), sentences.len(), "{case}: {told:?}");
        for (told, words) in told.iter().zip(*sentences) {
            assert!(told.contains(words), "{case}: {told}");
        }
    }
}
