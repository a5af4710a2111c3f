//! What is read, with credentials.

use shared::retention::LockMode;

use super::fixture::{Breach, Fixture, must, must_refuse};
use crate::{error::S3Error, read::ReadRequest};

pub(super) async fn version_is_read_whole(f: &Fixture) -> Result<(), Breach> {
    let (key, lock) = ("read/whole", f.lock(LockMode::Governance));
    let first = f.put(key, b"first", lock).await?.version_id;
    let second = f.put(key, b"second one", lock).await?.version_id;
    for (version, content) in [(&first, &b"first"[..]), (&second, &b"second one"[..])] {
        must(f.get(key, version).await? == content, || {
            "a version has other content".to_owned()
        })?;
    }
    match f.store.get(&f.bucket, key, &second, 9).await {
        Err(S3Error::TooLong { limit_bytes: 9, .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(bytes) => Err(Breach(format!("{} bytes where 9 are the limit", bytes.len()))),
    }
}

pub(super) async fn ranges_are_what_was_asked(f: &Fixture) -> Result<(), Breach> {
    let (key, content) = ("read/range", content());
    let version = f
        .put(key, &content, f.lock(LockMode::Governance))
        .await?
        .version_id;
    let size = content.len() as u64;
    for (range, expected) in [
        (0..1, &content[..1]),
        (0..size, &content[..]),
        (100..400, &content[100..400]),
        (size - 1..size, &content[content.len() - 1..]),
        (size - 10..size + 10, &content[content.len() - 10..]),
        (size..size + 1, &content[..0]),
        (size + 100..size + 200, &content[..0]),
    ] {
        for version in [Some(version.as_str()), None] {
            let request = ReadRequest {
                bucket: &f.bucket,
                key,
                version,
                range: Some(range.clone()),
                limit_bytes: 1 << 20,
            };
            let read = f.client.read(&request).await?;
            must(read == expected, || {
                format!("bytes {range:?} are {} others", read.len())
            })?;
        }
    }
    Ok(())
}

pub(super) async fn absence_has_its_code(f: &Fixture) -> Result<(), Breach> {
    let (key, lock) = ("read/absent", f.lock(LockMode::Governance));
    let version = f.put(key, b"content", lock).await?.version_id;
    let elsewhere = f.put("read/elsewhere", b"content", lock).await?.version_id;
    let codes = ["NoSuchKey", "NoSuchVersion"];
    for (key, version) in [("read/never", &version), (key, &elsewhere)] {
        let read = f.store.get(&f.bucket, key, version, 1 << 20).await;
        must_refuse(&format!("a version of {key} that never was"), read, &codes)?;
        let head = f.store.head(&f.bucket, key, Some(version)).await?;
        must(head.is_none(), || {
            format!("HEAD has a version of {key} that never was")
        })?;
    }
    let head = f.store.head(&f.bucket, "read/never", None).await?;
    must(head.is_none(), || "HEAD has a key that never was".to_owned())?;
    let newest = ReadRequest {
        bucket: &f.bucket,
        key: "read/never",
        version: None,
        range: None,
        limit_bytes: 1 << 20,
    };
    must_refuse(
        "a key that never was",
        f.client.read(&newest).await,
        &["NoSuchKey"],
    )
}

/// A few pages of bytes that do not repeat soon.
pub(super) fn content() -> Vec<u8> {
    (0..5_000u32).flat_map(u32::to_be_bytes).collect()
}
