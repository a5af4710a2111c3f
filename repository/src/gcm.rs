//! AES-256-GCM of large pieces. Native code links AWS-LC, which the agent's TLS links anyway: it is several times as fast
//! as the cipher in Rust that the browser and HPKE use. Both give the same bytes.

mod tag;

pub(crate) use tag::TAG_LEN;

/// A key that is ready for use. Its memory is wiped when it is dropped.
pub(crate) struct Gcm(imp::Key);

impl Gcm {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(imp::new(key))
    }

    /// Encrypts in place; gives the tag. `None` only beyond the cipher's limit of 64 GiB.
    pub(crate) fn seal(&self, nonce: [u8; 12], aad: &[u8], bytes: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        imp::seal(&self.0, nonce, aad, bytes)
    }

    /// Decrypts `sealed`, ciphertext and tag, in place; gives the plaintext. `None` when the key is another one or
    /// something was changed: what `sealed` then holds is of no use.
    pub(crate) fn open<'a>(&self, nonce: [u8; 12], aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        imp::open(&self.0, nonce, aad, sealed)
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    use super::tag::TAG_LEN;

    pub(super) type Key = LessSafeKey;

    pub(super) fn new(key: &[u8; 32]) -> Key {
        match UnboundKey::new(&AES_256_GCM, key) {
            Ok(key) => LessSafeKey::new(key),
            // It fails for another length, and when there is no memory for a few hundred bytes.
            Err(_) => unreachable!("a key of 32 bytes is one of AES-256"),
        }
    }

    pub(super) fn seal(key: &Key, nonce: [u8; 12], aad: &[u8], bytes: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), bytes)
            .ok()?;
        tag.as_ref().try_into().ok()
    }

    pub(super) fn open<'a>(
        key: &Key,
        nonce: [u8; 12],
        aad: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.open_in_place(nonce, Aad::from(aad), sealed).ok()
    }
}

#[cfg(any(target_arch = "wasm32", test))]
mod rust;

#[cfg(target_arch = "wasm32")]
use rust as imp;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What one writes the other reads, and a changed bit opens with neither.
        #[test]
        fn both_ciphers_are_one(
            key: [u8; 32],
            nonce: [u8; 12],
            aad in proptest::collection::vec(any::<u8>(), 0..100),
            plain in proptest::collection::vec(any::<u8>(), 0..5000),
            flip: prop::sample::Index,
        ) {
            let (fast, slow) = (Gcm::new(&key), rust::new(&key));
            let (mut left, mut right) = (plain.clone(), plain.clone());
            let tag = fast.seal(nonce, &aad, &mut left).unwrap();
            prop_assert_eq!(Some(tag), rust::seal(&slow, nonce, &aad, &mut right));
            prop_assert_eq!(&left, &right);

            let sealed = [left.as_slice(), &tag].concat();
            let (mut left, mut right) = (sealed.clone(), sealed.clone());
            prop_assert_eq!(fast.open(nonce, &aad, &mut left).unwrap(), &plain[..]);
            prop_assert_eq!(rust::open(&slow, nonce, &aad, &mut right).unwrap(), &plain[..]);

            let mut changed = sealed;
            let at = flip.index(changed.len() * 8);
            changed[at / 8] ^= 1 << (at % 8);
            prop_assert!(fast.open(nonce, &aad, &mut changed.clone()).is_none());
            prop_assert!(rust::open(&slow, nonce, &aad, &mut changed).is_none());
        }
    }

    #[test]
    fn what_has_no_room_for_a_tag_does_not_open() {
        let key = Gcm::new(&[1; 32]);
        for len in 0..TAG_LEN {
            assert!(key.open([0; 12], b"", &mut vec![0; len]).is_none());
        }
    }
}
