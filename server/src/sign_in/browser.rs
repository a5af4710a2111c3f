//! Browsers that have signed in before. Each holds a cookie that this server signed for one user, so that strangers who guess at
//! the user's password do not use up the user's own tries (OWASP: device cookies). It signs nobody in.

use jiff::{SignedDuration, Timestamp};
use shared::ids::UserId;
use uuid::Uuid;

use crate::{
    random,
    secrets::{Bearer, BearerKey},
};

/// For how long a browser is known after it signed in.
pub const KNOWN_FOR: SignedDuration = SignedDuration::from_hours(24 * 365);

/// What is signed is never longer: two ids and a time.
const LONGEST: usize = 100;

/// A browser that is known for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KnownBrowser {
    id: Uuid,
    user: UserId,
}

impl KnownBrowser {
    /// Whose it is.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Makes one, with the text of its cookie.
    #[must_use]
    pub fn new(key: &BearerKey, user: UserId, now: Timestamp) -> (Self, String) {
        let id = Uuid::from_bytes(random::bytes());
        let since = now.as_second();
        let mac = data_encoding::HEXLOWER.encode(&key.hash(Bearer::Browser, &signed(id, user, since)));
        (Self { id, user }, format!("{}.{mac}", signed(id, user, since)))
    }

    /// Reads a cookie: `None` unless this server signed it, within the last year.
    #[must_use]
    pub fn read(key: &BearerKey, cookie: &str, now: Timestamp) -> Option<Self> {
        let (text, mac) = cookie.rsplit_once('.')?;
        let mac = data_encoding::HEXLOWER.decode(mac.as_bytes()).ok()?;
        if text.len() > LONGEST || !key.matches(Bearer::Browser, text, &mac) {
            return None;
        }
        let (id, rest) = text.split_once('.')?;
        let (user, since) = rest.split_once('.')?;
        let id = Uuid::try_parse(id).ok()?;
        let user = UserId::from_uuid(Uuid::try_parse(user).ok()?);
        let since: i64 = since.parse().ok()?;
        let age = now.duration_since(Timestamp::from_second(since).ok()?);
        (age <= KNOWN_FOR).then_some(Self { id, user })
    }
}

fn signed(id: Uuid, user: UserId, since: i64) -> String {
    format!("{}.{}.{since}", id.simple(), user.as_uuid().simple())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::MasterKey;

    #[test]
    fn a_browser_is_known_for_its_user_here_for_a_year() {
        let key = BearerKey::new(&MasterKey::new([1; 32]));
        let user = UserId::from_uuid(Uuid::from_u128(1));
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (browser, cookie) = KnownBrowser::new(&key, user, now);
        let read = |cookie: &str| KnownBrowser::read(&key, cookie, now);
        assert_eq!(read(&cookie), Some(browser));
        assert_eq!(browser.user(), user);
        let other_key = BearerKey::new(&MasterKey::new([2; 32]));
        assert_eq!(KnownBrowser::read(&other_key, &cookie, now), None);
        let later = now + KNOWN_FOR + SignedDuration::from_secs(1);
        assert_eq!(KnownBrowser::read(&key, &cookie, later), None);
        for at in 0..cookie.len() {
            let mut changed = cookie.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(read(&String::from_utf8(changed).unwrap()), None, "{at}");
        }
        for rubbish in ["", ".", "..", "a.b.c", &"x".repeat(100_000)] {
            assert_eq!(read(rubbish), None);
        }
    }
}
