//! Reading from the storage through signed addresses.

use std::time::Duration;

use bucket::RangeBody;
use repository::layout::max_object_bytes;
use reqwest::StatusCode;
use shared::{
    api::agent::{RANGE_HEADER, SignedRead},
    words::counted,
};

use crate::{
    client::{self, ClientError},
    refusal,
    retry::{DOUBTS, Verdict},
    storage::Storage,
    store::ReadError,
};

/// An object that came with another hash is asked for so many times before that is believed.
const ATTEMPTS_WRONG: u32 = 3;
/// And one that is said not to be there.
const ATTEMPTS_ABSENT: u32 = 4;
const SLOWEST_BYTES_PER_SECOND: u64 = 32 * 1024;
/// More than this are not read from at a time.
const MAX_CONCURRENT_READS: u32 = 32;

/// What another attempt to read, through an address of its own, may bring.
pub(crate) fn verdict(error: &ReadError) -> Verdict {
    match error {
        ReadError::Client(error) => error.verdict(),
        ReadError::Garbled { .. } => Verdict::Doubtful(DOUBTS),
        ReadError::Wrong { .. } => Verdict::Doubtful(ATTEMPTS_WRONG),
        ReadError::Storage { status, code, .. } => match (status, refusal::verdict(*status, code)) {
            (404 | 405 | 410, Verdict::Doubtful(_)) => Verdict::Doubtful(ATTEMPTS_ABSENT),
            (_, verdict) => verdict,
        },
        ReadError::Bucket(_) => Verdict::Final,
    }
}

/// Reads a whole object, once, and checks that it is the one that its name says.
pub(crate) async fn whole(storage: &Storage, read: &SignedRead) -> Result<Vec<u8>, ReadError> {
    if read.part.range() != (0..read.size_bytes) {
        return Err(wrong(
            read,
            "the server gives the address of a part of it".to_owned(),
        ));
    }
    let bytes = part(storage, read).await?;
    let what = if bytes.len() as u64 != read.size_bytes {
        format!(
            "it has {} instead of {}",
            counted(bytes.len() as u64, "byte", "bytes"),
            read.size_bytes
        )
    } else if repository::hash(&bytes) != read.part.object {
        "its hash is another".to_owned()
    } else {
        return Ok(bytes);
    };
    Err(wrong(read, what))
}

/// Reads the part that the address is signed for, once: less, when the object is shorter than it should be. What is sealed in it
/// proves itself when it is opened. An answer that is not of this part, such as the whole object, says nothing of the object and
/// is not used: [`ReadError::Garbled`].
pub(crate) async fn part(storage: &Storage, read: &SignedRead) -> Result<Vec<u8>, ReadError> {
    check_size(read)?;
    if read.part.is_empty() {
        return Ok(Vec::new());
    }
    once(storage, read).await
}

/// Refuses an address of more bytes than an object of its kind can have.
fn check_size(read: &SignedRead) -> Result<(), ReadError> {
    let most = max_object_bytes(read.kind);
    let bytes = read.part.len().max(read.size_bytes);
    if bytes > most {
        let what = format!("{bytes} bytes are more than the {most} of any object of its kind");
        return Err(wrong(read, what));
    }
    Ok(())
}

async fn once(storage: &Storage, read: &SignedRead) -> Result<Vec<u8>, ReadError> {
    let garbled = |what: String| ReadError::Garbled {
        object: read.part.object,
        what,
    };
    let mut timeout = Duration::from_secs(60 + read.part.len() / SLOWEST_BYTES_PER_SECOND);
    if let Some(meter) = &storage.download {
        // Others have their share of it.
        timeout += meter.rate().time_for(read.part.len()) * MAX_CONCURRENT_READS;
    }
    let request = storage.get(&read.url)?.timeout(timeout);
    let request = request.header(RANGE_HEADER, read.part.header());
    let stall = storage.patience().stall;
    let mut answer = in_time(stall, request.send()).await?;
    let mut body = match answer.status() {
        StatusCode::PARTIAL_CONTENT => {
            let named = answer.headers().get("content-range");
            let named = named.map(|value| value.to_str().unwrap_or("?"));
            RangeBody::part(&read.part.range(), named).map_err(garbled)?
        }
        StatusCode::OK => {
            let what = "all of it, or something else, came where a part was asked for";
            return Err(garbled(what.to_owned()));
        }
        // The object ends before the range begins.
        StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Vec::new()),
        status => {
            return Err(ReadError::Storage {
                object: read.part.object,
                status: status.as_u16(),
                code: code_in_time(stall, refusal::code(&mut answer)).await,
            });
        }
    };
    let mut received = 0;
    while let Some(piece) = in_time(stall, answer.chunk()).await? {
        received += piece.len() as u64;
        if let Some(meter) = &storage.download {
            meter.pass(piece.len()).await;
        }
        body.take(&piece).map_err(garbled)?;
    }
    // A connection that broke off looks like this on some paths.
    body.done().ok_or_else(|| {
        ReadError::Client(ClientError::Network {
            host: "the storage".to_owned(),
            error: format!(
                "the answer broke off after {}",
                counted(received, "byte", "bytes")
            ),
        })
    })
}

/// An answer, or a part of it, unless nothing comes for too long.
async fn in_time<T>(
    stall: Duration,
    answer: impl Future<Output = Result<T, reqwest::Error>>,
) -> Result<T, ReadError> {
    let host = "the storage".to_owned();
    let error = match tokio::time::timeout(stall, answer).await {
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
pub(crate) async fn code_in_time(stall: Duration, code: impl Future<Output = String>) -> String {
    tokio::time::timeout(stall, code).await.unwrap_or_default()
}

fn wrong(read: &SignedRead, what: String) -> ReadError {
    ReadError::Wrong {
        object: read.part.object,
        what,
    }
}
