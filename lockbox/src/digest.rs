//! Checksums: the algorithms of S3, and what is computed while bytes pass.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumAlgorithm};
use serde::{Deserialize, Serialize};

/// The additional checksums that S3 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    pub(crate) fn name(self) -> ChecksumAlgorithm {
        ChecksumAlgorithm::from_static(match self {
            Self::Crc32 => ChecksumAlgorithm::CRC32,
            Self::Crc32c => ChecksumAlgorithm::CRC32C,
            Self::Crc64Nvme => ChecksumAlgorithm::CRC64NVME,
            Self::Sha1 => ChecksumAlgorithm::SHA1,
            Self::Sha256 => ChecksumAlgorithm::SHA256,
        })
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|a| a.name().as_str().eq_ignore_ascii_case(name))
    }

    /// Whether a CRC, which AWS can give for a whole multipart object.
    pub(crate) fn is_crc(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme)
    }

    fn hasher(self) -> ChecksumHasher {
        let mut hasher = ChecksumHasher::default();
        match self {
            Self::Crc32 => hasher.crc32 = Some(Crc32::new()),
            Self::Crc32c => hasher.crc32c = Some(Crc32c::new()),
            Self::Crc64Nvme => hasher.crc64nvme = Some(Crc64Nvme::new()),
            Self::Sha1 => hasher.sha1 = Some(Sha1::new()),
            Self::Sha256 => hasher.sha256 = Some(Sha256::new()),
        }
        hasher
    }

    /// The value of this algorithm, as s3s hands it over.
    pub(crate) fn of(self, all: &Checksum) -> Option<&String> {
        match self {
            Self::Crc32 => all.checksum_crc32.as_ref(),
            Self::Crc32c => all.checksum_crc32c.as_ref(),
            Self::Crc64Nvme => all.checksum_crc64nvme.as_ref(),
            Self::Sha1 => all.checksum_sha1.as_ref(),
            Self::Sha256 => all.checksum_sha256.as_ref(),
        }
    }

    /// The value as a field among the others, which stay empty.
    pub(crate) fn field(self, value: String) -> Checksum {
        let mut all = Checksum::default();
        *match self {
            Self::Crc32 => &mut all.checksum_crc32,
            Self::Crc32c => &mut all.checksum_crc32c,
            Self::Crc64Nvme => &mut all.checksum_crc64nvme,
            Self::Sha1 => &mut all.checksum_sha1,
            Self::Sha256 => &mut all.checksum_sha256,
        } = Some(value);
        all
    }

    /// Decodes a value; a wrong length is as bad as wrong base64.
    pub(crate) fn decode(self, value: &str) -> Option<Vec<u8>> {
        BASE64_STANDARD
            .decode(value)
            .ok()
            .filter(|bytes| bytes.len() == self.bytes())
    }

    /// The checksum of `data`, in base64.
    pub(crate) fn digest(self, data: &[u8]) -> String {
        let mut hasher = self.hasher();
        hasher.update(data);
        self.of(&hasher.finalize()).cloned().unwrap_or_default()
    }
}

/// What is computed while bytes pass: MD5 always (it is the ETag), and at most one other.
pub(crate) struct Hashes {
    md5: Md5,
    other: Option<(Algorithm, ChecksumHasher)>,
}

/// What was computed.
#[derive(Clone, Debug)]
pub(crate) struct Digests {
    pub(crate) md5: [u8; 16],
    /// The algorithm and the value in base64.
    pub(crate) other: Option<(Algorithm, String)>,
}

impl Hashes {
    pub(crate) fn new(other: Option<Algorithm>) -> Self {
        Self {
            md5: Md5::new(),
            other: other.map(|a| (a, a.hasher())),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some((_, hasher)) = &mut self.other {
            hasher.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Digests {
        let other = self
            .other
            .and_then(|(algorithm, hasher)| Some((algorithm, algorithm.of(&hasher.finalize())?.clone())));
        Digests {
            md5: self.md5.finalize(),
            other,
        }
    }
}

impl std::fmt::Debug for Hashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hashes")
            .field("other", &self.other.as_ref().map(|o| o.0))
            .finish_non_exhaustive()
    }
}

impl Digests {
    pub(crate) fn etag(&self) -> String {
        hex(&self.md5)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The ETag of a multipart object: the MD5 of the parts' MD5s, and how many there were.
pub(crate) fn multipart_etag(parts: &[String]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        let bytes: Vec<u8> = (0..part.len() / 2)
            .filter_map(|i| u8::from_str_radix(part.get(2 * i..2 * i + 2)?, 16).ok())
            .collect();
        md5.update(&bytes);
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(
            Algorithm::Crc32.digest(b"123456789"),
            BASE64_STANDARD.encode(0xCBF4_3926_u32.to_be_bytes())
        );
        assert_eq!(
            Algorithm::Crc32c.digest(b"123456789"),
            BASE64_STANDARD.encode(0xE306_9283_u32.to_be_bytes())
        );
        let crc64 = 0xAE8B_1486_0A79_9888_u64.to_be_bytes();
        assert_eq!(
            Algorithm::Crc64Nvme.digest(b"123456789"),
            BASE64_STANDARD.encode(crc64)
        );
    }

    #[test]
    fn etag_of_parts() {
        // One empty part: the MD5 of the 16 bytes of MD5("").
        let empty = Hashes::new(None).finish().etag();
        assert_eq!(empty, "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(multipart_etag(&[empty]), "59adb24ef3cdbe0297f05b395827453f-1");
    }
}
