//! Asking S3 whether an object is there, whole and locked. Nothing counts as locked that was not seen so.

use jiff::Timestamp;
use shared::retention::LockMode;

use crate::{
    db::ledger::{ConfirmedLock, LedgerObject},
    presence::{self, Presence, Unseen},
    s3::{Lock, ObjectStore, S3Error, VersionHead, versions_of_key},
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

/// The newest version under `key` and its lock, when it is `object` beyond doubt; no other version is looked at.
///
/// # Errors
/// When S3 could not be asked.
pub async fn newest(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    object: &LedgerObject,
    mode: LockMode,
) -> Result<Option<ConfirmedLock>, S3Error> {
    let newest = store.head(bucket, key, None).await?;
    Ok(newest
        .filter(|head| !head.kms && matches(head, object))
        .and_then(|head| locked(&head, mode)))
}

/// Every version under `key` that is what was signed, with the lock that S3 shows; the earliest first.
///
/// # Errors
/// When S3 could not be asked.
pub async fn versions(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    object: &LedgerObject,
) -> Result<Vec<VersionHead>, S3Error> {
    let mut found = Vec::new();
    for version in versions_of(store, bucket, key).await?.iter().rev() {
        if let Some(head) = store.head(bucket, key, Some(version)).await?
            && matches(&head, object)
        {
            found.push(head);
        }
    }
    Ok(found)
}

/// The lock of one version as S3 shows it now, or how the version was not found. What is not locked at all is as if its lock
/// had ended long ago.
///
/// # Errors
/// When S3 could not be asked.
pub async fn shown(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    old: &ConfirmedLock,
) -> Result<Result<ConfirmedLock, Unseen>, S3Error> {
    let head = match presence::ask(store, bucket, key, &old.version_id).await? {
        Presence::Shown(head) => head,
        Presence::Unseen(how) => return Ok(Err(how)),
    };
    Ok(Ok(ConfirmedLock {
        version_id: old.version_id.clone(),
        mode: head.lock.map_or(old.mode, |lock| lock.mode),
        locked_until: head.lock.map_or(Timestamp::UNIX_EPOCH, |lock| lock.retain_until),
    }))
}

/// Why a lock was not extended.
#[derive(Debug, thiserror::Error)]
pub enum NotExtended {
    /// S3 could not be asked, or refused.
    #[error(transparent)]
    Store(#[from] S3Error),
    /// S3 accepted the new date and shows another.
    #[error("{key}: S3 accepted a longer lock and does not show it")]
    NotShown {
        /// The key.
        key: String,
    },
}

/// Extends one version's lock, and asks S3 what it is now, or how the version was not found. Never shortens: a lock that is as
/// strong and reaches as far, whoever set it, stays as it is.
///
/// # Errors
/// See [`NotExtended`].
pub async fn extend(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    old: &ConfirmedLock,
    lock: Lock,
) -> Result<Result<ConfirmedLock, Unseen>, NotExtended> {
    let suffices = |shown: &Lock| {
        (shown.mode == lock.mode || shown.mode == LockMode::Compliance)
            && shown.retain_until >= lock.retain_until
    };
    let head = || store.head(bucket, key, Some(&old.version_id));
    let put = |mode| store.extend_lock(bucket, key, &old.version_id, Lock { mode, ..lock });
    let mut shown = None;
    // A COMPLIANCE lock can not be shortened, so there is nothing to look at first; what S3 refuses is looked at below.
    if old.mode == LockMode::Compliance && put(LockMode::Compliance).await.is_ok() {
        shown = head().await?.and_then(|head| head.lock);
    }
    if !shown.as_ref().is_some_and(suffices) {
        let before = match presence::ask(store, bucket, key, &old.version_id).await? {
            Presence::Shown(head) => head,
            Presence::Unseen(how) => return Ok(Err(how)),
        };
        shown = before.lock;
    }
    if !shown.as_ref().is_some_and(suffices) {
        // A stronger mode than the policy's can not be taken back either: it is extended as it is.
        let stronger = shown.is_some_and(|shown| shown.mode == LockMode::Compliance);
        put(if stronger { LockMode::Compliance } else { lock.mode }).await?;
        shown = head().await?.and_then(|head| head.lock);
    }
    match shown.filter(suffices) {
        Some(shown) => Ok(Ok(ConfirmedLock {
            version_id: old.version_id.clone(),
            mode: shown.mode,
            locked_until: shown.retain_until,
        })),
        None => Err(NotExtended::NotShown { key: key.to_owned() }),
    }
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
    let found = versions_of_key(store, bucket, key).await?;
    Ok(found.into_iter().map(|version| version.version_id).collect())
}
