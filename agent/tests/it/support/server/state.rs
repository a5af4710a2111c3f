//! What the server and the storage hold, count and are told to do.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use repository::{
    commit::{CommitRecord, CommitSigningKey},
    recovery::RecoveryPublicKey,
};
use shared::{
    api::{ErrorBody, agent::*, commit::CommitPage},
    ids::*,
    object::{ObjectHash, ObjectKind, ObjectRef},
};
use uuid::Uuid;

use super::lies::{self, Words};

pub const TOKEN: &str = "one-time-token";
/// What the query of a read address says that is signed.
pub const SIGNED_RANGE: &str = "signed-range=";
pub(super) const CREDENTIAL: &str = "credential-of-the-agent";

/// What an agent asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Start,
    Uploads,
    Put(ObjectKind),
    Page,
    Commit,
    Status,
}

/// Is told of a call before it has any effect.
pub type Hook = Box<dyn FnMut(Call) + Send>;

#[derive(Default)]
pub struct Inner {
    pub hook: Option<Hook>,
    pub address: String,
    pub key: Option<RecoveryPublicKey>,
    pub source: Option<SourceSpec>,
    pub enrolled: Vec<EnrollRequest>,
    pub bucket: HashMap<ObjectHash, (ObjectRef, Vec<u8>)>,
    pub puts: u32,
    pub parent: Option<ParentSnapshot>,
    pub needed: BTreeSet<ObjectRef>,
    pub snapshots: Vec<(SnapshotSummary, ObjectRef)>,
    /// Which run made each of them: the nth that was begun.
    pub made_by: Vec<u32>,
    pub runs: u32,
    pub open_run: Option<RunId>,
    /// What the open run has sent of its change.
    pub pages: BTreeMap<u32, CommitPage>,
    /// How often a page came that was there.
    pub pages_again: u32,
    /// Runs that have committed.
    pub committed: BTreeSet<RunId>,
    pub queued: bool,
    pub aborts: Vec<String>,
    /// Whether what ended each of them may pass.
    pub may_pass: Vec<bool>,
    pub finishes: Vec<RestoreFinish>,
    pub signed: HashMap<ObjectHash, ObjectRef>,
    /// Objects in the order in which they were stored.
    pub stored: Vec<ObjectRef>,
    /// Packs that are not to be reused.
    pub do_not_reuse: Vec<ObjectHash>,
    /// Objects that are being deleted: asking for one is refused.
    pub deleting: BTreeSet<ObjectHash>,
    /// So many puts answer 503.
    pub busy_puts: u32,
    /// So many puts answer 403, as an expired address does.
    pub expired_puts: u32,
    /// So many puts answer 403 with a body of a quarter of a gibibyte.
    pub long_refusals: u32,
    /// So many puts are stored, but answered 500.
    pub lost_answers: u32,
    /// So many reads answer 403.
    pub expired_reads: u32,
    /// So many API calls answer 503.
    pub busy_calls: u32,
    /// Uploads are refused: the run is over.
    pub run_over: bool,
    /// The run is over when so many objects more are stored.
    pub over_after: Option<usize>,
    /// So many polls answer `committing`.
    pub polls: u32,
    /// The commit records of the snapshots.
    pub records: HashMap<ObjectHash, (ObjectRef, Vec<u8>)>,
    /// What each snapshot needs, its manifest among it, and its record.
    pub needed_of: Vec<(BTreeSet<ObjectHash>, ObjectRef)>,
    /// Which of the snapshots is being restored.
    pub restoring: Option<usize>,
    /// What the agent said that the restored snapshot has lost.
    pub lost: Option<Vec<ObjectHash>>,
    /// Reads of objects.
    pub gets: u32,
    /// Calls for addresses of a restore.
    pub reads_calls: u32,
    pub words: Words,
    pub orders: Vec<lies::Order>,
    pub told: u32,
}

#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<Inner>>);

impl Server {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The same, of an agent's call.
    pub(super) fn called(&self, call: Call) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        if let Some(hook) = &mut inner.hook {
            hook(call);
        }
        inner
    }
}

impl Inner {
    /// Stores a commit record, true or not.
    pub fn keep_record(&mut self, record: &CommitRecord, key: &CommitSigningKey) -> ObjectRef {
        let bytes = record.sign(key);
        let object = ObjectRef {
            kind: ObjectKind::Commit,
            hash: repository::hash(&bytes),
            size_bytes: bytes.len() as u64,
        };
        self.signed.insert(object.hash, object);
        self.records.insert(object.hash, (object, bytes));
        object
    }
}

pub(super) fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = ErrorBody {
        code: code.into(),
        message: message.into(),
    };
    (status, Json(body)).into_response()
}

pub(super) fn keys(inner: &Inner) -> BackupSetKeys {
    let key = inner.key.as_ref().unwrap();
    BackupSetKeys {
        id: BackupSetId::from_uuid(Uuid::from_u128(5)),
        name: "set".into(),
        recovery_key: shared::api::agent::RecoveryPublicKey {
            sealing: key.sealing_hex(),
            certifying: key.certifying_hex(),
        },
    }
}
