//! Asking S3 whether an object is there, whole and locked. Nothing counts as locked that was not seen so.

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
/// (somebody wrote over the key), or its ETag can not tell, the earliest that matches is taken, which nobody can have
/// put there after the signed upload.
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
        .filter(|head| !head.kms && matches(head, object))
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

/// A COMPLIANCE lock is as good as a GOVERNANCE one where that is asked for; not the other way round.
fn locked(head: &VersionHead, mode: LockMode) -> Option<ConfirmedLock> {
    let lock = head
        .lock
        .filter(|lock| lock.mode == mode || lock.mode == LockMode::Compliance)?;
    Some(ConfirmedLock {
        version_id: head.version_id.clone(),
        mode: lock.mode,
        locked_until: lock.retain_until,
    })
}

/// Size, and MD5 as the ETag shows it. Signed uploads are plain PUTs, so an ETag that is no MD5 is somebody else's
/// multipart upload; only under KMS keys the ETag says nothing, and the signed Content-MD5, which S3 verified at the
/// upload, has to suffice.
fn matches(head: &VersionHead, object: &LedgerObject) -> bool {
    let md5 = data_encoding::HEXLOWER.encode(&object.content_md5);
    head.size_bytes == object.object.size_bytes && (head.kms || head.etag.eq_ignore_ascii_case(&md5))
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
