//! What a client declares about a body, compared with what arrived.
//!
//! s3s verifies signatures and the payload's SHA-256 only; Content-MD5 and `x-amz-checksum-*` are
//! compared here. Source of the rules: "Checking object integrity for data uploads"
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, StatusCode};
use s3s::{S3Result, TrailingHeaders, s3_error};

use crate::digest::{Algorithm, Digests};
use crate::error::custom;

const PREFIX: &str = "x-amz-checksum-";

/// What the headers of a request declare about its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    md5: Option<[u8; 16]>,
    checksum: Option<(Algorithm, ChecksumValue)>,
}

#[derive(Clone, Debug)]
enum ChecksumValue {
    Header(String),
    Trailer,
}

impl Declared {
    /// For bodies whose checksum headers speak of something else.
    pub(crate) fn md5_only(headers: &HeaderMap) -> S3Result<Self> {
        let md5 = headers.get("content-md5").map(|value| {
            let decoded = BASE64_STANDARD.decode(value.as_bytes()).ok();
            decoded
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."))
        });
        Ok(Self {
            md5: md5.transpose()?,
            checksum: None,
        })
    }

    /// Reads the headers; what is malformed or contradictory is refused before any byte is read.
    pub(crate) fn parse(headers: &HeaderMap) -> S3Result<Self> {
        let mut found: Vec<(Algorithm, ChecksumValue)> = Vec::new();
        for (name, value) in headers {
            let Some(rest) = name.as_str().strip_prefix(PREFIX) else {
                continue;
            };
            if matches!(rest, "mode" | "type" | "algorithm") {
                continue;
            }
            let invalid = || s3_error!(InvalidRequest, "Value for {name} header is invalid.");
            let algorithm = Algorithm::parse(rest).ok_or_else(invalid)?;
            let value = value.to_str().map_err(|_| invalid())?;
            algorithm.decode(value).ok_or_else(invalid)?;
            found.push((algorithm, ChecksumValue::Header(value.to_owned())));
        }
        for name in trailer_names(headers)? {
            let algorithm = name
                .strip_prefix(PREFIX)
                .and_then(Algorithm::parse)
                .ok_or_else(|| {
                    s3_error!(
                        InvalidRequest,
                        "The value specified in the x-amz-trailer header is not supported"
                    )
                })?;
            found.push((algorithm, ChecksumValue::Trailer));
        }
        if found.len() > 1 {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            ));
        }
        let this = Self {
            checksum: found.pop(),
            ..Self::md5_only(headers)?
        };
        this.check_sdk_header(headers)?;
        Ok(this)
    }

    /// `x-amz-sdk-checksum-algorithm` announces a checksum: without it, or with another, refused.
    fn check_sdk_header(&self, headers: &HeaderMap) -> S3Result<()> {
        let Some(announced) = headers.get("x-amz-sdk-checksum-algorithm") else {
            return Ok(());
        };
        let announced = announced
            .to_str()
            .ok()
            .and_then(Algorithm::parse)
            .ok_or_else(|| {
                s3_error!(
                    InvalidRequest,
                    "Value for x-amz-sdk-checksum-algorithm header is invalid."
                )
            })?;
        match self.algorithm() {
            Some(given) if given == announced => Ok(()),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "Value for x-amz-sdk-checksum-algorithm header is invalid."
            )),
            // AWS takes Content-MD5 in its place for the XML bodies of older clients.
            None if self.md5.is_some() => Ok(()),
            None => Err(s3_error!(
                InvalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
            )),
        }
    }

    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// Whether anything at all guards the body, as locked PUTs must have it.
    pub(crate) fn any(&self) -> bool {
        self.md5.is_some() || self.checksum.is_some()
    }

    /// Compares after the end of the body, when trailers have arrived.
    pub(crate) fn verify(&self, arrived: &Digests, trailers: Option<&TrailingHeaders>) -> S3Result<()> {
        if self.md5.is_some_and(|md5| md5 != arrived.md5) {
            return Err(bad_digest());
        }
        let trailers = trailers.and_then(TrailingHeaders::take).unwrap_or_default();
        for name in trailers
            .keys()
            .filter(|name| name.as_str() != "x-amz-trailer-signature")
        {
            if !matches!(&self.checksum, Some((a, ChecksumValue::Trailer)) if a.header() == name.as_str()) {
                return Err(malformed_trailer());
            }
        }
        let Some((algorithm, place)) = &self.checksum else {
            return Ok(());
        };
        let expected = match place {
            ChecksumValue::Header(value) => value.clone(),
            ChecksumValue::Trailer => {
                let mut values = trailers.get_all(algorithm.header()).iter();
                let value = values
                    .next()
                    .and_then(|v| v.to_str().ok())
                    .ok_or_else(malformed_trailer)?;
                if values.next().is_some() {
                    return Err(malformed_trailer());
                }
                value.trim().to_owned()
            }
        };
        let expected = algorithm.decode(&expected).ok_or_else(malformed_trailer)?;
        let computed = arrived.other.as_ref().filter(|(a, _)| a == algorithm);
        match computed.and_then(|(a, value)| a.decode(value)) {
            Some(computed) if computed == expected => Ok(()),
            _ => Err(bad_digest()),
        }
    }
}

fn trailer_names(headers: &HeaderMap) -> S3Result<Vec<String>> {
    let mut names = Vec::new();
    for value in headers.get_all("x-amz-trailer") {
        let value = value.to_str().map_err(|_| malformed_trailer())?;
        names.extend(value.split(',').map(|name| name.trim().to_ascii_lowercase()));
    }
    names.retain(|name| !name.is_empty());
    Ok(names)
}

pub(crate) fn bad_digest() -> s3s::S3Error {
    s3_error!(
        BadDigest,
        "The Content-MD5 or checksum value that you specified did not match what the server received."
    )
}

fn malformed_trailer() -> s3s::S3Error {
    custom(
        "MalformedTrailerError",
        StatusCode::BAD_REQUEST,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| ((*n).parse().unwrap(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn two_checksums_are_refused() {
        let sha = Algorithm::Sha256.digest(b"");
        let crc = Algorithm::Crc32.digest(b"");
        let two = [("x-amz-checksum-sha256", &*sha), ("x-amz-checksum-crc32", &*crc)];
        assert!(Declared::parse(&headers(&two)).is_err());
        assert!(Declared::parse(&headers(&two[..1])).unwrap().any());
        assert!(!Declared::parse(&headers(&[])).unwrap().any());
    }

    #[test]
    fn an_announced_checksum_must_come() {
        assert!(Declared::parse(&headers(&[("x-amz-sdk-checksum-algorithm", "CRC32")])).is_err());
    }
}
