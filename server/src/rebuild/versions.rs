//! Which version under a key is the object, and what lock S3 shows on it.

use std::time::Duration;

use jiff::Timestamp;
use shared::{object::ObjectRef, retention::LockMode};

use crate::{
    db::ledger::LedgerObject,
    s3::{Lock, S3Error, VersionHead, content_md5, versions_of_key},
    source_listing::{SetLocation, SourceListing},
};

/// How long S3 is given before it is asked again for a version that it lists and does not give.
const AGAIN_AFTER: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// The version that is the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundVersion {
    pub version_id: String,
    pub content_md5: [u8; 16],
    pub lock: Option<Lock>,
}

impl FoundVersion {
    /// Until when it is locked. What is not locked at all is as if its lock had ended long ago: it is extended where it is
    /// needed, and otherwise goes.
    pub(super) fn locked_until(&self) -> Timestamp {
        self.lock.map_or(Timestamp::UNIX_EPOCH, |lock| lock.retain_until)
    }
}

/// Finds the version of `object` among those that are listed under its key, and those that are given though they are not
/// listed. It is gone only when no answer of S3 says otherwise: neither the listing of the source, nor the HEAD of the
/// version, nor a listing of the key.
///
/// What all listed versions of its size show by their ETags to be one content needs no reading. Where they differ, or an
/// ETag is no MD5, or not the one that the ledger has, each is read and must have the hash. Of several that are the object
/// the ledger's is taken, or else the one with the longest lock; of equal ones the earliest.
///
/// # Errors
/// When S3 cannot be asked, or lists a version that it does not give.
pub(super) async fn find(
    location: SetLocation<'_>,
    key: &str,
    object: &ObjectRef,
    listing: &SourceListing,
    known: Option<&LedgerObject>,
    mode: LockMode,
    read_all: bool,
) -> Result<Option<FoundVersion>, S3Error> {
    let mut heads: Vec<(VersionHead, Option<[u8; 16]>)> = Vec::new();
    for version in candidates(location, key, object, listing, known).await? {
        if let Some(head) = head(location, key, &version).await? {
            let md5 = etag_md5(&head);
            // What is not listed has no size yet.
            heads.extend((head.size_bytes == object.size_bytes).then_some((head, md5)));
        }
    }
    let expected = known
        .map(|row| row.content_md5)
        .or(heads.first().and_then(|(_, md5)| *md5));
    let is_sure = !read_all && expected.is_some() && heads.iter().all(|(_, md5)| *md5 == expected);
    let mut found: Vec<FoundVersion> = Vec::new();
    for (head, md5) in heads {
        let md5 = if is_sure {
            md5
        } else {
            match location
                .store
                .get(
                    location.bucket,
                    key,
                    &head.version_id,
                    object.kind.max_bytes() as u64,
                )
                .await
            {
                Ok(bytes) => (repository::hash(&bytes) == object.hash).then(|| content_md5(&bytes)),
                // Deleted since it was listed.
                Err(S3Error::Refused {
                    status: 404 | 405, ..
                }) => None,
                Err(error) => return Err(error),
            }
        };
        found.extend(md5.map(|content_md5| {
            FoundVersion {
                version_id: head.version_id,
                content_md5,
                lock: head
                    .lock
                    // A weaker mode than the policy's is no lock.
                    .filter(|lock| lock.mode == mode || lock.mode == LockMode::Compliance),
            }
        }));
    }
    let ledgers = known.and_then(|row| row.lock.as_ref()).and_then(|lock| {
        found
            .iter()
            .position(|version| version.version_id == lock.version_id)
    });
    let longest = || {
        let longest = found.iter().map(FoundVersion::locked_until).max()?;
        found.iter().position(|version| version.locked_until() == longest)
    };
    Ok(ledgers.or_else(longest).map(|at| found.swap_remove(at)))
}

/// The versions that may be the object: those that are listed with its size, the ledger's, and the newest one where none is
/// listed.
async fn candidates(
    location: SetLocation<'_>,
    key: &str,
    object: &ObjectRef,
    listing: &SourceListing,
    known: Option<&LedgerObject>,
) -> Result<Vec<String>, S3Error> {
    let versions = location.versions(listing, key).await?;
    let ledgers = known.and_then(|row| row.lock.as_ref());
    let ledgers = ledgers
        .map(|lock| &lock.version_id)
        .filter(|id| versions.iter().all(|version| version.id != **id));
    Ok(versions
        .iter()
        .filter(|version| version.size_bytes == object.size_bytes)
        .map(|version| &version.id)
        .chain(ledgers)
        .cloned()
        .collect())
}

/// HEAD of a version; `None` when it is gone. One answer that says so is not enough: a listing of the key must agree.
async fn head(location: SetLocation<'_>, key: &str, version: &str) -> Result<Option<VersionHead>, S3Error> {
    for pause in AGAIN_AFTER {
        if let Some(head) = location.store.head(location.bucket, key, Some(version)).await? {
            return Ok(Some(head));
        }
        let listed = versions_of_key(location.store, location.bucket, key).await?;
        if listed.iter().all(|one| one.version_id != version) {
            return Ok(None);
        }
        tokio::time::sleep(pause).await;
    }
    Err(S3Error::Malformed(format!(
        "{key}: version {version} is listed, and S3 says that it is not there"
    )))
}

/// The MD5 that an ETag shows: of a plain PUT without KMS keys (Amazon S3 API, Object, `ETag`).
fn etag_md5(head: &VersionHead) -> Option<[u8; 16]> {
    if head.kms {
        return None;
    }
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(head.etag.as_bytes())
        .ok()?;
    bytes.try_into().ok()
}
