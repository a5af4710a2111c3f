//! What a cookie carries from one page to the next, sealed: nobody else can read it, or make one, and it ends.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};

use crate::{random, secrets::MasterKey};

const CONTEXT: &str = "Holdfast 2026-11 what a cookie carries from one page to the next";

/// Seals `text` for so many seconds. A sealed text opens only for the same purpose.
pub fn seal(key: &MasterKey, purpose: &str, now: Timestamp, seconds: u32, text: &[u8]) -> Option<String> {
    let end = now
        .checked_add(SignedDuration::from_secs(i64::from(seconds)))
        .ok()?
        .as_second();
    let content = [end.to_be_bytes().as_slice(), text].concat();
    let nonce = random::bytes::<12>();
    let payload = Payload {
        msg: &content,
        aad: purpose.as_bytes(),
    };
    let sealed = cipher(key).encrypt(&nonce.into(), payload).ok()?;
    Some(BASE64URL_NOPAD.encode(&[nonce.as_slice(), &sealed].concat()))
}

/// Opens what [`seal`] made, until it ends.
pub fn open(key: &MasterKey, purpose: &str, now: Timestamp, sealed: &str) -> Option<Vec<u8>> {
    let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
    let (nonce, sealed) = sealed.split_first_chunk::<12>()?;
    let payload = Payload {
        msg: sealed,
        aad: purpose.as_bytes(),
    };
    let content = cipher(key).decrypt(&(*nonce).into(), payload).ok()?;
    let (end, text) = content.split_first_chunk::<8>()?;
    (now.as_second() < i64::from_be_bytes(*end)).then(|| text.to_vec())
}

fn cipher(key: &MasterKey) -> Aes256Gcm {
    Aes256Gcm::new(&key.derive(CONTEXT).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_cookie_opens_here_for_its_purpose_and_its_time() {
        let (ours, others) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        let sealed = seal(&ours, "form", now, 60, b"typed").unwrap();
        assert!(!sealed.contains("typed") && sealed.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(
            open(&ours, "form", later(59), &sealed).as_deref(),
            Some(b"typed".as_slice())
        );
        assert_eq!(open(&ours, "form", later(60), &sealed), None);
        assert_eq!(open(&ours, "token", now, &sealed), None);
        assert_eq!(open(&others, "form", now, &sealed), None);
        let mut changed = sealed.clone();
        changed.replace_range(..1, if sealed.starts_with('A') { "B" } else { "A" });
        for wrong in [changed.as_str(), "", "AAAA", "%"] {
            assert_eq!(open(&ours, "form", now, wrong), None, "{wrong}");
        }
    }
}
