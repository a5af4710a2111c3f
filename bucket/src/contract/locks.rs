//! Locks that exist.

use jiff::SignedDuration;
use shared::retention::LockMode;

use super::fixture::{Breach, Fixture, MODES, must, must_refuse};
use crate::version::Lock;

/// What S3 says to whoever touches a lock.
pub(super) const LOCKED: &[&str] = &["AccessDenied"];

pub(super) async fn lock_is_extended(f: &Fixture) -> Result<(), Breach> {
    for (name, mode) in MODES {
        let key = format!("extended/{name}");
        let version = f.put(&key, b"content", f.lock(mode)).await?.version_id;
        let longer = f.lock_for(mode, SignedDuration::from_hours(48));
        f.store.extend_lock(&f.bucket, &key, &version, longer).await?;
        keeps(f, &key, &version, longer).await?;
        // Once more with the same date: what a repeated request asks for.
        f.store.extend_lock(&f.bucket, &key, &version, longer).await?;
        keeps(f, &key, &version, longer).await?;
    }
    Ok(())
}

pub(super) async fn lock_is_not_shortened(f: &Fixture) -> Result<(), Breach> {
    for (name, mode) in MODES {
        let (key, lock) = (format!("shortened/{name}"), f.lock(mode));
        let version = f.put(&key, b"content", lock).await?.version_id;
        let shorter = f.lock_for(mode, SignedDuration::from_hours(1));
        let outcome = f.store.extend_lock(&f.bucket, &key, &version, shorter).await;
        must_refuse(&format!("a shorter {name} lock"), outcome, LOCKED)?;
        keeps(f, &key, &version, lock).await?;
    }
    Ok(())
}

pub(super) async fn compliance_stays(f: &Fixture) -> Result<(), Breach> {
    let (key, lock) = ("compliance-stays", f.lock(LockMode::Compliance));
    let version = f.put(key, b"content", lock).await?.version_id;
    let weaker = f.lock_for(LockMode::Governance, SignedDuration::from_hours(48));
    let outcome = f.store.extend_lock(&f.bucket, key, &version, weaker).await;
    must_refuse("GOVERNANCE instead of COMPLIANCE", outcome, LOCKED)?;
    keeps(f, key, &version, lock).await
}

pub(super) async fn keeps(f: &Fixture, key: &str, version: &str, lock: Lock) -> Result<(), Breach> {
    let head = f.head(key, Some(version)).await?;
    must(head.lock == Some(lock), || {
        format!("the lock of {key} is {:?} instead of {lock:?}", head.lock)
    })
}
