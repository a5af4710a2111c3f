//! Uploads: a few at a time, beside the reading, each through an address that the server signed for it alone.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use md5::{Digest, Md5};
use reqwest::StatusCode;
use shared::{
    api::agent::{UploadRequest, UploadTicket, UploadsRequest},
    ids::RunId,
    object::{ObjectHash, ObjectRef},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

use crate::{
    client::{self, Client, ClientError},
    progress::RunCounters,
    store::{ObjectSink, Stopped},
};

/// Uploads at the same time.
const IN_FLIGHT: usize = 4;
/// Attempts for one object before the run fails.
const ATTEMPTS: u32 = 8;
/// The slowest upload that is waited for: 32 KiB/s, and never less than a minute.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 * 1024;

/// Why an upload failed for good.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The server would not sign, or is gone.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The storage said no, each time.
    #[error("the storage refused object {object} with status {status}: {message}")]
    Refused {
        /// Which object.
        object: ObjectHash,
        /// The HTTP status.
        status: u16,
        /// The storage's error code.
        message: String,
    },
    /// The server's answer does not fit the question.
    #[error("the server signed {got} uploads instead of one")]
    Tickets {
        /// How many it signed.
        got: usize,
    },
    /// A task of the upload failed.
    #[error("an upload task failed")]
    Task,
}

enum Item {
    Object(ObjectRef, Bytes),
    Flush(oneshot::Sender<()>),
}

/// The near end: used by the threads that seal.
pub(super) struct UploadQueue(mpsc::Sender<Item>);

impl UploadQueue {
    /// Starts the far end. It ends when the queue is dropped and everything is stored, or at the first failure.
    pub(super) fn start(
        client: Client,
        run_id: RunId,
        counters: Arc<RunCounters>,
    ) -> (Self, JoinHandle<Result<(), UploadError>>) {
        let (sender, receiver) = mpsc::channel(1);
        let uploader = Arc::new(Uploader {
            storage: client.storage(),
            client,
            run_id,
            counters,
        });
        (Self(sender), tokio::spawn(uploader.run(receiver)))
    }
}

impl ObjectSink for UploadQueue {
    fn put(&self, object: ObjectRef, bytes: Vec<u8>) -> Result<(), Stopped> {
        self.0
            .blocking_send(Item::Object(object, bytes.into()))
            .map_err(|_| Stopped)
    }

    fn flush(&self) -> Result<(), Stopped> {
        let (done, stored) = oneshot::channel();
        self.0.blocking_send(Item::Flush(done)).map_err(|_| Stopped)?;
        stored.blocking_recv().map_err(|_| Stopped)
    }
}

struct Uploader {
    client: Client,
    storage: reqwest::Client,
    run_id: RunId,
    counters: Arc<RunCounters>,
}

impl Uploader {
    async fn run(self: Arc<Self>, mut items: mpsc::Receiver<Item>) -> Result<(), UploadError> {
        let mut running: JoinSet<Result<(), UploadError>> = JoinSet::new();
        while let Some(item) = items.recv().await {
            match item {
                Item::Object(object, bytes) => {
                    while running.len() >= IN_FLIGHT {
                        join(&mut running).await?;
                    }
                    let uploader = self.clone();
                    running.spawn(async move { uploader.upload(object, bytes).await });
                }
                Item::Flush(done) => {
                    while !running.is_empty() {
                        join(&mut running).await?;
                    }
                    let _ = done.send(());
                }
            }
        }
        while !running.is_empty() {
            join(&mut running).await?;
        }
        Ok(())
    }

    async fn upload(&self, object: ObjectRef, bytes: Bytes) -> Result<(), UploadError> {
        let request = UploadsRequest {
            objects: vec![UploadRequest {
                object,
                content_md5: STANDARD.encode(Md5::digest(&bytes)),
            }],
        };
        let mut attempt = 0;
        loop {
            // A fresh address each time: an old one may be used up or expired, and an object that did arrive
            // although its answer was lost is `Stored`.
            let mut tickets = self.client.uploads(self.run_id, &request).await?;
            let ticket = match (tickets.pop(), tickets.len()) {
                (Some(ticket), 0) => ticket,
                (None, _) => return Err(UploadError::Tickets { got: 0 }),
                (Some(_), more) => return Err(UploadError::Tickets { got: more + 1 }),
            };
            let UploadTicket::Put { url, headers, .. } = ticket else {
                return Ok(());
            };
            let failure = match self.put(&url, &headers, bytes.clone()).await {
                Ok(()) => {
                    self.counters.bytes_sent.fetch_add(object.size_bytes, Relaxed);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            attempt += 1;
            if attempt >= ATTEMPTS || self.counters.stopped() {
                return Err(failure.into_error(object.hash));
            }
            tracing::debug!(object = %object.hash, attempt, ?failure, "an upload failed; trying again");
            tokio::time::sleep(client::pause(attempt)).await;
        }
    }

    async fn put(&self, url: &str, headers: &[(String, String)], bytes: Bytes) -> Result<(), PutFailure> {
        let patience = Duration::from_secs(60 + bytes.len() as u64 / SLOWEST_BYTES_PER_SECOND);
        let mut request = self.storage.put(url).timeout(patience);
        for (name, value) in headers {
            // These two are always sent, from the address and the body, and have the signed values.
            if !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-length") {
                request = request.header(name, value);
            }
        }
        let answer = request
            .body(bytes)
            .send()
            .await
            .map_err(|error| PutFailure::Network(client::network(&error, "the storage".to_owned())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.text().await.unwrap_or_default();
        Err(PutFailure::Refused(status, error_code(&text)))
    }
}

async fn join(running: &mut JoinSet<Result<(), UploadError>>) -> Result<(), UploadError> {
    match running.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(_)) => Err(UploadError::Task),
        None => Ok(()),
    }
}

#[derive(Debug)]
enum PutFailure {
    Network(ClientError),
    Refused(StatusCode, String),
}

impl PutFailure {
    fn into_error(self, object: ObjectHash) -> UploadError {
        match self {
            Self::Network(error) => error.into(),
            Self::Refused(status, message) => UploadError::Refused {
                object,
                status: status.as_u16(),
                message,
            },
        }
    }
}

/// The `Code` of an S3 error: enough for people, and no more of a stranger's text than that.
fn error_code(xml: &str) -> String {
    xml.split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or_else(
            || "no code given".to_owned(),
            |(code, _)| code.chars().take(80).collect(),
        )
}
