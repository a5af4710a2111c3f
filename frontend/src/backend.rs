//! What the console needs of the server. The server implements it; server functions are shims over it.

use async_trait::async_trait;
use jiff::Timestamp;
use shared::{
    api::{
        list::{ListQuery, Page},
        notice::Notice,
        request::{NewBackupSet, NewEnrollmentToken, NewSource, NewStorageAccount, NewTenant, SignIn},
        view::{
            BackupSetView, BucketInspection, EnrollmentTokenView, Me, RestoreView, RunView, SnapshotPage,
            SnapshotView, SourceView, StorageAccountView, TenantPage, TenantSummary,
        },
    },
    ids::{BackupSetId, NoticeId, RunId, SnapshotId, SourceId, TenantId},
};

use crate::error::ConsoleError;

/// The use cases behind the console, as seen by one request: an implementation is made for each request and
/// holds its session, so every method acts for the person who is signed in, and refuses otherwise.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;
    /// Whether browsers reach this server by https.
    fn is_https(&self) -> bool;
    /// Seals what a cookie carries from one page to the next, for so long: nobody else can read it, or make one. `purpose` keeps one
    /// cookie from being taken for another.
    fn seal(&self, purpose: &'static str, seconds: u32, text: &[u8]) -> Option<String>;
    /// Opens what [`Self::seal`] made for the same purpose, while it lasts.
    fn open(&self, purpose: &'static str, sealed: &str) -> Option<Vec<u8>>;
    /// Who is signed in.
    async fn me(&self) -> Result<Option<Me>, ConsoleError>;
    /// Signs in and starts a session.
    async fn sign_in(&self, request: SignIn) -> Result<Me, ConsoleError>;
    /// Ends the session.
    async fn sign_out(&self) -> Result<(), ConsoleError>;
    /// What the operators have to know; nothing for anybody else.
    async fn notices(&self) -> Result<Vec<Notice>, ConsoleError>;
    /// Notes that a notice was dealt with.
    async fn settle_notice(&self, notice: NoticeId) -> Result<(), ConsoleError>;
    /// Every tenant that the user may see.
    async fn tenants(&self) -> Result<Vec<TenantSummary>, ConsoleError>;
    /// Makes a tenant.
    async fn create_tenant(&self, request: NewTenant) -> Result<TenantSummary, ConsoleError>;
    /// One tenant's page.
    async fn tenant(&self, tenant: TenantId) -> Result<TenantPage, ConsoleError>;
    /// Tries and keeps a storage account.
    async fn create_storage_account(
        &self,
        tenant: TenantId,
        request: NewStorageAccount,
    ) -> Result<StorageAccountView, ConsoleError>;
    /// Makes or checks the bucket and keeps the backup set.
    async fn create_backup_set(
        &self,
        tenant: TenantId,
        request: NewBackupSet,
    ) -> Result<BackupSetView, ConsoleError>;
    /// Looks into the bucket and keeps what was found.
    async fn inspect_bucket(
        &self,
        tenant: TenantId,
        set: BackupSetId,
    ) -> Result<BucketInspection, ConsoleError>;
    /// Makes a one-time enrollment token.
    async fn create_enrollment_token(
        &self,
        tenant: TenantId,
        request: NewEnrollmentToken,
    ) -> Result<EnrollmentTokenView, ConsoleError>;
    /// Makes a source.
    async fn create_source(&self, tenant: TenantId, request: NewSource) -> Result<SourceView, ConsoleError>;
    /// *Back up now*: queues a run, or gives the one that is queued or under way.
    async fn run_now(&self, tenant: TenantId, source: SourceId) -> Result<RunView, ConsoleError>;
    /// Gives up a run that has no snapshot yet.
    async fn cancel_run(&self, tenant: TenantId, run: RunId) -> Result<RunView, ConsoleError>;
    /// One run.
    async fn run(&self, tenant: TenantId, run: RunId) -> Result<RunView, ConsoleError>;
    /// A page of the tenant's snapshots.
    async fn snapshots(&self, tenant: TenantId, query: ListQuery)
    -> Result<Page<SnapshotView>, ConsoleError>;
    /// A page of its runs.
    async fn runs(&self, tenant: TenantId, query: ListQuery) -> Result<Page<RunView>, ConsoleError>;
    /// A page of its restores.
    async fn restores(&self, tenant: TenantId, query: ListQuery) -> Result<Page<RestoreView>, ConsoleError>;
    /// One snapshot's page.
    async fn snapshot(&self, tenant: TenantId, snapshot: SnapshotId) -> Result<SnapshotPage, ConsoleError>;
    /// Allows the snapshot's agent to read it for 24 hours.
    async fn authorise_restore(
        &self,
        tenant: TenantId,
        snapshot: SnapshotId,
    ) -> Result<RestoreView, ConsoleError>;
}
