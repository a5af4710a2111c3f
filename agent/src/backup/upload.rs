//! Uploads: a few at a time, beside the reading, each through an address that the server signed for it alone.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use md5::{Digest, Md5};
use repository::pack::PackLayout;
use reqwest::{
    RequestBuilder, StatusCode,
    header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue},
};
use shared::{
    api::agent::{UPLOAD_HEADERS, UploadRequest, UploadTicket, UploadsRequest},
    ids::RunId,
    object::{ObjectHash, ObjectRef},
    s3_refusal::Refusal,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

use super::resume::Resume;
use crate::{
    client::{self, Client, ClientError},
    escape::escaped,
    fetch::code_in_time,
    limit::{Meter, Rate},
    progress::RunCounters,
    refusal,
    retry::{DOUBTS, Verdict, retry},
    storage::Storage,
    store::{ObjectSink, Stopped},
};

/// Uploads at the same time.
const IN_FLIGHT: u32 = 4;
/// The slowest line that is waited for: 32 KiB/s for all uploads together, and never less than a minute.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 * 1024;

/// Why an upload failed for good.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The server would not sign, or is gone.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The storage said no, each time.
    #[error("the storage refused object {object}: {}", Refusal { code, status: *status, message: "" })]
    Refused {
        /// Which object.
        object: ObjectHash,
        /// The HTTP status.
        status: u16,
        /// S3's error code; empty where it gave none.
        code: String,
    },
    /// What answered was not the storage, or what the storage has is not what was sent.
    #[error("object {object} did not arrive: {what}")]
    NotStored {
        /// Which object.
        object: ObjectHash,
        /// What speaks against it.
        what: String,
    },
    /// The server wants a header sent that is none of an upload.
    #[error("the server wants the header `{0}` sent with an upload, which no upload needs: nothing was sent")]
    Header(String),
    /// The server's answer does not fit the question.
    #[error("the server signed {got} uploads instead of {asked}")]
    Tickets {
        /// How many it signed.
        got: usize,
        /// How many it was asked for.
        asked: usize,
    },
    /// A task of the upload failed.
    #[error("an upload task failed")]
    Task,
    /// The run was told to stop.
    #[error("the upload was stopped")]
    Stopped,
}

impl UploadError {
    /// Whether the same upload may succeed in a later run, without anybody's doing.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Client(error) => !error.is_final(),
            Self::Refused { status, code, .. } => refusal::may_pass(*status, code),
            Self::NotStored { .. } => true,
            Self::Header(_) | Self::Tickets { .. } | Self::Task | Self::Stopped => false,
        }
    }
}

enum QueueItem {
    Object(UploadRequest, Bytes),
    Flush(oneshot::Sender<()>),
}

/// The near end: used by the threads that seal.
pub(super) struct UploadQueue(mpsc::Sender<QueueItem>);

impl UploadQueue {
    /// Starts the far end, which sends no faster than `limit` and the endpoint's own. It ends when the queue is dropped
    /// and everything is stored, or at the first failure.
    pub(super) fn start(
        client: Client,
        run_id: RunId,
        limit: Option<Rate>,
        counters: Arc<RunCounters>,
    ) -> (Self, JoinHandle<Result<(), UploadError>>) {
        let (sender, receiver) = mpsc::channel(1);
        let storage = client.storage();
        let limit = Rate::lower(limit, storage.limits().upload);
        let uploader = Arc::new(Uploader {
            storage,
            meter: limit.map(|rate| Arc::new(Meter::new(rate))),
            client,
            run_id,
            counters,
        });
        (Self(sender), tokio::spawn(uploader.run(receiver)))
    }
}

impl UploadQueue {
    fn send(&self, object: ObjectRef, content_md5: [u8; 16], bytes: Bytes) -> Result<(), Stopped> {
        let request = UploadRequest {
            object,
            content_md5: STANDARD.encode(content_md5),
        };
        self.0
            .blocking_send(QueueItem::Object(request, bytes))
            .map_err(|_| Stopped)
    }
}

impl ObjectSink for UploadQueue {
    fn put(&self, object: ObjectRef, bytes: Bytes) -> Result<(), Stopped> {
        // Here and not at the far end: the threads that seal are the ones that compute.
        let content_md5 = Md5::digest(&bytes).into();
        self.send(object, content_md5, bytes)
    }

    fn flush(&self) -> Result<(), Stopped> {
        let (done, stored) = oneshot::channel();
        self.0
            .blocking_send(QueueItem::Flush(done))
            .map_err(|_| Stopped)?;
        stored.blocking_recv().map_err(|_| Stopped)
    }
}

/// A queue that notes each pack before it is sent: what arrives is then known to the next run, however this one ends.
pub(super) struct NotingQueue<'a> {
    pub(super) queue: &'a UploadQueue,
    pub(super) journal: &'a Resume,
}

impl ObjectSink for NotingQueue<'_> {
    fn put(&self, object: ObjectRef, bytes: Bytes) -> Result<(), Stopped> {
        self.queue.put(object, bytes)
    }

    fn put_pack(&self, layout: &PackLayout, bytes: Bytes) -> Result<(), Stopped> {
        let content_md5 = Md5::digest(&bytes).into();
        self.journal.note(layout, content_md5);
        self.queue.send(layout.object, content_md5, bytes)
    }

    fn flush(&self) -> Result<(), Stopped> {
        self.queue.flush()
    }
}

struct Uploader {
    client: Client,
    storage: Storage,
    /// Shared by everything that is sent.
    meter: Option<Arc<Meter>>,
    run_id: RunId,
    counters: Arc<RunCounters>,
}

impl Uploader {
    async fn run(self: Arc<Self>, mut items: mpsc::Receiver<QueueItem>) -> Result<(), UploadError> {
        let mut running: JoinSet<Result<(), UploadError>> = JoinSet::new();
        while let Some(item) = items.recv().await {
            match item {
                QueueItem::Object(request, bytes) => {
                    while running.len() >= IN_FLIGHT as usize {
                        join(&mut running).await?;
                    }
                    let uploader = self.clone();
                    running.spawn(async move { uploader.upload(request, bytes).await });
                }
                QueueItem::Flush(done) => {
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

    async fn upload(&self, request: UploadRequest, bytes: Bytes) -> Result<(), UploadError> {
        let object = request.object;
        let request = UploadsRequest {
            objects: vec![request],
        };
        let attempt = || self.attempt(&request, &bytes);
        let uploaded = retry(self.storage.patience(), object.hash, attempt, Failure::verdict);
        tokio::select! {
            uploaded = uploaded => uploaded.map_err(|failure| failure.into_error(object.hash)),
            () = self.counters.until_stopped() => Err(UploadError::Stopped),
        }
    }

    /// One attempt, with a fresh address: an old one may be used up or expired, and an object that did arrive although its
    /// answer was lost is `Stored`.
    async fn attempt(&self, request: &UploadsRequest, bytes: &Bytes) -> Result<(), Failure> {
        let tickets = self.client.uploads(self.run_id, request).await;
        let tickets = tickets.map_err(UploadError::from)?;
        let got = tickets.len();
        let [ticket] =
            <[UploadTicket; 1]>::try_from(tickets).map_err(|_| UploadError::Tickets { got, asked: 1 })?;
        let UploadTicket::Put { url, headers, .. } = ticket else {
            return Ok(());
        };
        let headers = upload_headers(&headers)?;
        let address = self.storage.put(&url).map_err(UploadError::from)?;
        let content_md5 = &request.objects[0].content_md5;
        self.put(address, headers, bytes.clone(), content_md5).await?;
        self.counters.bytes_sent.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    async fn put(
        &self,
        mut request: RequestBuilder,
        headers: HeaderMap,
        bytes: Bytes,
        content_md5: &str,
    ) -> Result<(), Failure> {
        let length = bytes.len() as u64;
        let stall = self.storage.patience().stall;
        let mut timeout =
            stall + Duration::from_secs(u64::from(IN_FLIGHT) * length / SLOWEST_BYTES_PER_SECOND);
        request = match &self.meter {
            None => request.body(bytes),
            Some(meter) => {
                // Others have their share of it.
                timeout += meter.rate().time_for(length) * IN_FLIGHT;
                // A body in pieces would go without a length.
                request
                    .header(CONTENT_LENGTH, length)
                    .body(metered(bytes, meter.clone()))
            }
        };
        let mut answer = request
            .headers(headers)
            .timeout(timeout)
            .send()
            .await
            .map_err(|error| Failure::Network(client::network(&error, "the storage".to_owned())))?;
        let status = answer.status();
        if status.is_success() {
            return arrived(answer.headers(), content_md5).map_err(Failure::NotStored);
        }
        let code = code_in_time(stall, refusal::code(&mut answer)).await;
        Err(Failure::Refused(status, code))
    }
}

/// Whether an answer of success says that this content is stored: its ETag is the content's MD5, unless KMS keys encrypt it (Amazon
/// S3 API, Object, `ETag`). Then the commit's HEAD tells, by the size.
fn arrived(answer: &HeaderMap, content_md5: &str) -> Result<(), String> {
    let text = |name: &HeaderName| answer.get(name).and_then(|value| value.to_str().ok());
    let Some(etag) = text(&ETAG) else {
        return Err(
            "the answer names no ETag: something between here and the storage answered in its place"
                .to_owned(),
        );
    };
    let encryption = text(&HeaderName::from_static("x-amz-server-side-encryption"));
    if encryption.is_some_and(|encryption| encryption.starts_with("aws:kms")) {
        return Ok(());
    }
    let sent = STANDARD.decode(content_md5).unwrap_or_default();
    let sent: String = sent.iter().map(|byte| format!("{byte:02x}")).collect();
    let stored = etag.trim_matches('"');
    if stored.eq_ignore_ascii_case(&sent) {
        return Ok(());
    }
    Err(format!(
        "the storage has other content than was sent (ETag {}, sent {sent})",
        escaped(stored.as_bytes()).chars().take(80).collect::<String>()
    ))
}

/// The headers that go with an upload: those of the fixed list, each once. What the server names besides is refused: it may be
/// meant for somebody else than the storage.
fn upload_headers(named: &[(String, String)]) -> Result<HeaderMap, UploadError> {
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        let refused = || UploadError::Header(escaped(name.as_bytes()).chars().take(80).collect());
        let known = UPLOAD_HEADERS
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .ok_or_else(refused)?;
        // These two are always sent, from the address and the body, and have the signed values.
        if matches!(known, "host" | "content-length") {
            continue;
        }
        let value = HeaderValue::from_str(value).map_err(|_| refused())?;
        if headers.insert(HeaderName::from_static(known), value).is_some() {
            return Err(refused());
        }
    }
    Ok(headers)
}

/// A body whose pieces wait until they may pass.
fn metered(bytes: Bytes, meter: Arc<Meter>) -> reqwest::Body {
    let pieces = futures::stream::unfold((bytes, meter), |(mut rest, meter)| async move {
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(meter.piece().min(rest.len()));
        meter.pass(piece.len()).await;
        Some((Ok::<_, std::convert::Infallible>(piece), (rest, meter)))
    });
    reqwest::Body::wrap_stream(pieces)
}

async fn join(running: &mut JoinSet<Result<(), UploadError>>) -> Result<(), UploadError> {
    match running.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(_)) => Err(UploadError::Task),
        None => Ok(()),
    }
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The storage does not answer.
    #[error("{0}")]
    Network(ClientError),
    /// The storage refuses: the status, and S3's error code.
    #[error("{0} {code}", code = escaped(.1.as_bytes()))]
    Refused(StatusCode, String),
    /// The answer says success, and not that the content is stored.
    #[error("{0}")]
    NotStored(String),
    /// No further attempt is made.
    #[error("{0}")]
    Final(#[from] UploadError),
}

impl Failure {
    /// What another attempt, with a fresh address, may bring.
    fn verdict(&self) -> Verdict {
        match self {
            Self::Network(error) => error.verdict(),
            Self::Refused(status, code) => refusal::verdict(status.as_u16(), code),
            Self::NotStored(_) => Verdict::Doubtful(DOUBTS),
            Self::Final(_) => Verdict::Final,
        }
    }

    fn into_error(self, object: ObjectHash) -> UploadError {
        match self {
            Self::Network(error) => error.into(),
            Self::Final(error) => error,
            Self::NotStored(what) => UploadError::NotStored { object, what },
            Self::Refused(status, code) => UploadError::Refused {
                object,
                status: status.as_u16(),
                code,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_the_md5_that_was_sent_unless_kms_keys_encrypt() {
        let content_md5 = STANDARD.encode([0xab; 16]);
        let (sent, other) = ("ab".repeat(16), "cd".repeat(16));
        let quoted = |etag: &str| format!("\"{etag}\"");
        for (etag, encryption, good) in [
            (Some(quoted(&sent)), None, true),
            (Some(quoted(&sent.to_uppercase())), Some("AES256"), true),
            (Some(sent.clone()), None, true),
            (Some(quoted(&other)), None, false),
            (Some(quoted(&other)), Some("AES256"), false),
            (Some(quoted(&other)), Some("aws:kms"), true),
            (Some(quoted(&other)), Some("aws:kms:dsse"), true),
            (Some(quoted(&format!("{sent}-1"))), None, false),
            (None, None, false),
            (None, Some("aws:kms"), false),
        ] {
            let mut answer = HeaderMap::new();
            if let Some(etag) = &etag {
                answer.insert(ETAG, etag.parse().unwrap());
            }
            if let Some(encryption) = encryption {
                answer.insert("x-amz-server-side-encryption", encryption.parse().unwrap());
            }
            assert_eq!(
                arrived(&answer, &content_md5).is_ok(),
                good,
                "{etag:?} {encryption:?}"
            );
        }
    }
}
