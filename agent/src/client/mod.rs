//! The agent API over HTTP: retries, timeouts, errors that people can act on.

mod error;
mod http;

pub use crate::retry::{Patience, Verdict};
pub use error::ClientError;
pub(crate) use error::network;
pub(crate) use http::{builder, origin};

use std::time::Duration;

use reqwest::{Method, StatusCode, header::HeaderValue};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    api::{
        ErrorBody,
        agent::*,
        commit::{CommitPage, StoredPage},
    },
    ids::{RestoreId, RunId, SourceId},
    object::{ObjectHash, ObjectRef},
};

use crate::{
    limit::Limits,
    machine,
    retry::retry,
    state::{Config, State},
    storage::Storage,
};

/// No answer is longer: a list of 100,000 snapshots takes some 40 MiB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What may be sent twice without harm.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// The call is idempotent.
    Always,
    /// Only when it surely did not reach the server.
    Unsent,
    /// Not at all: the caller will call again anyway.
    Never,
}

/// One attempt of a call failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
struct Failure {
    error: ClientError,
    /// The request surely had no effect.
    unsent: bool,
}

impl Failure {
    /// The request may have had its effect.
    fn of(error: ClientError) -> Self {
        Self { error, unsent: false }
    }
}

/// Talks to the server.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    storage: Storage,
    base: String,
    credential: Option<crate::state::Secret>,
    patience: Patience,
    /// Which machine this is: of an enrolled agent.
    machine: Option<HeaderValue>,
}

impl Client {
    /// A client without a credential, for enrollment. It speaks to no storage.
    ///
    /// # Errors
    /// When the address is none, or neither encrypted nor of this machine.
    pub fn anonymous(server: &str) -> Result<Self, ClientError> {
        let server = server.trim_end_matches('/');
        origin(server)?;
        let patience = Patience::SHORT;
        Ok(Self {
            http: http_client(patience)?,
            storage: Storage::new(None, Limits::default(), patience)?,
            base: format!("{server}{BASE_PATH}"),
            credential: None,
            patience,
            machine: None,
        })
    }

    /// A client of an enrolled agent that speaks to no storage.
    ///
    /// # Errors
    /// When the stored address is none, or neither encrypted nor of this machine.
    pub fn new(config: &Config) -> Result<Self, ClientError> {
        Ok(Self {
            credential: Some(config.credential.clone()),
            machine: machine::header(&config.instance_id),
            ..Self::anonymous(&config.server)?
        })
    }

    /// A client of an enrolled agent, within these limits, and its own where these say nothing. It speaks to the storage hosts
    /// that the agent knows, and is patient: [`Patience::LONG`].
    ///
    /// # Errors
    /// As for [`Self::new`], and when the known hosts do not read.
    pub fn within(state: &State, limits: Limits) -> Result<Self, ClientError> {
        Self::patient(state, limits, Patience::LONG)
    }

    /// The same, with another patience.
    ///
    /// # Errors
    /// As for [`Self::within`].
    pub fn patient(state: &State, limits: Limits, patience: Patience) -> Result<Self, ClientError> {
        let config = state.config();
        let hosts = state.hosts()?;
        Ok(Self {
            http: http_client(patience)?,
            storage: Storage::new(Some(hosts), limits.or(config.limits), patience)?,
            patience,
            ..Self::new(config)?
        })
    }

    /// The storage, to which the credential does not go.
    #[must_use]
    pub(crate) fn storage(&self) -> Storage {
        self.storage.clone()
    }

    /// Looks what a token stands for.
    ///
    /// # Errors
    /// See [`ClientError`]; so for all calls below.
    pub async fn enrollment(&self, query: &EnrollmentQuery) -> Result<EnrollmentOffer, ClientError> {
        self.post("/enrollment", query, Repeat::Always).await
    }

    /// Uses a token up. The same request asked again has the same answer.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<EnrollResponse, ClientError> {
        self.post("/enroll", request, Repeat::Always).await
    }

    /// Waits up to `wait` for something to do.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn work(&self, wait: Duration) -> Result<Work, ClientError> {
        let call = format!("/work?wait_seconds={}", wait.as_secs());
        self.get(&call, Repeat::Never).await
    }

    /// This agent's sources.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn sources(&self) -> Result<Vec<SourceSpec>, ClientError> {
        self.get("/sources", Repeat::Always).await
    }

    /// Starts a run now. A run that began and whose answer was lost is given up by the server when this is asked again.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn start_run(&self, source: SourceId) -> Result<BackupWork, ClientError> {
        self.post(&format!("/sources/{source}/runs"), &(), Repeat::Always)
            .await
    }

    /// Addresses of this source's own manifests and index segments.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn source_reads(
        &self,
        source: SourceId,
        request: &ReadsRequest,
    ) -> Result<Vec<SignedRead>, ClientError> {
        self.post(&format!("/sources/{source}/reads"), request, Repeat::Always)
            .await
    }

    /// What the newest snapshot of this source needs by the server's books, but its manifest: the part behind `after`.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn source_objects(
        &self,
        source: SourceId,
        seq: u64,
        after: Option<ObjectHash>,
    ) -> Result<Vec<ObjectRef>, ClientError> {
        let after = after.map_or_else(String::new, |after| format!("?after={after}"));
        let call = format!("/sources/{source}/snapshots/{seq}/objects{after}");
        self.get(&call, Repeat::Always).await
    }

    /// Addresses to put objects to.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn uploads(
        &self,
        run: RunId,
        request: &UploadsRequest,
    ) -> Result<Vec<UploadTicket>, ClientError> {
        self.post(&format!("/runs/{run}/uploads"), request, Repeat::Always)
            .await
    }

    /// Reports progress; a lost report is replaced by the next.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn run_progress(&self, run: RunId, progress: &RunProgress) -> Result<(), ClientError> {
        self.post_unit(&format!("/runs/{run}/progress"), progress, Repeat::Never)
            .await
    }

    /// Sends a page of the run's change.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn commit_page(&self, run: RunId, number: u32, page: &CommitPage) -> Result<(), ClientError> {
        let call = format!("/runs/{run}/commit/pages/{number}");
        self.send_json(Method::PUT, &call, page, Repeat::Always, nothing)
            .await
    }

    /// The pages that the server has.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn commit_pages(&self, run: RunId) -> Result<Vec<StoredPage>, ClientError> {
        self.get(&format!("/runs/{run}/commit/pages"), Repeat::Always)
            .await
    }

    /// Asks to make the run a snapshot.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn commit(&self, run: RunId, request: &CommitRequest) -> Result<RunStatus, ClientError> {
        self.post(&format!("/runs/{run}/commit"), request, Repeat::Always)
            .await
    }

    /// Gives a run up.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn abort(&self, run: RunId, request: &AbortRequest) -> Result<(), ClientError> {
        self.post_unit(&format!("/runs/{run}/abort"), request, Repeat::Unsent)
            .await
    }

    /// Where a run stands.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn run(&self, run: RunId) -> Result<RunStatus, ClientError> {
        self.get(&format!("/runs/{run}"), Repeat::Always).await
    }

    /// This agent's snapshots, newest first.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn snapshots(&self) -> Result<Vec<SnapshotSummary>, ClientError> {
        self.get("/snapshots", Repeat::Always).await
    }

    /// Begins a restore.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn start_restore(&self, request: &RestoreRequest) -> Result<RestoreWork, ClientError> {
        self.post("/restores", request, Repeat::Unsent).await
    }

    /// Addresses of a restore's objects.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn restore_reads(
        &self,
        restore: RestoreId,
        request: &ReadsRequest,
    ) -> Result<Vec<SignedRead>, ClientError> {
        self.post(&format!("/restores/{restore}/reads"), request, Repeat::Always)
            .await
    }

    /// Says that objects of a restore's snapshot are lost; gives the snapshot whose objects may be read instead.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn restore_later(
        &self,
        restore: RestoreId,
        request: &LaterRequest,
    ) -> Result<LaterSnapshot, ClientError> {
        self.post(&format!("/restores/{restore}/later"), request, Repeat::Always)
            .await
    }

    /// Reports progress of a restore.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn restore_progress(
        &self,
        restore: RestoreId,
        progress: &RestoreProgress,
    ) -> Result<(), ClientError> {
        self.post_unit(&format!("/restores/{restore}/progress"), progress, Repeat::Never)
            .await
    }

    /// Ends a restore.
    #[expect(clippy::missing_errors_doc, reason = "as for `enrollment`")]
    pub async fn finish_restore(
        &self,
        restore: RestoreId,
        finish: &RestoreFinish,
    ) -> Result<(), ClientError> {
        self.post_unit(&format!("/restores/{restore}/finish"), finish, Repeat::Always)
            .await
    }

    async fn get<A: DeserializeOwned>(&self, call: &str, repeat: Repeat) -> Result<A, ClientError> {
        self.send(Method::GET, call, None, repeat, parse).await
    }

    async fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        call: &str,
        body: &B,
        repeat: Repeat,
    ) -> Result<A, ClientError> {
        self.send_json(Method::POST, call, body, repeat, parse).await
    }

    async fn post_unit<B: Serialize>(&self, call: &str, body: &B, repeat: Repeat) -> Result<(), ClientError> {
        self.send_json(Method::POST, call, body, repeat, nothing).await
    }

    async fn send_json<B: Serialize, A>(
        &self,
        method: Method,
        call: &str,
        body: &B,
        repeat: Repeat,
        read: Reader<A>,
    ) -> Result<A, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Answer {
            call: call.to_owned(),
            error: error.to_string(),
        })?;
        self.send(method, call, Some(body.into()), repeat, read).await
    }

    async fn send<A>(
        &self,
        method: Method,
        call: &str,
        body: Option<bytes::Bytes>,
        repeat: Repeat,
        read: Reader<A>,
    ) -> Result<A, ClientError> {
        let attempt = || async {
            let (status, answer) = self.send_once(method.clone(), call, body.clone()).await?;
            read(call, status, &answer).map_err(Failure::of)
        };
        let verdict = |failure: &Failure| match repeat {
            Repeat::Always => failure.error.verdict(),
            Repeat::Unsent if failure.unsent => failure.error.verdict(),
            Repeat::Unsent | Repeat::Never => Verdict::Final,
        };
        let answer = retry(self.patience, call, attempt, verdict).await;
        answer.map_err(|failure| failure.error)
    }

    async fn send_once(
        &self,
        method: Method,
        call: &str,
        body: Option<bytes::Bytes>,
    ) -> Result<(StatusCode, bytes::Bytes), Failure> {
        let mut request = self.http.request(method, format!("{}{call}", self.base));
        if let Some(credential) = &self.credential {
            request = request.bearer_auth(credential.reveal());
        }
        if let Some(machine) = &self.machine {
            request = request.header(MACHINE_HEADER, machine);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let host = self.base.clone();
        let mut answer = request.send().await.map_err(|error| {
            let unsent = error.is_connect();
            let error = network(&error, host.clone());
            Failure { error, unsent }
        })?;
        let status = answer.status();
        // No memory is taken for a length that is only announced.
        let mut body = bytes::BytesMut::new();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| Failure::of(network(&error, host.clone())))?
        {
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                let call = call.split('?').next().unwrap_or_default().to_owned();
                let error = format!("it is longer than {MAX_ANSWER_BYTES} bytes");
                return Err(Failure::of(ClientError::Answer { call, error }));
            }
            body.extend_from_slice(&piece);
        }
        let body = body.freeze();
        if status.is_success() {
            return Ok((status, body));
        }
        let unsent = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let error = refused(status, &body);
        Err(Failure { error, unsent })
    }
}

/// What a status other than success means.
fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    let number = status.as_u16();
    match serde_json::from_slice::<ErrorBody>(body) {
        _ if status.is_server_error() => ClientError::Server(number),
        Ok(said) if status.is_client_error() => ClientError::Refused {
            status: number,
            code: said.code,
            message: said.message,
        },
        _ => ClientError::Foreign(number),
    }
}

/// Makes an answer of a body. The call is named in errors.
type Reader<A> = fn(&str, StatusCode, &[u8]) -> Result<A, ClientError>;

/// Of an answer that says nothing, which is a status of its own: any other success comes from something in between.
fn nothing(_: &str, status: StatusCode, _: &[u8]) -> Result<(), ClientError> {
    match status {
        StatusCode::NO_CONTENT => Ok(()),
        other => Err(ClientError::Foreign(other.as_u16())),
    }
}

fn http_client(patience: Patience) -> Result<reqwest::Client, ClientError> {
    let http = builder().read_timeout(patience.stall).build();
    http.map_err(|error| network(&error, String::new()))
}

fn parse<A: DeserializeOwned>(call: &str, _: StatusCode, answer: &[u8]) -> Result<A, ClientError> {
    serde_json::from_slice(answer).map_err(|error| ClientError::Answer {
        call: call.split('?').next().unwrap_or_default().to_owned(),
        error: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for bad in [
            "",
            "localhost:8080",
            "ftp://x",
            "/x",
            // The credential would go over the line as it is.
            "http://backup.example.com",
            "http://10.1.2.3:8080",
            "https://user:password@backup.example.com",
        ] {
            assert!(
                matches!(Client::anonymous(bad), Err(ClientError::Address(_))),
                "{bad}"
            );
        }
        for good in [
            "http://localhost:8080/",
            "http://127.0.0.1:8080",
            "http://[::1]",
            "https://backup.example.com/holdfast",
        ] {
            assert!(Client::anonymous(good).is_ok(), "{good}");
        }
    }
}
