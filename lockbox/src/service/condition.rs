//! Conditions in headers: on writes and on reads.

use http::{HeaderMap, HeaderValue};
use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};
use time::OffsetDateTime;

use crate::store::record::{Object, Version};

/// A condition on a write, decided within the transaction that makes it.
///
/// Source: "Conditional writes"
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.
#[derive(Clone, Debug)]
pub(super) enum WriteCondition {
    Always,
    /// `If-None-Match: *`. A key whose newest version is a delete marker counts as absent.
    Absent,
    /// `If-Match: ETAG`.
    Unchanged(String),
}

impl WriteCondition {
    pub(super) fn parse(
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<Self> {
        match (if_match, if_none_match) {
            (None, None) => Ok(Self::Always),
            (None, Some(ETagCondition::Any)) => Ok(Self::Absent),
            (Some(ETagCondition::ETag(etag)), None) => Ok(Self::Unchanged(etag.value().to_owned())),
            _ => Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented"
            )),
        }
    }

    /// For operations whose conditions s3s does not read: a copy must not ignore them.
    pub(super) fn of_headers(headers: &HeaderMap) -> S3Result<Self> {
        let read = |name: &str| {
            let parse = |value: &HeaderValue| ETagCondition::parse_http_header(value.as_bytes());
            headers
                .get(name)
                .map(parse)
                .transpose()
                .map_err(|_| s3_error!(InvalidArgument, "invalid header: {name}"))
        };
        Self::parse(read("if-match")?.as_ref(), read("if-none-match")?.as_ref())
    }

    pub(super) fn check(&self, latest: Option<&Version>) -> S3Result<()> {
        let current = latest.and_then(|version| version.object.as_deref());
        match self {
            Self::Always => Ok(()),
            Self::Absent if current.is_none() => Ok(()),
            Self::Absent => Err(failed()),
            Self::Unchanged(etag) => match current {
                None => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
                Some(object) if object.etag == *etag => Ok(()),
                Some(_) => Err(failed()),
            },
        }
    }
}

/// Conditions on a GET, HEAD or copy source, in the order of RFC 9110, section 13.2.2.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadCondition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
    /// A copy answers 412 where a GET answers 304.
    pub(super) copies: bool,
}

impl ReadCondition {
    pub(super) fn check(&self, version: &Version, object: &Object) -> S3Result<()> {
        // HTTP dates have no fractions.
        let modified = version.modified.offset().unix_timestamp();
        let seconds = |at: &Timestamp| OffsetDateTime::from(at.clone()).unix_timestamp();
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches(condition, &object.etag) => return Err(failed()),
            (None, Some(at)) if modified > seconds(at) => return Err(failed()),
            _ => {}
        }
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition, &object.etag),
            (None, Some(at)) => modified <= seconds(at),
            (None, None) => false,
        };
        match unchanged {
            false => Ok(()),
            true if self.copies => Err(failed()),
            true => Err(s3_error!(NotModified, "Not Modified")),
        }
    }
}

fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(ETag::Strong(value) | ETag::Weak(value)) => value == etag,
    }
}

pub(super) fn failed() -> s3s::S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold"
    )
}
