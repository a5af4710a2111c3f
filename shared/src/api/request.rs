//! What a technician asks for: bodies of the automation API and of the console's forms.

use serde::{Deserialize, Serialize};

use crate::{
    anomaly::Judgement,
    api::agent::SourceOptions,
    ids::{AgentId, BackupSetId, StorageAccountId},
    retention::{LockAhead, LockMode, Policy, PolicyError, Tier},
    schedule::Schedule,
};

/// `POST /api/v1/session`: signs in; the answer sets the session cookie.
#[derive(Clone, Serialize, Deserialize)]
pub struct SignIn {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
}

/// `POST /api/v1/tenants`: a new customer. Instance operators only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTenant {
    /// Its name, 1–100 characters.
    pub name: String,
}

/// `POST /api/v1/tenants/{tenant}/snapshots/{snapshot}/judgement`: what a person decided of a snapshot that is not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeSnapshotRequest {
    /// Good or bad.
    pub judgement: Judgement,
}

/// `POST /api/v1/tenants/{tenant}/storage-accounts`: where buckets are. Tried before it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewStorageAccount {
    /// Its name, 1–100 characters.
    pub name: String,
    /// The S3 endpoint, such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The secret key. Sealed before it is stored and never shown again.
    pub secret_key: String,
    /// Whether the bucket's name goes into the path instead of the host name.
    pub path_style: bool,
}

/// `POST /api/v1/tenants/{tenant}/backup-sets`: a bucket and its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewBackupSet {
    /// Its name, 1–100 characters.
    pub name: String,
    /// Where the bucket is.
    pub storage_account_id: StorageAccountId,
    /// The bucket's name.
    pub bucket: String,
    /// What every key begins with; empty, or ending in `/`.
    pub prefix: String,
    /// Whether to create the bucket, with versioning and Object Lock; an existing one is checked for both.
    pub create_bucket: bool,
    /// The box *Immutable retention policy*: the technician knows that what is locked cannot be deleted, and
    /// is paid for, until its date.
    pub immutable_retention: bool,
    /// N, in days.
    pub retention_days: u32,
    /// The lock mode.
    pub mode: LockMode,
    /// The recovery public key, as `holdfast-agent keygen` prints it.
    pub recovery_key: String,
    /// The rest of the policy.
    #[serde(flatten)]
    pub options: PolicyOptions,
}

/// What a policy has besides N and the mode. Whatever is left out has its usual value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyOptions {
    /// The IANA time zone in which hours, days, weeks, months and years begin.
    pub time_zone: String,
    /// Longer retention for the first snapshots of periods.
    pub tiers: Vec<Tier>,
    /// How many of a source's newest complete snapshots never lapse.
    pub keep_last: u32,
    /// Q: `"auto"`, or days.
    #[serde(rename = "lock_ahead_days")]
    pub lock_ahead: LockAhead,
    /// How late a run may be without a gap in protection, in hours.
    pub grace_hours: u32,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            tiers: Vec::new(),
            keep_last: 1,
            lock_ahead: LockAhead::Auto,
            grace_hours: 24,
        }
    }
}

impl PolicyOptions {
    /// The whole policy, with room below its cap for its longest retention.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn policy(&self, retention_days: u32, mode: LockMode) -> Result<Policy, PolicyError> {
        let mut policy = Policy {
            time_zone: self.time_zone.clone(),
            tiers: self.tiers.clone(),
            keep_last: self.keep_last,
            lock_ahead: self.lock_ahead,
            grace_hours: self.grace_hours,
            ..Policy::new(retention_days, mode)?
        };
        let longest = policy.longest_retention_days().min(Policy::MAX_RETENTION_DAYS);
        policy.lock_cap_days = Policy::new(longest, mode)?.lock_cap_days;
        policy.validate()?;
        Ok(policy)
    }
}

/// `POST /api/v1/tenants/{tenant}/enrollment-tokens`: leave for one endpoint to enroll, for one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEnrollmentToken {
    /// Where the endpoint's backups go.
    pub backup_set_id: BackupSetId,
}

/// `POST /api/v1/tenants/{tenant}/sources`: paths of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSource {
    /// The endpoint.
    pub agent_id: AgentId,
    /// Its name, 1–100 characters.
    pub name: String,
    /// Absolute paths, at least one.
    pub paths: Vec<String>,
    /// Patterns of what to leave out, in gitignore syntax.
    #[serde(default)]
    pub excludes: Vec<String>,
    /// What else limits it.
    #[serde(flatten)]
    pub limits: SourceLimits,
    /// When to run.
    pub schedule: Schedule,
}

/// What limits a source beside its exclude lines. Whatever is not said is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceLimits {
    /// Whether other file systems that are mounted below a path are left out.
    pub one_file_system: bool,
    /// Whether file systems of other machines that are mounted below a path are taken; otherwise each is left out with a note.
    pub include_network_mounts: bool,
    /// Whether inode numbers and change times say nothing: a file of the same size and modification time as before is then read again
    /// only when a sample of its content differs.
    pub unstable_inodes: bool,
}

impl SourceLimits {
    /// As agents are told.
    #[must_use]
    pub fn options(self) -> SourceOptions {
        SourceOptions {
            one_file_system: self.one_file_system,
            leave_out_network_mounts: !self.include_network_mounts,
            unstable_inodes: self.unstable_inodes,
            ..SourceOptions::default()
        }
    }
}
