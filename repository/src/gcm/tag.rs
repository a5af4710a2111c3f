//! The authentication tag.

/// Bytes that AES-GCM adds.
pub(crate) const TAG_LEN: usize = 16;
