//! Reading from the storage through signed addresses.

use std::{ops::Range, time::Duration};

use reqwest::StatusCode;
use shared::api::agent::SignedRead;

use crate::{
    client::{self, ClientError},
    storage::{SILENCE, Storage},
    store::ReadError,
};

const ATTEMPTS: u32 = 6;
const SLOWEST_BYTES_PER_SECOND: u64 = 32 * 1024;
/// More than this are not read from at a time.
const AT_THE_SAME_TIME: u32 = 32;
/// Larger than any object may be.
const MAX_BYTES: u64 = 300 * 1024 * 1024;

/// Reads a whole object and checks that it is the one that its name says.
pub(crate) async fn whole(storage: &Storage, read: &SignedRead) -> Result<Vec<u8>, ReadError> {
    let bytes = part(storage, read, 0..read.size_bytes, true).await?;
    if bytes.len() as u64 != read.size_bytes {
        let what = format!("it has {} bytes instead of {}", bytes.len(), read.size_bytes);
        return Err(wrong(read, what));
    }
    if repository::hash(&bytes) != read.hash {
        return Err(wrong(read, "its hash is another".to_owned()));
    }
    Ok(bytes)
}

/// Reads a part of an object: less, when the object is shorter than it should be. What is sealed in it proves itself
/// when it is opened.
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
    if wanted > MAX_BYTES {
        return Err(wrong(
            read,
            format!("{wanted} bytes are beyond any object's size"),
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
            ReadError::Client(ClientError::Network { .. }) => true,
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
    let wanted = range.end - range.start;
    let mut patience = Duration::from_secs(60 + wanted / SLOWEST_BYTES_PER_SECOND);
    if let Some(meter) = &storage.download {
        // Others have their share of it.
        patience += meter.rate().time_for(wanted) * AT_THE_SAME_TIME;
    }
    let mut request = storage.http.get(&read.url).timeout(patience);
    if !is_whole {
        request = request.header("range", format!("bytes={}-{}", range.start, range.end - 1));
    }
    let mut answer = in_time(request.send()).await?;
    let status = answer.status();
    if !is_whole && status == StatusCode::RANGE_NOT_SATISFIABLE {
        // The object ends before the range begins.
        return Ok(Vec::new());
    }
    let expected = if is_whole {
        StatusCode::OK
    } else {
        StatusCode::PARTIAL_CONTENT
    };
    // A range that covers the whole object may be answered as such.
    let covers = range.start == 0 && range.end == read.size_bytes && status == StatusCode::OK;
    if status != expected && !covers {
        return Err(ReadError::Storage {
            object: read.hash,
            status: status.as_u16(),
        });
    }
    // An object that is shorter than it should be says so; a connection that breaks off does not.
    let announced = answer.content_length().unwrap_or(wanted);
    let capacity = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(capacity);
    while let Some(piece) = in_time(answer.chunk()).await? {
        if let Some(meter) = &storage.download {
            meter.pass(piece.len()).await;
        }
        if bytes.len() + piece.len() > capacity {
            return Err(wrong(read, "the storage sent more than was asked for".to_owned()));
        }
        bytes.extend_from_slice(&piece);
    }
    if (bytes.len() as u64) < announced.min(wanted) {
        // A connection that broke off looks like this on some paths.
        return Err(ReadError::Client(ClientError::Network {
            host: "the storage".to_owned(),
            error: format!("sent {} of {capacity} bytes", bytes.len()),
        }));
    }
    Ok(bytes)
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

fn wrong(read: &SignedRead, what: String) -> ReadError {
    ReadError::Wrong {
        object: read.hash,
        what,
    }
}
