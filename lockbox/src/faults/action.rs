//! What happens to a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::request::Seen;

/// What happens to a request that a rule matches.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Nothing but the count.
    Count,

    // Before the store is asked.
    /// The request waits, then it goes on.
    Delay {
        /// So long.
        seconds: f64,
    },
    /// The request is accepted and never answered; the connection is dropped when the rule ends.
    Stall,
    /// The connection is dropped, and the store is not asked.
    Drop,

    // Instead of the store's answer; the store is not asked.
    /// A refusal.
    Status {
        /// The HTTP status.
        status: u16,
        /// S3's error code.
        code: String,
    },
    /// 404 with `NoSuchVersion` where a version was named, else `NoSuchKey`.
    NotThere,
    /// 200 without a body.
    Empty,
    /// 200 with a web page.
    Html,
    /// 200 with an `<Error>` for a body.
    ErrorInside {
        /// S3's error code.
        code: String,
    },
    /// 200 with so many bytes that make no sense.
    Huge {
        /// So many.
        bytes: u64,
    },
    /// A listing that is wrong. All but [`Listing::Endless`] change what the store answered.
    Listing(Listing),

    // While the store answers.
    /// DeleteObjects: rows whose key is like `key` are not deleted and are answered with an error.
    DeleteRow {
        /// The key; `*` stands for any characters.
        key: String,
        /// S3's error code.
        code: String,
    },
    /// GetObject with a range: 200 with the whole object.
    WholeForRange,
    /// GetObject with a range: 206 with another one, whose Content-Range is true.
    ShiftedRange {
        /// So many bytes further.
        bytes: i64,
    },

    // What the store answered is changed.
    /// The store does it; then the connection is dropped without an answer.
    DropAfter,
    /// The connection is dropped in the middle of the answer's body.
    DropInBody {
        /// After so many bytes.
        after_bytes: usize,
    },
    /// The body ends early, and Content-Length agrees.
    Cut {
        /// After so many bytes.
        at_bytes: usize,
    },
    /// A header is set.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// `Date` is so far from lockbox's clock.
    Date {
        /// Ahead of it; negative: behind.
        ahead_seconds: i64,
    },
    /// Status, headers and body as a closure gives them.
    #[serde(skip)]
    Rewrite(Rewrite),
}

/// What is wrong with a listing (ListObjectVersions, ListObjects, ListObjectsV2).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Listing {
    /// Entries are missing.
    Without {
        /// Those whose key is like this; `*` stands for any characters.
        keys: String,
    },
    /// It ends early: no further page is named.
    EndAfter {
        /// So many entries remain on the page, in the order of the answer.
        entries: usize,
    },
    /// It is truncated and does not say where the next page begins.
    NoMarker,
    /// It is truncated, and every page is the first one that the rule saw.
    SamePage,
    /// It is truncated, and the next page begins after a key that is always the same.
    Marker {
        /// The key.
        key: String,
    },
    /// It is truncated for ever: invented entries with ascending keys below the prefix. The store is not asked.
    Endless {
        /// So many a page.
        per_page: usize,
    },
}

/// An answer, whole in memory.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers; Content-Length is set afterwards.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

type Change = dyn Fn(&Seen, Answer) -> Answer + Send + Sync;

/// A closure that makes an answer out of the store's, knowing the request.
#[derive(Clone)]
pub struct Rewrite(Arc<Change>);

impl Rewrite {
    pub(super) fn apply(&self, seen: &Seen, answer: Answer) -> Answer {
        (self.0)(seen, answer)
    }
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rewrite")
    }
}

impl Action {
    /// The request waits so long, then it goes on.
    #[must_use]
    pub fn delay(span: Duration) -> Self {
        Self::Delay {
            seconds: span.as_secs_f64(),
        }
    }

    /// A refusal with an HTTP status and S3's error code.
    #[must_use]
    pub fn status(status: u16, code: &str) -> Self {
        Self::Status {
            status,
            code: code.to_owned(),
        }
    }

    /// 200 with an `<Error>` for a body.
    #[must_use]
    pub fn error_inside(code: &str) -> Self {
        Self::ErrorInside {
            code: code.to_owned(),
        }
    }

    /// DeleteObjects: rows whose key is like `key` are not deleted and are answered with an error.
    #[must_use]
    pub fn delete_row(key: &str, code: &str) -> Self {
        Self::DeleteRow {
            key: key.to_owned(),
            code: code.to_owned(),
        }
    }

    /// `Date` runs so far ahead of lockbox's clock.
    #[must_use]
    pub fn date_ahead(span: Duration) -> Self {
        Self::Date {
            ahead_seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// A header is set.
    #[must_use]
    pub fn header(name: &str, value: &str) -> Self {
        Self::Header {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    /// Entries whose key is like `keys` are missing from listings.
    #[must_use]
    pub fn listing_without(keys: &str) -> Self {
        Self::Listing(Listing::Without {
            keys: keys.to_owned(),
        })
    }

    /// The answer is what `change` makes of the store's.
    #[must_use]
    pub fn rewrite(change: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Self {
        Self::rewrite_for(move |_, answer| change(answer))
    }

    /// The same, where it depends on the request.
    #[must_use]
    pub fn rewrite_for(change: impl Fn(&Seen, Answer) -> Answer + Send + Sync + 'static) -> Self {
        Self::Rewrite(Rewrite(Arc::new(change)))
    }
}
