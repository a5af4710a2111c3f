//! The gate: what a request must be before any operation looks at it.
//!
//! s3s has verified the signature by then. Here is what it leaves open (each point tried out on
//! 0.14.1): anonymous requests, signature version 2, the age of the request by lockbox's clock, the
//! longest validity of URLs, unsigned `x-amz-*` headers, form uploads, and checksums of XML bodies.
//! Sources: "Signature calculations: authorization header"
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html> and "Using query
//! parameters" <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.

use http::{HeaderMap, StatusCode, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use crate::body::BodyCheck;
use crate::calls::Calls;
use crate::clock::Clock;
use crate::error::{custom, no_forms};

/// AWS: "the request must be within 15 minutes of the time of AWS".
const MAX_SKEW: Duration = Duration::minutes(15);
/// AWS: "the maximum expiration time for a presigned URL is one week".
const LONGEST_EXPIRY_SECONDS: i64 = 7 * 24 * 3600;
/// The query parameters of a presigned URL that are not headers in disguise.
const SIGNATURE_PARAMETERS: [&str; 6] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
];

#[derive(Debug)]
pub(crate) struct Gate {
    clock: Clock,
    calls: Calls,
}

/// The parts of a version 4 signature that matter here.
struct Signature {
    date: OffsetDateTime,
    credential: String,
    signed_headers: Vec<String>,
    /// For presigned URLs.
    expires_seconds: Option<i64>,
}

impl Gate {
    pub(crate) fn new(clock: Clock, calls: Calls) -> Self {
        Self { clock, calls }
    }

    fn check_age(&self, signature: &Signature) -> S3Result<()> {
        let age = self.clock.millis().offset() - signature.date;
        let Some(expires) = signature.expires_seconds else {
            return if age.abs() > MAX_SKEW {
                Err(too_skewed())
            } else {
                Ok(())
            };
        };
        if !(1..=LONGEST_EXPIRY_SECONDS).contains(&expires) {
            return Err(s3_error!(
                AuthorizationQueryParametersError,
                "X-Amz-Expires must be at least 1 and less than a week (in seconds); that is 604800"
            ));
        }
        if age > Duration::seconds(expires) {
            return Err(s3_error!(AccessDenied, "Request has expired"));
        }
        if age < -MAX_SKEW {
            return Err(s3_error!(AccessDenied, "Request is not valid yet"));
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let op = cx.s3_op().name().to_owned();
        if op == "PostObject" {
            return Err(no_forms());
        }
        if cx.credentials().is_none() {
            return Err(s3_error!(
                AccessDenied,
                "Anonymous access is forbidden for this operation"
            ));
        }
        let query = query_pairs(cx.uri());
        let signature = read_signature(cx.headers(), &query)?;
        self.check_age(&signature)?;
        check_scope(&signature)?;
        check_signed(cx.headers(), &signature)?;
        if signature.expires_seconds.is_some() {
            check_no_hidden_headers(&query)?;
        }
        check_body(&op, cx.extensions_mut().get::<BodyCheck>().copied())?;
        self.calls.count(&op);
        Ok(())
    }
}

fn read_signature(headers: &HeaderMap, query: &[(String, String)]) -> S3Result<Signature> {
    let parameter = |name: &str| {
        query
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let only_v4 = || {
        s3_error!(
            InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        )
    };
    let header = headers
        .get(http::header::AUTHORIZATION)
        .map(|v| v.to_str().map_err(|_| only_v4()));
    let header = header.transpose()?;
    if parameter("signature").is_some() || parameter("awsaccesskeyid").is_some() {
        return Err(only_v4());
    }
    let presigned = parameter("x-amz-signature").is_some();
    let malformed = || {
        s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header is malformed"
        )
    };
    match header {
        Some(_) if presigned => Err(s3_error!(
            InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified"
        )),
        Some(text) => {
            let fields = text.strip_prefix("AWS4-HMAC-SHA256").ok_or_else(only_v4)?;
            let field = |name: &str| {
                fields
                    .split(',')
                    .find_map(|f| f.trim().strip_prefix(name)?.strip_prefix('='))
                    .map(str::trim)
            };
            let date = headers
                .get("x-amz-date")
                .and_then(|v| v.to_str().ok())
                .ok_or_else(malformed)?;
            Ok(Signature {
                date: parse_date(date)?,
                credential: field("Credential").ok_or_else(malformed)?.to_owned(),
                signed_headers: split_names(field("SignedHeaders").ok_or_else(malformed)?),
                expires_seconds: None,
            })
        }
        None => {
            let need = |name: &str| parameter(name).ok_or_else(only_v4);
            let expires = need("x-amz-expires")?.parse();
            Ok(Signature {
                date: parse_date(need("x-amz-date")?)?,
                credential: need("x-amz-credential")?.to_owned(),
                signed_headers: split_names(need("x-amz-signedheaders")?),
                expires_seconds: Some(expires.map_err(|_| {
                    s3_error!(
                        AuthorizationQueryParametersError,
                        "X-Amz-Expires should be a number"
                    )
                })?),
            })
        }
    }
}

/// s3s takes signatures for its STS operation too; those need not cover the body.
fn check_scope(signature: &Signature) -> S3Result<()> {
    let mut scope = signature.credential.rsplit('/');
    if scope.next() == Some("aws4_request") && scope.next() == Some("s3") {
        return Ok(());
    }
    Err(s3_error!(
        AuthorizationHeaderMalformed,
        "The credential scope must end with s3/aws4_request"
    ))
}

/// AWS: "the CanonicalHeaders list must include … any x-amz-* headers that you plan to include in
/// your request". An unsigned one could turn a signed PUT into something else.
fn check_signed(headers: &HeaderMap, signature: &Signature) -> S3Result<()> {
    let unsigned = |name: &str| {
        !signature
            .signed_headers
            .iter()
            .any(|signed| signed.eq_ignore_ascii_case(name))
    };
    let stray = headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-") && unsigned(name.as_str()));
    if stray || unsigned("host") {
        return Err(s3_error!(
            AccessDenied,
            "There were headers present in the request which were not signed"
        ));
    }
    if headers.contains_key("x-amz-security-token") {
        return Err(s3_error!(
            InvalidToken,
            "The provided token is malformed or otherwise invalid."
        ));
    }
    Ok(())
}

/// Some SDKs move `x-amz-*` headers into the query of a presigned URL. s3s does not read them
/// there; a lock that is asked for and ignored would be worse than an error.
fn check_no_hidden_headers(query: &[(String, String)]) -> S3Result<()> {
    for (name, _) in query {
        let name = name.to_ascii_lowercase();
        if name.starts_with("x-amz-") && !SIGNATURE_PARAMETERS.contains(&name.as_str()) {
            return Err(custom(
                "NotImplemented",
                StatusCode::NOT_IMPLEMENTED,
                "x-amz- headers in the query are not supported: sign and send them as headers",
            ));
        }
    }
    Ok(())
}

/// XML bodies: a digest that is there must be right, and these operations must have one (AWS:
/// "Content-MD5 … required" resp. "This checksum … required" in each operation's reference).
fn check_body(op: &str, body: Option<BodyCheck>) -> S3Result<()> {
    let required = [
        "DeleteObjects",
        "PutObjectRetention",
        "PutObjectLegalHold",
        "PutObjectLockConfiguration",
    ];
    match body {
        Some(BodyCheck::Mismatch) => Err(crate::declared::bad_digest()),
        Some(BodyCheck::Invalid) => Err(s3_error!(
            InvalidDigest,
            "The Content-MD5 or checksum you specified was invalid."
        )),
        Some(BodyCheck::TooLarge) => Err(s3_error!(MaxMessageLengthExceeded, "Your request was too big.")),
        Some(BodyCheck::Incomplete) => Err(s3_error!(IncompleteBody)),
        Some(BodyCheck::Match) => Ok(()),
        Some(BodyCheck::Undeclared) | None if required.contains(&op) => Err(s3_error!(
            InvalidRequest,
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        )),
        Some(BodyCheck::Undeclared) | None => Ok(()),
    }
}

fn too_skewed() -> s3s::S3Error {
    s3_error!(
        RequestTimeTooSkewed,
        "The difference between the request time and the server's time is too large."
    )
}

fn query_pairs(uri: &Uri) -> Vec<(String, String)> {
    // s3s has parsed this query before, so it is well-formed.
    form_urlencoded_pairs(uri.query().unwrap_or_default())
}

fn form_urlencoded_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode(&text.replace('+', " "));
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(name), decode(value))
    };
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(pair)
        .collect()
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| {
                text.get(at + 1..at + 3)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            })
            .flatten();
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn split_names(names: &str) -> Vec<String> {
    names
        .split(';')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn parse_date(text: &str) -> S3Result<OffsetDateTime> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    PrimitiveDateTime::parse(text, format)
        .map(PrimitiveDateTime::assume_utc)
        .map_err(|_| s3_error!(AccessDenied, "X-Amz-Date must be formatted as yyyymmddThhmmssZ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let pairs = form_urlencoded_pairs("a=1&X-Amz-SignedHeaders=host%3Bx-amz-date&flag&p=%zz+q");
        assert_eq!(pairs[1].1, "host;x-amz-date");
        assert_eq!(pairs[2], ("flag".into(), String::new()));
        assert_eq!(pairs[3].1, "%zz q");
    }
}
