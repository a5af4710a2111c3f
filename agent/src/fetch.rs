//! Reading from the storage through signed addresses.

use std::{ops::Range, time::Duration};

use repository::layout::max_object_bytes;
use reqwest::StatusCode;
use shared::{api::agent::SignedRead, words::counted};

use crate::{
    client::{self, ClientError},
    range::Cut,
    refusal,
    storage::{SILENCE, Storage},
    store::ReadError,
};

const ATTEMPTS: u32 = 6;
/// An object that came with another hash is asked for so many times before that is believed.
const ATTEMPTS_WRONG: u32 = 3;
const SLOWEST_BYTES_PER_SECOND: u64 = 32 * 1024;
/// More than this are not read from at a time.
const AT_THE_SAME_TIME: u32 = 32;

/// Reads a whole object and checks that it is the one that its name says.
pub(crate) async fn whole(storage: &Storage, read: &SignedRead) -> Result<Vec<u8>, ReadError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let bytes = part(storage, read, 0..read.size_bytes, true).await?;
        let what = if bytes.len() as u64 != read.size_bytes {
            format!(
                "it has {} instead of {}",
                counted(bytes.len() as u64, "byte", "bytes"),
                read.size_bytes
            )
        } else if repository::hash(&bytes) != read.hash {
            "its hash is another".to_owned()
        } else {
            return Ok(bytes);
        };
        if attempt >= ATTEMPTS_WRONG {
            return Err(wrong(read, what));
        }
        tokio::time::sleep(client::pause(attempt)).await;
    }
}

/// Reads a part of an object: less, when the object is shorter than it should be. What is sealed in it proves itself
/// when it is opened. An answer that is not of this range says nothing of the object: [`ReadError::Garbled`], in the end.
pub(crate) async fn range(
    storage: &Storage,
    read: &SignedRead,
    range: Range<u64>,
) -> Result<Vec<u8>, ReadError> {
    part(storage, read, range, false).await
}

async fn part(
    storage: &Storage,
    read: &SignedRead,
    range: Range<u64>,
    is_whole: bool,
) -> Result<Vec<u8>, ReadError> {
    let wanted = range.end.saturating_sub(range.start);
    let most = max_object_bytes(read.kind);
    if wanted > most || read.size_bytes > most {
        let bytes = wanted.max(read.size_bytes);
        return Err(wrong(
            read,
            format!("{bytes} bytes are more than the {most} of any object of its kind"),
        ));
    }
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match once(storage, read, &range, is_whole).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        let again = match &error {
            ReadError::Client(ClientError::Network { .. }) | ReadError::Garbled { .. } => true,
            ReadError::Storage { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        };
        if !again || attempt >= ATTEMPTS {
            return Err(error);
        }
        tracing::debug!(object = %read.hash, attempt, %error, "a read failed; trying again");
        tokio::time::sleep(client::pause(attempt)).await;
    }
}

async fn once(
    storage: &Storage,
    read: &SignedRead,
    range: &Range<u64>,
    is_whole: bool,
) -> Result<Vec<u8>, ReadError> {
    let garbled = |what: String| ReadError::Garbled {
        object: read.hash,
        what,
    };
    let mut patience = Duration::from_secs(60 + range.end / SLOWEST_BYTES_PER_SECOND);
    if let Some(meter) = &storage.download {
        // Others have their share of it.
        patience += meter.rate().time_for(range.end) * AT_THE_SAME_TIME;
    }
    let mut request = storage.get(&read.url)?.timeout(patience);
    if !is_whole {
        request = request.header("range", format!("bytes={}-{}", range.start, range.end - 1));
    }
    let mut answer = in_time(request.send()).await?;
    let mut cut = match answer.status() {
        StatusCode::OK => Cut::whole(range),
        StatusCode::PARTIAL_CONTENT if !is_whole => {
            let named = answer.headers().get("content-range");
            let named = named.map(|value| value.to_str().unwrap_or("?"));
            Cut::part(range, named).map_err(garbled)?
        }
        // The object ends before the range begins.
        StatusCode::RANGE_NOT_SATISFIABLE if !is_whole => return Ok(Vec::new()),
        status => {
            return Err(ReadError::Storage {
                object: read.hash,
                status: status.as_u16(),
                code: in_silence(refusal::code(&mut answer)).await,
            });
        }
    };
    let announced = answer.content_length();
    let mut received = 0;
    while let Some(piece) = in_time(answer.chunk()).await? {
        received += piece.len() as u64;
        if let Some(meter) = &storage.download {
            meter.pass(piece.len()).await;
        }
        let more = cut.take(&piece).map_err(garbled)?;
        if is_whole && received > read.size_bytes {
            return Err(garbled("more bytes came than the object has".to_owned()));
        }
        if !more && !is_whole {
            // The rest of a whole is not needed.
            received = announced.unwrap_or(received);
            break;
        }
    }
    // A connection that broke off looks like this on some paths.
    let broke_off = announced.is_some_and(|announced| received < announced);
    match cut.done().map_err(garbled)? {
        Some(bytes) if !broke_off => Ok(bytes),
        _ => Err(ReadError::Client(ClientError::Network {
            host: "the storage".to_owned(),
            error: format!(
                "the answer broke off after {}",
                counted(received, "byte", "bytes")
            ),
        })),
    }
}

/// An answer, or a part of it, unless nothing comes for too long.
async fn in_time<T>(answer: impl Future<Output = Result<T, reqwest::Error>>) -> Result<T, ReadError> {
    let host = "the storage".to_owned();
    let error = match tokio::time::timeout(SILENCE, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => client::network(&error, host),
        Err(_) => ClientError::Network {
            host,
            error: "timed out".to_owned(),
        },
    };
    Err(error.into())
}

/// The code of a refusal, unless it does not come in time.
async fn in_silence(code: impl Future<Output = String>) -> String {
    tokio::time::timeout(SILENCE, code).await.unwrap_or_default()
}

fn wrong(read: &SignedRead, what: String) -> ReadError {
    ReadError::Wrong {
        object: read.hash,
        what,
    }
}
