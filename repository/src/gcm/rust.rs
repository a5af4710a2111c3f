//! The cipher in Rust: the browser's, and in tests the one to compare with.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{AeadInOut, inout::InOutBuf},
};

use super::tag::TAG_LEN;

pub(super) type Key = Aes256Gcm;

pub(super) fn new(key: &[u8; 32]) -> Key {
    Aes256Gcm::new(key.into())
}

pub(super) fn seal(key: &Key, nonce: [u8; 12], aad: &[u8], bytes: &mut [u8]) -> Option<[u8; TAG_LEN]> {
    let tag = key.encrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(bytes));
    tag.ok().map(Into::into)
}

pub(super) fn open<'a>(key: &Key, nonce: [u8; 12], aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (bytes, tag) = sealed.split_at_mut_checked(sealed.len().checked_sub(TAG_LEN)?)?;
    let tag = tag.first_chunk::<TAG_LEN>()?;
    key.decrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(&mut *bytes), tag.into())
        .ok()?;
    Some(bytes)
}
