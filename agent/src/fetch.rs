//! Reading from the storage through signed addresses.

use std::{ops::Range, time::Duration};

use reqwest::StatusCode;
use shared::api::agent::SignedRead;

use crate::{
    client::{self, ClientError},
    store::ReadError,
};

const ATTEMPTS: u32 = 6;
const SLOWEST_BYTES_PER_SECOND: u64 = 32 * 1024;
/// Larger than any object may be.
const MAX_BYTES: u64 = 300 * 1024 * 1024;

/// Reads a whole object and checks that it is the one that its name says.
pub(crate) async fn whole(http: &reqwest::Client, read: &SignedRead) -> Result<Vec<u8>, ReadError> {
    let bytes = part(http, read, 0..read.size_bytes, true).await?;
    if repository::hash(&bytes) != read.hash {
        return Err(wrong(read, "its hash is another".to_owned()));
    }
    Ok(bytes)
}

/// Reads a part of an object. What is sealed in it proves itself when it is opened.
pub(crate) async fn range(
    http: &reqwest::Client,
    read: &SignedRead,
    range: Range<u64>,
) -> Result<Vec<u8>, ReadError> {
    part(http, read, range, false).await
}

async fn part(
    http: &reqwest::Client,
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
        let error = match once(http, read, &range, is_whole).await {
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
    http: &reqwest::Client,
    read: &SignedRead,
    range: &Range<u64>,
    is_whole: bool,
) -> Result<Vec<u8>, ReadError> {
    let wanted = range.end - range.start;
    let network =
        |error: reqwest::Error| ReadError::Client(client::network(&error, "the storage".to_owned()));
    let mut request = http
        .get(&read.url)
        .timeout(Duration::from_secs(60 + wanted / SLOWEST_BYTES_PER_SECOND));
    if !is_whole {
        request = request.header("range", format!("bytes={}-{}", range.start, range.end - 1));
    }
    let mut answer = request.send().await.map_err(network)?;
    let status = answer.status();
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
    let capacity = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(capacity);
    while let Some(piece) = answer.chunk().await.map_err(network)? {
        if bytes.len() + piece.len() > capacity {
            return Err(wrong(read, "the storage sent more than was asked for".to_owned()));
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() < capacity {
        // A connection that broke off looks like this on some paths.
        return Err(ReadError::Client(ClientError::Network {
            host: "the storage".to_owned(),
            error: format!("sent {} of {capacity} bytes", bytes.len()),
        }));
    }
    Ok(bytes)
}

fn wrong(read: &SignedRead, what: String) -> ReadError {
    ReadError::Wrong {
        object: read.hash,
        what,
    }
}
