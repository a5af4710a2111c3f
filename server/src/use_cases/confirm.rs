//! Asking S3 whether an object is there, whole and locked. Nothing counts as locked that was not seen so.

use std::fmt::Write as _;

use shared::retention::LockMode;

use crate::{
    db::ledger::{ConfirmedLock, LedgerObject},
    s3::{Listed, ObjectStore, S3Error, VersionHead},
};

/// Why an object is not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum NotConfirmed {
    /// S3 could not be asked.
    #[error(transparent)]
    Store(#[from] S3Error),
    /// No version under the key has the size and content that were signed.
    #[error("{key} is not in the bucket as it was signed")]
    Absent {
        /// The key.
        key: String,
    },
    /// It is there, but S3 shows no lock of the policy's mode: the provider accepts lock headers and does not keep
    /// them.
    #[error(
        "{key} is in the bucket without the lock that was signed: the provider does not keep Object Lock headers"
    )]
    Unlocked {
        /// The key.
        key: String,
    },
}

/// The version of `object` under `key` and its lock. The newest version is asked first; where it does not match
/// (somebody wrote over the key), the earliest that does is taken, which nobody can have put there afterwards.
///
/// # Errors
/// See [`NotConfirmed`].
pub async fn confirm(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    object: &LedgerObject,
    mode: LockMode,
) -> Result<ConfirmedLock, NotConfirmed> {
    let newest = store.head(bucket, key, None).await?;
    if let Some(lock) = newest
        .as_ref()
        .filter(|head| matches(head, object))
        .and_then(|head| locked(head, mode))
    {
        return Ok(lock);
    }
    let mut unlocked = newest.is_some_and(|head| matches(&head, object));
    for version in versions_of(store, bucket, key).await?.iter().rev() {
        let Some(head) = store.head(bucket, key, Some(version)).await? else {
            continue;
        };
        if !matches(&head, object) {
            continue;
        }
        match locked(&head, mode) {
            Some(lock) => return Ok(lock),
            None => unlocked = true,
        }
    }
    let key = key.to_owned();
    Err(if unlocked {
        NotConfirmed::Unlocked { key }
    } else {
        NotConfirmed::Absent { key }
    })
}

fn locked(head: &VersionHead, mode: LockMode) -> Option<ConfirmedLock> {
    let lock = head.lock.filter(|lock| lock.mode == mode)?;
    Some(ConfirmedLock {
        version_id: head.version_id.clone(),
        mode: lock.mode,
        locked_until: lock.retain_until,
    })
}

/// Size, and MD5 where the ETag is one: with KMS encryption or a multipart upload it is something else, and then the
/// signed Content-MD5, which S3 verified at the upload, has to suffice.
fn matches(head: &VersionHead, object: &LedgerObject) -> bool {
    let is_md5 = head.etag.len() == 32 && head.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    let md5 = object
        .content_md5
        .iter()
        .fold(String::with_capacity(32), |mut text, byte| {
            write!(text, "{byte:02x}").ok();
            text
        });
    head.size_bytes == object.object.size_bytes && (!is_md5 || head.etag.eq_ignore_ascii_case(&md5))
}

/// The versions under exactly this key, newest first.
async fn versions_of(store: &dyn ObjectStore, bucket: &str, key: &str) -> Result<Vec<String>, S3Error> {
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let page = store.list_versions(bucket, key, from.as_ref()).await?;
        found.extend(page.entries.into_iter().filter_map(|entry| match entry {
            Listed::Version {
                key: listed,
                version_id,
                ..
            } if listed == key => Some(version_id),
            _ => None,
        }));
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(found),
        }
    }
}
