//! What the console shows, and what the automation API answers: the same shapes.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::agent::{RestoreProgress, RunProgress, RunState, SnapshotTotals};
use crate::{
    ids::{AgentId, BackupSetId, RestoreId, RunId, SnapshotId, SourceId, StorageAccountId, TenantId, UserId},
    retention::{LockMode, Period, Policy},
    schedule::Schedule,
};

/// Who is signed in. `GET /api/v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The user.
    pub id: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Whether they run this instance and see every tenant.
    pub operator: bool,
}

/// How well a tenant is protected, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// A run failed or a source has no complete snapshot though one was due.
    Failing,
    /// Something is to be looked at: warnings, a late run, a silent agent, delete markers in a bucket.
    Attention,
    /// Nothing is set up yet.
    Empty,
    /// Every source has a complete, locked snapshot and no run is late.
    Protected,
}

/// A tenant in the overview. `GET /api/v1/tenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSummary {
    /// The tenant.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// How well it is protected.
    pub health: Health,
    /// One sentence for each thing that keeps `health` from being `protected`.
    pub reasons: Vec<String>,
    /// Enrolled agents.
    pub agents: u32,
    /// Sources.
    pub sources: u32,
    /// Complete snapshots.
    pub snapshots: u32,
    /// When the newest complete snapshot was taken.
    pub newest_snapshot_at: Option<Timestamp>,
    /// Runs under way.
    pub active_runs: u32,
}

/// Everything of one tenant's page. `GET /api/v1/tenants/{tenant}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantPage {
    /// The tenant.
    pub summary: TenantSummary,
    /// Its storage accounts.
    pub storage_accounts: Vec<StorageAccountView>,
    /// Its backup sets.
    pub backup_sets: Vec<BackupSetView>,
    /// Its agents.
    pub agents: Vec<AgentView>,
    /// Its sources.
    pub sources: Vec<SourceView>,
    /// Its newest runs, newest first, at most 20; those under way always among them. `GET …/runs` has all.
    pub runs: Vec<RunView>,
    /// Its newest snapshots, newest first, at most 50. `GET …/snapshots` has all.
    pub snapshots: Vec<SnapshotView>,
    /// Its newest restores, newest first, at most 10. `GET …/restores` has all.
    pub restores: Vec<RestoreView>,
}

/// A storage account; its secret is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageAccountView {
    /// The storage account.
    pub id: StorageAccountId,
    /// Its name.
    pub name: String,
    /// The S3 endpoint.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// Since when its store does not answer, if it does not.
    #[serde(default)]
    pub silence: Option<SilenceView>,
}

/// A store that does not answer: nothing is asked of it for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceView {
    /// Since when.
    pub since: Timestamp,
    /// When it is asked again.
    pub asked_again_at: Timestamp,
}

/// A backup set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSetView {
    /// The backup set.
    pub id: BackupSetId,
    /// Its name.
    pub name: String,
    /// The storage account.
    pub storage_account_id: StorageAccountId,
    /// The storage account's name.
    pub storage_account_name: String,
    /// The bucket.
    pub bucket: String,
    /// What every key begins with.
    pub prefix: String,
    /// N, in days.
    pub retention_days: u32,
    /// The lock mode.
    pub mode: LockMode,
    /// The whole policy.
    pub policy: Policy,
    /// Fingerprint of the recovery public key, as printed in the recovery kit.
    pub recovery_fingerprint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the last look into the bucket found.
    pub inspection: Option<BucketInspection>,
    /// What the server's last periodic check found; only on the tenant's page.
    #[serde(default)]
    pub check: Option<BucketCheckView>,
    /// Since when its store does not answer, if it does not; only on the tenant's page.
    #[serde(default)]
    pub silence: Option<SilenceView>,
}

/// What a look into the bucket found, below the set's prefix.
/// `POST /api/v1/tenants/{tenant}/backup-sets/{set}/inspect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketInspection {
    /// When it was made.
    pub at: Timestamp,
    /// Object versions.
    pub versions: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Delete markers. Holdfast never makes one: somebody deleted keys. The versions beneath are unharmed.
    pub delete_markers: u64,
    /// Versions that the ledger knows.
    pub known_versions: u64,
    /// Versions that nobody signed.
    pub unknown_versions: u64,
    /// Versions in the ledger that the bucket no longer lists.
    pub missing_versions: u64,
    /// A few of the keys behind the markers, for a look with an S3 client.
    pub marker_examples: Vec<String>,
}

/// The server's periodic comparison of a backup set's bucket with the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCheckView {
    /// When the last one began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it counted.
    #[serde(flatten)]
    pub report: BucketCheckReport,
    /// What is not as it should be, the worst first; a page's worth.
    pub findings: Vec<BucketFindingView>,
}

/// What a check counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketCheckReport {
    /// Objects of the ledger that were looked for in the listing, by version and size.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects of which S3 was asked for the lock this time.
    pub locks_asked: u64,
    /// The part of the ledger whose locks were asked for, from 0.
    pub slice: u32,
    /// How many parts there are: after so many checks every lock was asked for.
    pub slices: u32,
    /// Objects that are gone.
    pub missing: u64,
    /// Those of them that a kept snapshot needs.
    pub needed_missing: u64,
    /// Objects of another size.
    pub other_size: u64,
    /// Objects whose lock is weaker, shorter, or gone.
    pub weak_lock: u64,
    /// Versions that nobody signed.
    pub unknown_versions: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Why it broke off; then the counts are not of the whole.
    pub refused: Option<String>,
    /// When the last whole check ended.
    pub whole_at: Option<Timestamp>,
}

impl BucketCheckReport {
    /// Whether everything that the ledger knows is there and locked, and nothing else is.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let counts = [
            self.missing,
            self.other_size,
            self.weak_lock,
            self.unknown_versions,
            self.delete_markers,
        ];
        self.refused.is_none() && counts.iter().all(|count| *count == 0)
    }
}

/// What is not as it should be in a bucket. The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketFindingKind {
    /// The version that the ledger knows is gone.
    Missing,
    /// It has another size.
    OtherSize,
    /// Its lock is weaker or shorter than S3 had confirmed, or gone.
    WeakLock,
    /// A version that nobody signed.
    UnknownVersion,
    /// A delete marker.
    DeleteMarker,
}

/// One thing that is not as it should be in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketFindingView {
    /// What it is.
    pub kind: BucketFindingKind,
    /// The source.
    pub source_id: SourceId,
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
    /// Whether a kept snapshot needs the object.
    pub needed: bool,
    /// Particulars, for people.
    pub detail: String,
    /// When it was first found.
    pub first_seen_at: Timestamp,
    /// When it was last found.
    pub last_seen_at: Timestamp,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentView {
    /// The agent.
    pub id: AgentId,
    /// The endpoint's host name.
    pub hostname: String,
    /// Its operating system.
    pub os: String,
    /// The agent's version.
    pub version: String,
    /// The backup set that it was enrolled for.
    pub backup_set_id: BackupSetId,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it last asked for work or reported.
    pub last_seen_at: Option<Timestamp>,
    /// Whether it was seen in the last two minutes.
    pub online: bool,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// The source.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// The agent.
    pub agent_id: AgentId,
    /// The agent's host name.
    pub hostname: String,
    /// Where its backups go.
    pub backup_set_id: BackupSetId,
    /// The backup set's name.
    pub backup_set_name: String,
    /// What is backed up.
    pub paths: Vec<String>,
    /// What is left out.
    pub excludes: Vec<String>,
    /// When.
    pub schedule: Schedule,
    /// The next scheduled run.
    pub next_due: Option<Timestamp>,
    /// The newest complete snapshot.
    pub newest_snapshot: Option<SnapshotView>,
    /// The run that is queued or under way.
    pub active_run: Option<RunId>,
    /// How its backups are kept protected between runs.
    pub protection: ProtectionView,
}

/// How a source's backups are kept protected between its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionView {
    /// Since when nothing is backed up any more, and the snapshots run out.
    pub retired_at: Option<Timestamp>,
    /// The last sweep.
    pub last_sweep: Option<SweepView>,
    /// When the next one is due; `None` before the first.
    pub next_sweep_at: Option<Timestamp>,
}

/// A sweep: locks that fell short were refreshed, and what is neither needed nor locked was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepView {
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it did.
    #[serde(flatten)]
    pub report: SweepReport,
}

/// What a sweep did, what waits, and what was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepReport {
    /// Q, as it was used.
    pub lock_ahead_days: u32,
    /// Objects whose lock was extended, confirmed by S3.
    pub refreshed: u64,
    /// Objects that were put again as a new locked version, because the provider can not extend a lock.
    pub copied: u64,
    /// Packs that the next run is asked to add again.
    pub add_again: u64,
    /// Snapshots whose longer protection is now confirmed.
    pub promoted: u64,
    /// Snapshots that were given up.
    pub expired: u64,
    /// Object versions that were deleted.
    pub deleted_versions: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
    /// What nobody needs and is still locked.
    pub awaiting: Vec<AwaitingUnlock>,
    /// What was not done, in sentences that say why.
    pub refused: Vec<String>,
}

impl SweepReport {
    /// Whether anything is different after it.
    #[must_use]
    pub fn changed_anything(&self) -> bool {
        let counts = [
            self.refreshed,
            self.copied,
            self.add_again,
            self.promoted,
            self.expired,
            self.deleted_versions,
        ];
        counts.iter().any(|count| *count > 0)
    }
}

/// Why something is stored that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwaitReason {
    /// No snapshot that is kept needs it any more.
    Dropped,
    /// A run that broke off had sent it.
    BrokenRun,
    /// A later version under the same key took its place.
    Superseded,
}

/// Objects that nobody needs and that are still locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitingUnlock {
    /// Why they are there.
    pub reason: AwaitReason,
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first of the locks ends.
    pub first: Timestamp,
    /// When the last does.
    pub last: Timestamp,
}

/// A run. `GET /api/v1/tenants/{tenant}/runs/{run}`; also the `run` event of the live stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// The run.
    pub id: RunId,
    /// The source.
    pub source_id: SourceId,
    /// The source's name.
    pub source_name: String,
    /// The endpoint's host name.
    pub hostname: String,
    /// Where it stands.
    pub state: RunState,
    /// When it was asked for or due.
    pub created_at: Timestamp,
    /// When the agent fetched it.
    pub started_at: Option<Timestamp>,
    /// When its agent last said how far it is.
    #[serde(default)]
    pub reported_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The last report.
    pub progress: Option<RunProgress>,
    /// Objects confirmed so far and to confirm, while committing and locking.
    pub confirmed: Option<(u64, u64)>,
    /// The snapshot it made.
    pub snapshot_id: Option<SnapshotId>,
    /// Why it failed.
    pub error: Option<String>,
}

impl RunView {
    /// Agents report several times in a second: one that has said nothing for so long has lost its way to the server, or is gone.
    pub const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(15);

    /// For how long nothing was heard of the agent, when that is long for a run that it works on.
    #[must_use]
    pub fn silent_for(&self, now: Timestamp) -> Option<SignedDuration> {
        if self.state != RunState::Running {
            return None;
        }
        let heard = self.reported_at.or(self.started_at)?;
        Some(now.duration_since(heard)).filter(|silent| *silent >= Self::SILENT_AFTER)
    }
}

/// Where a snapshot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// Committed; what fell short is being extended.
    Locking,
    /// Everything it needs is locked until `protected_until`, confirmed by S3.
    Complete,
    /// Given up when its protection had ended. Final: what it needed may be gone, so it can not be restored.
    Expired,
    /// Something that it needs vanished between its number and its commit record: it keeps its number and was never promised
    /// anything. The next run builds on it.
    Broken,
}

/// What a complete snapshot has lost from the bucket. It keeps its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Objects that are gone.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// The snapshot.
    pub id: SnapshotId,
    /// The source.
    pub source_id: SourceId,
    /// The source's name.
    pub source_name: String,
    /// The endpoint's host name.
    pub hostname: String,
    /// Its number in the source.
    pub seq: u64,
    /// Where it stands.
    pub state: SnapshotState,
    /// When the server had the commit.
    pub received_at: Timestamp,
    /// *Locked until*: the promise, confirmed by S3 when the snapshot is complete.
    pub protected_until: Timestamp,
    /// The periods whose first snapshot it is: it is kept longer for them.
    pub tiers: Vec<Period>,
    /// The lock mode.
    pub mode: LockMode,
    /// Totals.
    pub totals: SnapshotTotals,
    /// What it has lost; only the server's lists of snapshots and their pages have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
}

/// A snapshot's page. `GET /api/v1/tenants/{tenant}/snapshots/{snapshot}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPage {
    /// The snapshot.
    pub snapshot: SnapshotView,
    /// The backup set that it is in.
    pub backup_set: BackupSetView,
    /// Objects that it needs.
    pub objects: u64,
    /// Their bytes in the bucket.
    pub stored_bytes: u64,
    /// The earliest lock among them, as S3 last confirmed it: never before `protected_until` once complete.
    pub earliest_lock: Option<Timestamp>,
    /// The latest lock among them: nothing of it can be deleted later than that.
    pub latest_lock: Option<Timestamp>,
    /// When the lock was shown that S3 was asked for longest ago, among them.
    #[serde(default)]
    pub oldest_confirmation: Option<Timestamp>,
    /// The command to paste on the endpoint.
    pub restore_command: String,
    /// Its newest restores, newest first, at most 20: the list of the tenant's restores has all.
    pub restores: Vec<RestoreView>,
}

/// Where a restore stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreState {
    /// Allowed; the agent has not begun.
    Authorised,
    /// The agent works on it.
    Running,
    /// Everything asked for is back.
    Succeeded,
    /// It ended otherwise.
    Failed,
    /// The permission ran out unused.
    Expired,
}

/// A restore. `POST /api/v1/tenants/{tenant}/snapshots/{snapshot}/restores` makes one; also the `restore` event
/// of the live stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreView {
    /// The restore.
    pub id: RestoreId,
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// The source's name.
    pub source_name: String,
    /// The snapshot's number.
    pub seq: u64,
    /// Where it stands.
    pub state: RestoreState,
    /// Who allowed it.
    pub authorised_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when the agent may read.
    pub expires_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The last report.
    pub progress: Option<RestoreProgress>,
    /// Why it failed.
    pub error: Option<String>,
}

/// An enrollment token, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentTokenView {
    /// The token.
    pub token: String,
    /// The command to paste into a shell on the endpoint: it carries the recovery key's fingerprint, and gives the token on
    /// standard input.
    pub command: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// One event of the live stream `GET /console/events?tenant={tenant}` (server-sent events; the data is this, as
/// JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveEvent {
    /// A run moved on.
    Run(Box<RunView>),
    /// A restore moved on.
    Restore(Box<RestoreView>),
    /// A sweep of this source has ended: its page shows what it did.
    Sweep {
        /// The source.
        source: SourceId,
    },
    /// A check of this backup set's bucket has ended.
    Check {
        /// The backup set.
        backup_set: BackupSetId,
    },
}
