//! The server's random source: the one place that asks the operating system for randomness.

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use uuid::Uuid;

/// Fills an array with random bytes.
///
/// # Panics
/// When the operating system has no random source: nothing safe can be done then.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random source answers");
    bytes
}

/// A secret of 160 random bits for tokens and credentials, as lower-case base32.
#[must_use]
pub fn secret_text() -> String {
    BASE32_NOPAD.encode(&bytes::<20>()).to_lowercase()
}

/// A UUIDv7 of the instant `now`.
#[must_use]
pub fn uuid(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes::<10>()).into_uuid()
}
