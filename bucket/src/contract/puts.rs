//! What is put.

use jiff::SignedDuration;
use shared::retention::LockMode;

use super::fixture::{Breach, Fixture, MODES, must, must_refuse};
use crate::{error::S3Error, read::content_md5, sign::SignPut, store::Conditional};

pub(super) async fn object_is_put_with_its_lock(f: &Fixture) -> Result<(), Breach> {
    for (name, mode) in MODES {
        let (key, lock) = (format!("put/{name}"), f.lock(mode));
        let head = f.put(&key, b"content", lock).await?;
        let md5 = data_encoding::HEXLOWER.encode(&content_md5(b"content"));
        must(head.size_bytes == 7, || format!("{} bytes", head.size_bytes))?;
        must(head.etag == md5, || {
            format!("the ETag {} instead of {md5}", head.etag)
        })?;
        must(head.lock == Some(lock), || {
            format!("the lock {:?} instead of {lock:?}", head.lock)
        })?;
        let is_named = !head.version_id.is_empty() && head.version_id != "null";
        must(is_named, || format!("the version id `{}`", head.version_id))?;
    }
    Ok(())
}

pub(super) async fn wrong_digest_is_refused(f: &Fixture) -> Result<(), Breach> {
    let key = "wrong-digest";
    let put = SignPut {
        content_md5: content_md5(b"other content"),
        ..f.sign(key, b"content", f.lock(LockMode::Governance))
    };
    let outcome = f.store.put_locked(put, b"content".to_vec()).await;
    must_refuse("content with another digest", outcome, &["BadDigest"])?;
    is_absent(f, key).await
}

pub(super) async fn past_lock_is_refused(f: &Fixture) -> Result<(), Breach> {
    let key = "past-lock";
    let lock = f.lock_for(LockMode::Governance, SignedDuration::from_hours(-1));
    let put = f.sign(key, b"content", lock);
    match f.store.put_locked(put, b"content".to_vec()).await {
        Err(S3Error::Refused { status: 400, .. }) => is_absent(f, key).await,
        Err(error) => Err(error.into()),
        Ok(()) => Err(Breach("a lock that has ended is accepted".to_owned())),
    }
}

pub(super) async fn second_put_lies_on_top(f: &Fixture) -> Result<(), Breach> {
    let key = "twice";
    let lock = f.lock(LockMode::Compliance);
    let first = f.put(key, b"first", lock).await?;
    let second = f.put(key, b"second", f.lock(LockMode::Governance)).await?;
    must(first.version_id != second.version_id, || {
        "both have one version id".to_owned()
    })?;
    let listed = f.versions(key).await?;
    must(
        listed == [second.version_id.clone(), first.version_id.clone()],
        || format!("{listed:?} are listed instead of the second and the first"),
    )?;
    let beneath = f.head(key, Some(&first.version_id)).await?;
    must(beneath == first, || {
        format!("the first is {beneath:?} instead of {first:?}")
    })?;
    must(f.get(key, &first.version_id).await? == b"first", || {
        "the first has other content".to_owned()
    })
}

pub(super) async fn put_if_absent_refuses_a_second(f: &Fixture) -> Result<(), Breach> {
    let key = "absent";
    let lock = f.lock(LockMode::Governance);
    let put = async |content: &'static [u8]| {
        let put = f.sign(key, content, lock);
        f.store.put_if_absent(put, content.to_vec()).await
    };
    let first = put(b"first").await?;
    must(first == Conditional::Put, || {
        format!("under an empty key it is {first:?}")
    })?;
    let second = put(b"second").await?;
    let versions = f.versions(key).await?;
    must(second == Conditional::Present && versions.len() == 1, || {
        format!(
            "under a key that holds an object it is {second:?}, and there are {} versions",
            versions.len()
        )
    })?;
    must(f.get(key, &versions[0]).await? == b"first", || {
        "the first has other content".to_owned()
    })
}

async fn is_absent(f: &Fixture, key: &str) -> Result<(), Breach> {
    let listed = f.versions(key).await?;
    must(listed.is_empty(), || {
        format!("it is refused, and {} versions are there", listed.len())
    })
}
