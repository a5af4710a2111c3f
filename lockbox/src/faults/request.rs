//! What a request asks for, as far as rules can tell requests apart.

use std::fmt;
use std::sync::Arc;

use http::{Method, Request, header};
use s3s::host::S3Host as _;
use serde::{Deserialize, Serialize};

use crate::host::Hosts;

/// A request, taken apart. It may be one that the store will refuse.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The HTTP method.
    pub method: Method,
    /// The operation's name in the S3 API, such as `PutObjectRetention`; empty for one that lockbox does not know.
    pub operation: &'static str,
    /// The bucket.
    pub bucket: Option<String>,
    /// The key; for listings the prefix.
    pub key: Option<String>,
    /// The query's names and values, decoded.
    pub query: Vec<(String, String)>,
    /// Whether a part of an object is asked for.
    pub ranged: bool,
}

/// Names of the operations by method, whether a key is named, and the query's parameter that tells them apart.
const OPERATIONS: &[(&str, bool, &str, &str)] = &[
    ("GET", true, "retention", "GetObjectRetention"),
    ("GET", true, "legal-hold", "GetObjectLegalHold"),
    ("GET", true, "uploadId", "ListParts"),
    ("GET", true, "", "GetObject"),
    ("HEAD", true, "", "HeadObject"),
    ("PUT", true, "retention", "PutObjectRetention"),
    ("PUT", true, "legal-hold", "PutObjectLegalHold"),
    ("PUT", true, "partNumber", "UploadPart"),
    ("PUT", true, "", "PutObject"),
    ("POST", true, "uploads", "CreateMultipartUpload"),
    ("POST", true, "uploadId", "CompleteMultipartUpload"),
    ("DELETE", true, "uploadId", "AbortMultipartUpload"),
    ("DELETE", true, "", "DeleteObject"),
    ("GET", false, "versions", "ListObjectVersions"),
    ("GET", false, "versioning", "GetBucketVersioning"),
    ("GET", false, "object-lock", "GetObjectLockConfiguration"),
    ("GET", false, "uploads", "ListMultipartUploads"),
    ("GET", false, "location", "GetBucketLocation"),
    ("GET", false, "policy", "GetBucketPolicy"),
    ("GET", false, "lifecycle", "GetBucketLifecycleConfiguration"),
    ("GET", false, "list-type", "ListObjectsV2"),
    ("GET", false, "", "ListObjects"),
    ("HEAD", false, "", "HeadBucket"),
    ("PUT", false, "versioning", "PutBucketVersioning"),
    ("PUT", false, "object-lock", "PutObjectLockConfiguration"),
    ("PUT", false, "", "CreateBucket"),
    ("POST", false, "delete", "DeleteObjects"),
    ("DELETE", false, "", "DeleteBucket"),
];

impl Seen {
    pub(super) fn of<B>(request: &Request<B>, hosts: &Hosts) -> Self {
        let host = request.headers().get(header::HOST).and_then(|v| v.to_str().ok());
        let host = host.and_then(|host| hosts.parse_host_header(host).ok());
        let mut path = decode(request.uri().path().trim_start_matches('/'), false);
        let bucket = match host.as_ref().and_then(|host| host.bucket()) {
            Some(bucket) => Some(bucket.to_owned()),
            None => {
                let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
                let bucket = Some(bucket.to_owned()).filter(|bucket| !bucket.is_empty());
                path = key.to_owned();
                bucket
            }
        };
        let query = query(request.uri().query().unwrap_or_default());
        let of = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let named = !path.is_empty();
        let operation = OPERATIONS.iter().find(|(method, key, parameter, _)| {
            request.method() == *method && *key == named && (parameter.is_empty() || of(parameter).is_some())
        });
        let operation = match operation {
            _ if bucket.is_none() => "ListBuckets",
            Some((.., name)) => name,
            None => "",
        };
        Self {
            method: request.method().clone(),
            operation,
            key: Some(path).filter(|_| named).or_else(|| of("prefix")),
            bucket,
            query,
            ranged: request.headers().contains_key(header::RANGE),
        }
    }

    /// A parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(name, value)| (decode(name, true), decode(value, true)))
        .collect()
}

/// Percent-decoding. What is not well-formed stays as it is.
pub(super) fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if plus && byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Which requests a rule is for. What is not named matches everything.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// The HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// The operation's name in the S3 API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// The bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    /// The key, or the prefix of a listing; `*` stands for any characters, also none, also `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The name of a parameter that the query must have, or `name=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    /// Only with a Range header (true), or only without (false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ranged: Option<bool>,
    #[serde(skip)]
    predicate: Option<Predicate>,
}

/// A condition that only a test in the same process can set.
type Predicate = Arc<dyn Fn(&Seen) -> bool + Send + Sync>;

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On")
            .field("method", &self.method)
            .field("operation", &self.operation)
            .field("bucket", &self.bucket)
            .field("key", &self.key)
            .field("query", &self.query)
            .field("ranged", &self.ranged)
            .finish_non_exhaustive()
    }
}

impl On {
    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests of an operation by its name in the S3 API, such as `ListObjectVersions`.
    ///
    /// # Panics
    /// When there is no operation of that name: the rule would never match.
    #[must_use]
    pub fn operation(name: &str) -> Self {
        assert!(known(name), "no operation {name}");
        Self {
            operation: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// Requests with an HTTP method.
    #[must_use]
    pub fn method(name: &str) -> Self {
        Self {
            method: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// Only of one bucket.
    #[must_use]
    pub fn bucket(mut self, name: &str) -> Self {
        self.bucket = Some(name.to_owned());
        self
    }

    /// Only of keys (or prefixes of listings) like this; `*` stands for any characters, also none, also `/`.
    #[must_use]
    pub fn key(mut self, pattern: &str) -> Self {
        self.key = Some(pattern.to_owned());
        self
    }

    /// Only with a parameter in the query: `name`, or `name=value`.
    #[must_use]
    pub fn query(mut self, parameter: &str) -> Self {
        self.query = Some(parameter.to_owned());
        self
    }

    /// Only with a Range header, or only without.
    #[must_use]
    pub fn ranged(mut self, ranged: bool) -> Self {
        self.ranged = Some(ranged);
        self
    }

    /// Only what `predicate` is true for.
    #[must_use]
    pub fn when(mut self, predicate: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Self {
        self.predicate = Some(Arc::new(predicate));
        self
    }

    pub(super) fn matches(&self, seen: &Seen) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        let like = |wanted: &Option<String>, found: &Option<String>| {
            let found = found.as_deref().unwrap_or_default();
            wanted.as_deref().is_none_or(|wanted| glob(wanted, found))
        };
        is(&self.method, seen.method.as_str())
            && is(&self.operation, seen.operation)
            && like(&self.bucket, &seen.bucket)
            && like(&self.key, &seen.key)
            && self.query.as_deref().is_none_or(|query| has(seen, query))
            && self.ranged.is_none_or(|ranged| ranged == seen.ranged)
            && self.predicate.as_ref().is_none_or(|predicate| predicate(seen))
    }

    /// Whether the operation that is named exists.
    pub(super) fn is_known(&self) -> bool {
        self.operation.as_deref().is_none_or(known)
    }
}

fn known(name: &str) -> bool {
    name == "ListBuckets" || OPERATIONS.iter().any(|(.., known)| *known == name)
}

fn has(seen: &Seen, query: &str) -> bool {
    match query.split_once('=') {
        Some((name, value)) => seen.parameter(name) == Some(value),
        None => seen.parameter(query).is_some(),
    }
}

/// Whether a text is like a pattern in which `*` stands for any characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(method: &str, uri: &str) -> Seen {
        let request = Request::builder().method(method).uri(uri);
        let request = request.header("host", "127.0.0.1:1").body(()).unwrap();
        Seen::of(&request, &Hosts::new(&["s3.test".into()]))
    }

    #[test]
    fn operations_are_told_apart() {
        for (method, uri, operation) in [
            ("GET", "/", "ListBuckets"),
            ("GET", "/b?versions&prefix=a%2Fb", "ListObjectVersions"),
            ("GET", "/b/?list-type=2", "ListObjectsV2"),
            ("GET", "/b/k?versionId=3", "GetObject"),
            ("PUT", "/b/k", "PutObject"),
            ("PUT", "/b/k?retention&versionId=3", "PutObjectRetention"),
            ("PUT", "/b/k?x-id=PutObject", "PutObject"),
            ("HEAD", "/b/k", "HeadObject"),
            ("POST", "/b?delete", "DeleteObjects"),
            ("GET", "/b?versioning", "GetBucketVersioning"),
            ("PATCH", "/b/k", ""),
        ] {
            assert_eq!(seen(method, uri).operation, operation, "{method} {uri}");
        }
        assert_eq!(
            seen("GET", "/b?versions&prefix=a%2Fb").key.as_deref(),
            Some("a/b")
        );
        assert_eq!(seen("GET", "/b/a%20b+c").key.as_deref(), Some("a b+c"));
    }

    #[test]
    fn patterns() {
        for (pattern, text, like) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*/packs/*", "p/sources/1/packs/xx", true),
            ("*/packs/*", "p/sources/1/index/xx", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b", "a", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(glob(pattern, text), like, "{pattern} {text}");
        }
        let on = On::operation("PutObjectRetention").key("x/*").query("retention");
        assert!(on.matches(&seen("PUT", "/b/x/y?retention")));
        assert!(!on.matches(&seen("PUT", "/b/x/y")) && !on.matches(&seen("PUT", "/b/z?retention")));
        let named = On::method("GET").query("versionId=3");
        assert!(named.matches(&seen("GET", "/b/k?versionId=3")));
        assert!(!named.clone().matches(&seen("GET", "/b/k?versionId=4")));
        assert!(!named.ranged(true).matches(&seen("GET", "/b/k?versionId=3")));
    }
}
