//! An endpoint that backs up to a bucket in memory and restores from it, without a server.

use std::path::Path;

use agent::{
    backup::{BackupError, Job, Parent, Prepared, prepare},
    cache::{Cache, Head},
    owners::Users,
    progress::{RestoreCounters, RunCounters, Silent},
    restore::{Order, Outcome, RestoreError, restore_from},
    snapshot::{Snapshot, SnapshotError},
    store::ObjectSource,
};
use repository::{
    chunk::SourceSecret,
    identity::AgentSigningKey,
    manifest::{self, ManifestHeader, Warning},
    pack::PackLayout,
    recovery::{RecoverySecret, RecoverySeed},
};
use shared::{
    api::{
        agent::{SourceOptions, SourceSpec},
        commit::PackLiveness,
        report::RunReport,
    },
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectRef},
};

use super::bucket::Bucket;

/// An agent without a server.
pub struct Endpoint {
    pub bucket: Bucket,
    pub kit: RecoverySecret,
    pub key: AgentSigningKey,
    pub secret: SourceSecret,
    pub spec: SourceSpec,
    pub cache: tempfile::TempDir,
    pub seq: u64,
    pub manifest: Option<ObjectHash>,
    pub do_not_reuse: Vec<ObjectHash>,
    /// Packs of runs that broke off, which the next run takes over.
    pub adopted: Vec<PackLayout>,
    /// The figures of the last run.
    pub counters: RunCounters,
    /// The accounts of this machine.
    pub users: Users,
}

impl Endpoint {
    pub fn new(paths: &[&Path], excludes: &[&str]) -> Self {
        Self {
            bucket: Bucket::default(),
            kit: RecoverySeed::from_bytes([9; 32]).secret(),
            key: AgentSigningKey::from_seed([3; 32]),
            secret: SourceSecret::from_bytes([4; 32]),
            spec: SourceSpec {
                id: SourceId::from_uuid(uuid::Uuid::from_u128(2)),
                name: "test".into(),
                paths: paths
                    .iter()
                    .map(|path| path.to_str().unwrap().to_owned())
                    .collect(),
                excludes: excludes.iter().map(|text| (*text).to_owned()).collect(),
                options: SourceOptions::default(),
            },
            cache: tempfile::tempdir().unwrap(),
            seq: 0,
            manifest: None,
            do_not_reuse: Vec::new(),
            adopted: Vec::new(),
            counters: RunCounters::new(),
            users: Users::default(),
        }
    }

    /// Backs up without committing.
    pub fn prepare(&mut self, remember: bool) -> Result<(Figures, ManifestHeader), BackupError> {
        self.counters = RunCounters::new();
        let cache = Cache::open(&self.cache.path().join("cache"))?;
        let run = cache.begin()?;
        let job = Job {
            agent_id: AgentId::from_uuid(uuid::Uuid::from_u128(1)),
            run_id: RunId::from_uuid(uuid::Uuid::from_u128(3)),
            source: &self.spec,
            parent: Parent {
                seq: self.seq,
                manifest: self.manifest,
                unlisted: Vec::new(),
                list: run.list()?.unwrap_or_default(),
            },
            do_not_reuse: &self.do_not_reuse,
            signing_key: &self.key,
            secret: &self.secret,
            recovery: self.kit.public(),
            state_folder: Some(self.cache.path()),
            adopted: &self.adopted,
            settle: jiff::SignedDuration::ZERO,
            counters: &self.counters,
            observer: &Silent,
            users: &self.users,
        };
        let prepared: Prepared = prepare(&job, &run, &self.bucket)?;
        let figures = Figures {
            manifest: prepared.manifest,
            added: prepared.added.clone(),
            dropped: prepared.dropped.clone(),
            liveness: prepared.liveness.clone(),
            report: prepared.report.clone(),
        };
        if remember {
            self.seq += 1;
            self.manifest = Some(prepared.manifest.hash);
            let head = Head {
                seq: self.seq,
                manifest: prepared.manifest.hash,
                instance_id: "test".into(),
            };
            prepared.remember(run, &head)?;
        }
        let bytes = self.bucket.read(&figures.manifest, None).unwrap();
        let header = manifest::open_header(&bytes, &self.key.public())?;
        Ok((figures, header))
    }

    /// Warnings and notes of a snapshot.
    pub fn warnings(&self, manifest: &ObjectHash) -> Vec<Warning> {
        let bytes = self.bucket.objects.lock().unwrap()[manifest].1.clone();
        let header = manifest::open_header(&bytes, &self.key.public()).unwrap();
        let facts = agent::show::facts(&self.bucket, &bytes, &header, &self.kit, true).unwrap();
        let warnings = facts.warnings.into_iter().map(|listed| Warning {
            kind: listed.known_kind().unwrap(),
            path: listed.path,
            detail: listed.detail,
        });
        warnings.collect()
    }

    /// What a snapshot needs, apart from its manifest.
    pub fn objects(&self, header: &ManifestHeader) -> Vec<ObjectRef> {
        header
            .objects(|page| Ok::<_, SnapshotError>(self.bucket.read(page, None)?))
            .unwrap()
    }

    /// A whole backup.
    pub fn backup(&mut self) -> (Figures, ManifestHeader) {
        self.prepare(true).unwrap()
    }

    /// Restores everything that is asked for; gives the notes.
    pub fn restore(
        &self,
        manifest: &ObjectHash,
        target: &Path,
        paths: &[&str],
    ) -> Result<Vec<String>, RestoreError> {
        let order = Order {
            target: target.to_owned(),
            ..Order::default()
        };
        let outcome = self.restore_as(manifest, &order, paths)?;
        assert_eq!(outcome.losses, []);
        Ok(outcome.notes)
    }

    /// Restores, as ordered.
    pub fn restore_as(
        &self,
        manifest: &ObjectHash,
        order: &Order,
        paths: &[&str],
    ) -> Result<Outcome, RestoreError> {
        let bytes = self.bucket.objects.lock().unwrap()[manifest].1.clone();
        let header = manifest::open_header(&bytes, &self.key.public()).map_err(SnapshotError::from)?;
        let snapshot = Snapshot::open(&self.bucket, &bytes, &header, &self.kit)?;
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let counters = RestoreCounters::default();
        let outcome = restore_from(&self.bucket, &snapshot, &self.kit, &paths, order, &counters)?;
        let report = counters.report();
        if outcome.is_complete() && !order.dry_run {
            assert_eq!(report.files_done, report.files_total);
            assert_eq!(report.bytes_done, report.bytes_total);
        }
        Ok(outcome)
    }
}

/// What a run says to the server.
pub struct Figures {
    pub manifest: ObjectRef,
    pub added: Vec<ObjectRef>,
    pub dropped: Vec<ObjectHash>,
    pub liveness: Option<Vec<PackLiveness>>,
    pub report: RunReport,
}
