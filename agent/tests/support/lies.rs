//! What a lying server and a lying storage answer. A test orders lies of the double in `server.rs` in two ways:
//!
//! - [`Words`]: a change of what the agent API says, made to the true answer before it is sent. So an answer is well-formed
//!   and false: another snapshot's genuine manifest, another number or source, another commit record, wrong totals,
//!   addresses of something else, another key. `server.lock().words.restore = Some(Box::new(|work| …))`.
//! - [`Order`]s: what comes over the wire instead of the true answer, for so many requests that fit: another status, HTML
//!   with 200, nothing, an answer that is cut or breaks off, one that announces more than it sends or sends more than it
//!   announces, redirects that never end, the whole for a range, another range, a part that does not say which one,
//!   another object's content, a changed bit. `server.order(On::Kind(ObjectKind::Pack), 2, Lie::Html)`.
//!
//! Orders apply to the agent API ([`On::Api`]) and to reads of the bucket alike; the first one that fits and is not used up
//! counts. [`Server::told`] says how many lies were told, so that a test can tell that its lie was heard at all.
//!
//! The double keeps commit records, signed by [`commit_key`], and what each snapshot needs: a restore's reads are refused
//! for anything else, unless the agent has said what is lost and been given the newest snapshot.

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::stream;
use repository::commit::CommitSigningKey;
use shared::{
    api::agent::{
        BackupWork, EnrollResponse, EnrollmentOffer, LaterSnapshot, RestoreWork, SignedRead, SnapshotSummary,
        UploadTicket,
    },
    object::{ObjectHash, ObjectKind},
};

use super::{Inner, SIGNED_RANGE, Server};

/// A change of a true answer.
pub type Change<T> = Box<dyn FnMut(&mut T) + Send>;

/// What the agent API says that is not true.
#[derive(Default)]
pub struct Words {
    pub offer: Option<Change<EnrollmentOffer>>,
    pub enrolled: Option<Change<EnrollResponse>>,
    pub backup: Option<Change<BackupWork>>,
    pub uploads: Option<Change<Vec<UploadTicket>>>,
    pub reads: Option<Change<Vec<SignedRead>>>,
    pub snapshots: Option<Change<Vec<SnapshotSummary>>>,
    pub restore: Option<Change<RestoreWork>>,
    pub restore_reads: Option<Change<Vec<SignedRead>>>,
    pub later: Option<Change<LaterSnapshot>>,
}

/// The answer as it is said.
pub fn said<T>(change: &mut Option<Change<T>>, mut answer: T) -> T {
    if let Some(change) = change {
        change(&mut answer);
    }
    answer
}

/// Which requests are lied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// Calls of the agent API whose path ends so.
    Api(&'static str),
    /// Reads of objects of this kind.
    Kind(ObjectKind),
    /// Reads of this object.
    Object(ObjectHash),
}

/// What comes instead of the true answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// This status, without a body.
    Status(u16),
    /// 200 and a page, as a portal or a proxy answers.
    Html,
    /// 200 and nothing.
    Empty,
    /// So many bytes of the truth, as if they were all.
    Cut(usize),
    /// So many bytes of the truth; then the connection ends.
    BreakOff(usize),
    /// A Content-Length of so many bytes; after the truth the connection ends.
    Announce(u64),
    /// The truth and so many zeros, of which no header speaks.
    Longer(u64),
    /// A redirect to the same address.
    Redirect,
    /// The whole object with 200, whatever range was asked for.
    Whole,
    /// The range one byte further on, named as what it is.
    OtherRange,
    /// The right range without a Content-Range.
    Unnamed,
    /// Another object's content.
    Other(ObjectHash),
    /// The last bit is another one.
    Flip,
}

/// Lies that are still to be told.
#[derive(Debug, Clone)]
pub struct Order {
    pub on: On,
    pub times: u32,
    pub lie: Lie,
}

/// What the server signs commit records with.
pub fn commit_key() -> CommitSigningKey {
    CommitSigningKey::from_seed([8; 32])
}

impl Server {
    /// Lies to the next `times` requests that fit.
    pub fn order(&self, on: On, times: u32, lie: Lie) {
        self.lock().orders.push(Order { on, times, lie });
    }

    /// How many ordered lies were told.
    pub fn told(&self) -> u32 {
        self.lock().told
    }
}

fn next_lie(inner: &mut Inner, path: &str) -> Option<Lie> {
    let object = path.strip_prefix("/bucket/").and_then(|hash| hash.parse().ok());
    let kind = object.and_then(|hash: ObjectHash| inner.signed.get(&hash).map(|object| object.kind));
    let fits = |on: &On| match on {
        On::Api(end) => object.is_none() && path.ends_with(end),
        On::Kind(wanted) => kind == Some(*wanted),
        On::Object(wanted) => object == Some(*wanted),
    };
    let order = inner
        .orders
        .iter_mut()
        .find(|order| order.times > 0 && fits(&order.on))?;
    order.times -= 1;
    inner.told += 1;
    Some(order.lie.clone())
}

/// The outermost layer: tells the lie that is due, or the truth.
pub async fn lie(State(server): State<Server>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if request.method() == "GET" && path.starts_with("/bucket/") {
        // As S3 does it, whoever answers: the range is among the signed headers.
        let signed = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix(SIGNED_RANGE));
        let asked = request.headers().get(header::RANGE);
        if signed.is_none() || signed != asked.and_then(|asked| asked.to_str().ok()) {
            let code = "<Error><Code>SignatureDoesNotMatch</Code></Error>";
            return (StatusCode::FORBIDDEN, code).into_response();
        }
    }
    let due = match request.method().as_str() {
        "PUT" => None,
        _ => next_lie(&mut server.lock(), &path),
    };
    let Some(lie) = due else {
        return next.run(request).await;
    };
    match &lie {
        Lie::Status(status) => return StatusCode::from_u16(*status).unwrap().into_response(),
        Lie::Html => {
            return axum::response::Html("<!DOCTYPE html><html>please sign in</html>").into_response();
        }
        Lie::Empty => return StatusCode::OK.into_response(),
        Lie::Redirect => {
            let to = format!("{}{path}", server.lock().address);
            return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
        }
        Lie::Other(hash) => {
            let other = server.lock().bucket[hash].1.clone();
            return other.into_response();
        }
        Lie::Whole => drop(request.headers_mut().remove(header::RANGE)),
        Lie::OtherRange => {
            let range = super::range(request.headers())
                .map(|range| format!("bytes={}-{}", range.start + 1, range.end));
            if let Some(range) = range {
                let range = HeaderValue::from_str(&range).unwrap();
                request.headers_mut().insert(header::RANGE, range);
            }
        }
        _ => {}
    }
    let (mut parts, body) = next.run(request).await.into_parts();
    let truth = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = match lie {
        Lie::Cut(len) => Body::from(truth.slice(..len.min(truth.len()))),
        Lie::BreakOff(len) => {
            parts.headers.insert(header::CONTENT_LENGTH, truth.len().into());
            ending(truth.slice(..len.min(truth.len())))
        }
        Lie::Announce(len) => {
            parts.headers.insert(header::CONTENT_LENGTH, len.into());
            ending(truth)
        }
        Lie::Longer(len) => longer(truth, len),
        Lie::Flip => {
            let mut bytes = truth.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            Body::from(bytes)
        }
        Lie::Unnamed => {
            parts.headers.remove(header::CONTENT_RANGE);
            Body::from(truth)
        }
        _ => Body::from(truth),
    };
    Response::from_parts(parts, body)
}

/// A body that ends with an error: the connection is closed.
fn ending(bytes: Bytes) -> Body {
    Body::from_stream(stream::iter([
        Ok(bytes),
        Err(std::io::Error::other("the connection ends")),
    ]))
}

pub fn longer(truth: Bytes, zeros: u64) -> Body {
    const PIECE: u64 = 1 << 20;
    let pieces = (0..zeros.div_ceil(PIECE)).map(move |at| {
        let len = PIECE.min(zeros - at * PIECE);
        Bytes::from(vec![0; usize::try_from(len).unwrap()])
    });
    let all = std::iter::once(truth).chain(pieces);
    Body::from_stream(stream::iter(all.map(Ok::<_, std::convert::Infallible>)))
}
