//! What the console needs of the server. The server implements it; server functions are shims over it.

use async_trait::async_trait;
use jiff::Timestamp;
use shared::api::{
    operation::Operation,
    operations::{
        AuthoriseRestore, CancelRun, CreateBackupSet, CreateEnrollmentToken, CreateSource,
        CreateStorageAccount, CreateTenant, EndRestore, InspectBucket, JudgeSnapshot, ListNotices,
        ListRestores, ListRuns, ListSnapshots, ListSources, ListTenants, ReadAgents, ReadBackupSet,
        ReadOverview, ReadRun, ReadSnapshot, ReadStorage, ReadTenant, RunNow, SettleNotice,
    },
    request::SignIn,
    view::Me,
};

use crate::error::ConsoleError;

/// An operation of the automation API, done for the person who is signed in, and refused otherwise.
#[async_trait]
pub trait Handle<O: Operation>: Send + Sync {
    /// Authorises the person and does it.
    async fn handle(&self, ids: O::Ids, input: O::Input) -> Result<O::Output, ConsoleError>;
}

/// The server, as seen by one request: an implementation is made for each request and holds its session. The operations are those
/// that the console asks for.
#[async_trait]
pub trait Backend:
    Handle<ListNotices>
    + Handle<SettleNotice>
    + Handle<ListTenants>
    + Handle<CreateTenant>
    + Handle<ReadTenant>
    + Handle<ReadOverview>
    + Handle<ReadAgents>
    + Handle<ReadStorage>
    + Handle<ReadBackupSet>
    + Handle<ListSources>
    + Handle<CreateStorageAccount>
    + Handle<CreateBackupSet>
    + Handle<InspectBucket>
    + Handle<CreateEnrollmentToken>
    + Handle<CreateSource>
    + Handle<RunNow>
    + Handle<ListRuns>
    + Handle<ReadRun>
    + Handle<CancelRun>
    + Handle<ListSnapshots>
    + Handle<ReadSnapshot>
    + Handle<AuthoriseRestore>
    + Handle<JudgeSnapshot>
    + Handle<EndRestore>
    + Handle<ListRestores>
{
    /// The time.
    fn now(&self) -> Timestamp;
    /// Whether browsers reach this server by https.
    fn is_https(&self) -> bool;
    /// Seals what a cookie carries from one page to the next, for so long: nobody else can read it, or make one. `purpose` keeps one
    /// cookie from being taken for another.
    fn seal(&self, purpose: &'static str, seconds: u32, text: &[u8]) -> Option<String>;
    /// Opens what [`Self::seal`] made for the same purpose, while it lasts.
    fn open(&self, purpose: &'static str, sealed: &str) -> Option<Vec<u8>>;
    /// Who is signed in, if anybody is.
    async fn me(&self) -> Result<Option<Me>, ConsoleError>;
    /// Signs in and starts a session: the response sets its cookie.
    async fn sign_in(&self, request: SignIn) -> Result<Me, ConsoleError>;
    /// Ends the session.
    async fn sign_out(&self) -> Result<(), ConsoleError>;
}
