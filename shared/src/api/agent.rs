//! The agent API, below `/api/agent/v1/`. Every call but the two of enrollment carries
//! `Authorization: Bearer <credential>`.
//!
//! | call | body → answer |
//! |---|---|
//! | `POST enrollment` | [`EnrollmentQuery`] → [`EnrollmentOffer`] (looks, changes nothing) |
//! | `POST enroll` | [`EnrollRequest`] → [`EnrollResponse`] |
//! | `GET work?wait_seconds=N` | → [`Work`], held open up to N ≤ 30 seconds while there is none |
//! | `GET sources` | → `Vec<`[`SourceSpec`]`>` |
//! | `POST sources/{source}/runs` | → [`BackupWork`]: start a run now |
//! | `POST sources/{source}/reads` | [`ReadsRequest`] → `Vec<`[`SignedRead`]`>`: parts of its own manifests and index segments |
//! | `GET sources/{source}/snapshots/{seq}/objects?after=HASH` | → `Vec<`[`ObjectRef`]`>`: what its newest snapshot needs but the manifest, in parts |
//! | `POST runs/{run}/uploads` | [`UploadsRequest`] → `Vec<`[`UploadTicket`]`>`, in the order asked |
//! | `POST runs/{run}/progress` | [`RunProgress`] → 204 |
//! | `PUT runs/{run}/commit/pages/{number}` | [`CommitPage`] → 204: a part of the change, before the commit |
//! | `GET runs/{run}/commit/pages` | → `Vec<`[`StoredPage`]`>`: what the server has, in order |
//! | `POST runs/{run}/commit` | [`CommitRequest`] → [`RunStatus`] |
//! | `POST runs/{run}/abort` | [`AbortRequest`] → 204 |
//! | `GET runs/{run}` | → [`RunStatus`] |
//! | `GET snapshots` | → `Vec<`[`SnapshotSummary`]`>` of this agent, newest first |
//! | `POST restores` | [`RestoreRequest`] → [`RestoreWork`] |
//! | `POST restores/{restore}/reads` | [`ReadsRequest`] → `Vec<`[`SignedRead`]`>`: parts of objects of that snapshot |
//! | `POST restores/{restore}/later` | [`LaterRequest`] → [`LaterSnapshot`]: whose objects may be read from then on, too |
//! | `POST restores/{restore}/progress` | [`RestoreProgress`] → 204 |
//! | `POST restores/{restore}/finish` | [`RestoreFinish`] → 204 |

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::commit::{CommitPage, StoredPage};
pub use super::reads::{PARTS_PER_CALL, Part, RANGE_HEADER, ReadsRequest, SignedRead};
use super::{commit::PageTotals, report::RunReport};
use crate::{
    ids::{AgentId, BackupSetId, RestoreId, RunId, SnapshotId, SourceId},
    limits::Limit,
    object::{ObjectHash, ObjectRef},
};

/// Objects that one call may ask to sign, at most.
pub const OBJECTS_PER_CALL: usize = Limit::ObjectsPerCall.max();

/// The only headers that an address to put to is signed with, and that an agent sends with an object. An agent refuses others.
pub const UPLOAD_HEADERS: [&str; 6] = [
    "content-length",
    "content-md5",
    "host",
    "if-none-match",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
];

/// The path below which the agent API lives.
pub const BASE_PATH: &str = "/api/agent/v1";

/// The header by which an agent says which machine it calls from: a [`Machine`](crate::machines::Machine) as JSON, in base64url
/// without padding.
pub const MACHINE_HEADER: &str = "x-holdfast-machine";

/// Asks what an enrollment token would enroll to.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrollmentQuery {
    /// The one-time token from the console.
    pub token: String,
}

/// The public half of a backup set's recovery key, as lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPublicKey {
    /// X25519, 32 bytes: what agents seal to.
    pub sealing: String,
    /// Ed25519, 32 bytes: what certifies agents and signs restore orders.
    pub certifying: String,
}

/// The backup set as an agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSetKeys {
    /// Its id.
    pub id: BackupSetId,
    /// Its name, for messages.
    pub name: String,
    /// What packs are sealed to. The agent compares its fingerprint with the one it was enrolled with.
    pub recovery_key: RecoveryPublicKey,
}

/// What an enrollment token stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentOffer {
    /// The customer's name.
    pub tenant_name: String,
    /// Where this endpoint's backups would go.
    pub backup_set: BackupSetKeys,
    /// Where the addresses lead that are signed for it: scheme, host and port. The agent keeps them, and refuses all others
    /// until a person on the endpoint confirms them.
    #[serde(default)]
    pub storage: Vec<String>,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// Enrolls this endpoint; the token is used up.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// The one-time token from the console.
    pub token: String,
    /// The endpoint's host name.
    pub hostname: String,
    /// The operating system, such as `linux x86_64`.
    pub os: String,
    /// The agent's version.
    pub agent_version: String,
    /// The agent's Ed25519 public key, 32 bytes as hexadecimal: it signs this agent's manifests.
    pub signing_key: String,
}

/// What the agent keeps after enrollment.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrollResponse {
    /// The agent's id.
    pub agent_id: AgentId,
    /// The bearer credential: shown once, stored by the server only as a hash.
    pub credential: String,
    /// The server's Ed25519 public key for commit records, 32 bytes as hexadecimal. The agent keeps it: a restore whose
    /// commit record is signed by another key is refused.
    pub commit_key: String,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// Nothing now: ask again.
    None,
    /// Run this backup. The run is already started and its deadline is counting.
    Backup(Box<BackupWork>),
}

/// Paths to back up and what to leave out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Its id.
    pub id: SourceId,
    /// Its name, for messages.
    pub name: String,
    /// Absolute paths.
    pub paths: Vec<String>,
    /// Patterns of what to leave out, in gitignore syntax, relative to each path.
    pub excludes: Vec<String>,
    /// What else limits it.
    #[serde(default)]
    pub options: SourceOptions,
}

/// What a source takes, and how fast it is sent. The default takes everything, as fast as possible: what an older server
/// does not send, or an older agent does not know, takes away nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceOptions {
    /// Patterns of what to take, in gitignore syntax, relative to each path; empty: everything. What is also excluded
    /// is left out.
    pub includes: Vec<String>,
    /// Whether other file systems that are mounted below a path are left out.
    pub one_file_system: bool,
    /// Whether file systems of other machines that are mounted below a path are left out, each with a note. Not what is mounted below
    /// one of them: its path was asked for.
    pub leave_out_network_mounts: bool,
    /// Whether inode numbers and change times say nothing, as on some network and FUSE file systems: a file of the same size and
    /// modification time as before is then read again only when a sample of its content differs.
    pub unstable_inodes: bool,
    /// Files of more bytes are left out.
    pub max_file_bytes: Option<u64>,
    /// No more bytes are sent in a second.
    pub max_upload_bytes_per_second: Option<u64>,
}

/// The newest complete snapshot, which a run builds on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentSnapshot {
    /// Its id.
    pub snapshot_id: SnapshotId,
    /// Its number in the source.
    pub seq: u64,
    /// Its manifest.
    pub manifest: ObjectRef,
}

/// A started run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupWork {
    /// The run; also the fencing token: a later attempt has another id and this one's calls are then refused.
    pub run_id: RunId,
    /// What to back up.
    pub source: SourceSpec,
    /// What to seal to.
    pub backup_set: BackupSetKeys,
    /// What to build on; `None` for the first snapshot.
    pub parent: Option<ParentSnapshot>,
    /// After this instant the server neither signs nor commits for the run.
    pub deadline: Timestamp,
    /// Packs whose chunks are to be treated as absent, so that the data enters this backup again.
    pub do_not_reuse: Vec<ObjectHash>,
}

/// Asks for signed upload addresses, at most [`OBJECTS_PER_CALL`] of them. An agent also asks it of packs that a run
/// which broke off may have sent, to take over those that are [`UploadTicket::Stored`]; other addresses it lets lapse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadsRequest {
    /// One entry an object; kind `commit` is refused.
    pub objects: Vec<UploadRequest>,
}

/// One object that the agent is about to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRequest {
    /// What it is; its key follows from the source, the kind and the hash.
    pub object: ObjectRef,
    /// MD5 of the content as base64, as the Content-MD5 header wants it. Not for security: it is the one body
    /// check that every S3 provider verifies, and a locked PUT must carry one.
    pub content_md5: String,
}

/// Leave to put one object, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UploadTicket {
    /// Send it: `PUT url` with exactly these headers and the body.
    Put {
        /// The presigned address.
        url: String,
        /// Headers that are part of the signature and must be sent as they are.
        headers: Vec<(String, String)>,
        /// When the address stops working.
        expires_at: Timestamp,
    },
    /// The bucket holds it already under a lock that suffices: do not send it.
    Stored,
}

/// What part of a run is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// Reading the folders, and sending what is new.
    Transfer,
    /// Writing index and manifest.
    Finish,
    /// The server confirms every lock.
    Confirm,
}

/// How far a run is. Names of files stay on the endpoint: the server sees sizes and counts only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// What is under way.
    pub phase: RunPhase,
    /// Files and folders looked at so far.
    pub files_done: u64,
    /// Files and folders found; `None` while still counting.
    pub files_total: Option<u64>,
    /// Bytes of file contents looked at so far (read, or known to be unchanged).
    pub bytes_done: u64,
    /// Bytes of file contents found; `None` while still counting.
    pub bytes_total: Option<u64>,
    /// Bytes sent to the bucket so far.
    pub bytes_sent: u64,
    /// Files that could not be read, or changed while being read.
    pub warnings: u64,
    /// A call into a file system that has not come back for minutes: a mount whose other side is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Stuck>,
}

/// A read that does not come back. It names a path of the source, which the server knows, and nothing below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// Which of the source's paths, counted from 0.
    pub path: u32,
    /// For how long.
    pub seconds: u64,
}

/// Totals of one snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTotals {
    /// Regular files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Bytes of file contents.
    pub bytes: u64,
    /// Bytes that this run sent to the bucket.
    pub bytes_sent: u64,
    /// Files left out or not whole, each listed in the sealed part of the manifest.
    pub warnings: u64,
    /// Sockets, pipes and devices, which no backup holds: worth knowing, and no fault of the snapshot.
    #[serde(default)]
    pub notes: u64,
}

/// What lies below one path of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathTotals {
    /// Regular files.
    pub files: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Whether the path is not there, or could not be read at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
    /// A number that stands for the file system that the path lies on, the same in each run; `None` when the agent cannot tell. It
    /// is made with a key of the source and says nothing of the file system itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<u64>,
}

/// Asks the server to make the run a snapshot, after the pages of its change. Repeating the same request is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRequest {
    /// `seq` of the parent that this run built on; 0 for the first snapshot. Must still be the newest.
    pub parent_seq: u64,
    /// The manifest, already uploaded.
    pub manifest: ObjectRef,
    /// Totals; they must equal the manifest's.
    pub totals: SnapshotTotals,
    /// What lies below each path of the source, in the order in which the run was given them; empty when the agent does not tell.
    #[serde(default)]
    pub paths: Vec<PathTotals>,
    /// What was added and dropped, and the liveness of packs: what the pages that were sent before come to.
    pub change: PageTotals,
    /// Whether the agent has counted which packs are used in part; of all others the snapshot then uses the whole. A hint to the
    /// planner, which weighs by it what to add again: a wrong one costs money, never protection.
    pub counted_liveness: bool,
    /// What the run found of the source; agents of before send none.
    #[serde(default)]
    pub report: Option<RunReport>,
}

/// Gives a run up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortRequest {
    /// Why, for the technician. Must not name files.
    pub reason: String,
    /// Whether the same run may succeed later without anybody's doing: the storage or the network was away. Then the server queues
    /// it again.
    #[serde(default)]
    pub may_pass: bool,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waiting for the agent to fetch it.
    Queued,
    /// The agent works on it.
    Running,
    /// The commit is durable; the server confirms what was uploaded.
    Committing,
    /// The snapshot has its number; locks that fall short are being extended.
    Locking,
    /// The snapshot is complete.
    Succeeded,
    /// It ended without a snapshot.
    Failed,
}

impl RunState {
    /// Whether nothing more will happen to the run.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A run, as its agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStatus {
    /// The run.
    pub run_id: RunId,
    /// Where it stands.
    pub state: RunState,
    /// The snapshot, from `locking` on.
    pub snapshot: Option<SnapshotSummary>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A snapshot, as its agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSummary {
    /// Its id.
    pub id: SnapshotId,
    /// The source.
    pub source_id: SourceId,
    /// The source's name.
    pub source_name: String,
    /// Its number in the source: 1, 2, 3 …
    pub seq: u64,
    /// When the server had the commit: the snapshot's time.
    pub received_at: Timestamp,
    /// Until when everything it needs is locked, confirmed by S3.
    pub protected_until: Timestamp,
    /// Whether it is complete.
    pub complete: bool,
    /// Totals.
    pub totals: SnapshotTotals,
}

/// Asks to begin a restore that was authorised in the console. As long as the permission lasts, any number may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// What it is for; agents of before do not say.
    #[serde(default)]
    pub purpose: RestorePurpose,
}

/// What a snapshot is read for, as its agent says: for the list of restores. It changes nothing of what may be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestorePurpose {
    /// Files are put back.
    #[default]
    Restore,
    /// Only to say what would be.
    DryRun,
    /// To see whether everything is there and what it should be.
    Verification,
}

/// A begun restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreWork {
    /// The restore.
    pub restore_id: RestoreId,
    /// The snapshot.
    pub snapshot: SnapshotSummary,
    /// Its manifest.
    pub manifest: ObjectRef,
    /// Its commit record, which binds the snapshot's id to the manifest; `None` when it is lost.
    #[serde(default)]
    pub record: Option<ObjectRef>,
    /// Whose kit opens it.
    pub backup_set: BackupSetKeys,
    /// Until when addresses are signed for it.
    pub expires_at: Timestamp,
}

/// Says that objects which the snapshot of a restore needs are lost, and asks for a later complete snapshot of the source:
/// what that one needs may be read for this restore as well, from then on. At most [`OBJECTS_PER_CALL`] of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaterRequest {
    /// What is gone or damaged, at least one.
    pub lost: Vec<ObjectHash>,
    /// Which of the later snapshots, from 0: the newest, then those that followed the loss, in their order.
    #[serde(default)]
    pub nth: u32,
}

/// The snapshot whose packs may hold what is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaterSnapshot {
    /// Its number.
    pub seq: u64,
    /// Its manifest, which leads to everything else.
    pub manifest: ObjectRef,
}

/// How far a restore is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreProgress {
    /// Files and folders put back so far.
    pub files_done: u64,
    /// Files and folders to put back.
    pub files_total: u64,
    /// Bytes written so far.
    pub bytes_done: u64,
    /// Bytes to write.
    pub bytes_total: u64,
}

/// The end of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreFinish {
    /// The last figures.
    pub progress: RestoreProgress,
    /// Why it did not end well; must not name files.
    pub error: Option<String>,
}
