//! A bucket in memory, and an endpoint that backs up to it and restores from it without a server.

use std::{
    collections::HashMap,
    ops::Range,
    path::Path,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering::Relaxed},
};

use agent::{
    backup::{BackupError, Job, Parent, Prepared, prepare},
    cache::{Cache, Head},
    progress::{RestoreCounters, RunCounters, Silent},
    restore::{RestoreError, restore_from},
    store::{ObjectSink, ObjectSource, ReadError, Stopped},
};
use repository::{
    chunk::SourceSecret,
    identity::AgentSigningKey,
    manifest::{self, ManifestHeader},
    recovery::{RecoverySecret, RecoverySeed},
};
use shared::{
    api::agent::SourceSpec,
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
};

/// A bucket in memory that counts.
#[derive(Default)]
pub struct Bucket {
    pub objects: Mutex<HashMap<ObjectHash, (ObjectRef, Vec<u8>)>>,
    pub order: Mutex<Vec<ObjectKind>>,
    pub reads: AtomicUsize,
    pub bytes_read: AtomicUsize,
}

impl ObjectSink for Bucket {
    fn put(&self, object: ObjectRef, bytes: Vec<u8>) -> Result<(), Stopped> {
        assert_eq!(repository::hash(&bytes), object.hash);
        assert_eq!(bytes.len() as u64, object.size_bytes);
        self.order.lock().unwrap().push(object.kind);
        self.objects.lock().unwrap().insert(object.hash, (object, bytes));
        Ok(())
    }

    fn flush(&self) -> Result<(), Stopped> {
        Ok(())
    }
}

impl ObjectSource for Bucket {
    fn read(&self, object: &ObjectHash, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError> {
        let objects = self.objects.lock().unwrap();
        let missing = ReadError::Storage {
            object: *object,
            status: 404,
        };
        let (_, bytes) = objects.get(object).ok_or(missing)?;
        let bytes = match range {
            None => bytes.clone(),
            Some(range) => {
                bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
            }
        };
        self.reads.fetch_add(1, Relaxed);
        self.bytes_read.fetch_add(bytes.len(), Relaxed);
        Ok(bytes)
    }
}

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
    /// The figures of the last run.
    pub counters: RunCounters,
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
            },
            cache: tempfile::tempdir().unwrap(),
            seq: 0,
            manifest: None,
            do_not_reuse: Vec::new(),
            counters: RunCounters::new(),
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
            },
            do_not_reuse: &self.do_not_reuse,
            signing_key: &self.key,
            secret: &self.secret,
            recovery: self.kit.public(),
            state_folder: Some(self.cache.path()),
            counters: &self.counters,
            observer: &Silent,
        };
        let prepared: Prepared = prepare(&job, &run, &self.bucket)?;
        let figures = Figures {
            manifest: prepared.manifest,
            added: prepared.added.clone(),
            dropped: prepared.dropped.clone(),
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
        let bytes = self.bucket.read(&figures.manifest.hash, None).unwrap();
        let header = manifest::open_header(&bytes, &self.key.public())?;
        Ok((figures, header))
    }

    /// A whole backup.
    pub fn backup(&mut self) -> (Figures, ManifestHeader) {
        self.prepare(true).unwrap()
    }

    pub fn restore(
        &self,
        manifest: &ObjectHash,
        target: &Path,
        paths: &[&str],
    ) -> Result<Vec<String>, RestoreError> {
        let bytes = self.bucket.read(manifest, None)?;
        let header = manifest::open_header(&bytes, &self.key.public())?;
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let mut notes = Vec::new();
        let counters = RestoreCounters::default();
        restore_from(
            &self.bucket,
            &bytes,
            &header.objects,
            &self.kit,
            &paths,
            target,
            &counters,
            &mut notes,
        )?;
        let report = counters.report();
        assert_eq!(report.files_done, report.files_total);
        assert_eq!(report.bytes_done, report.bytes_total);
        Ok(notes)
    }
}

/// What a run says to the server.
pub struct Figures {
    pub manifest: ObjectRef,
    pub added: Vec<ObjectRef>,
    pub dropped: Vec<ObjectHash>,
}
