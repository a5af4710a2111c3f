//! What is deleted, by its version.

use std::time::Duration;

use jiff::SignedDuration;
use shared::retention::LockMode;

use super::{
    fixture::{Breach, Fixture, MODES, must, must_refuse},
    locks::{LOCKED, keeps},
};
use crate::{delete::Deletion, error::S3Error, version::VersionName};

/// How long a lock lasts whose end is waited for.
const SHORT_LOCK: SignedDuration = SignedDuration::from_secs(8);
/// Until a version whose lock has ended must be gone, asked for once a second.
const ATTEMPTS: u32 = 30;

pub(super) async fn locked_version_stays(f: &Fixture) -> Result<(), Breach> {
    for (name, mode) in MODES {
        let (key, lock) = (format!("stays/{name}"), f.lock(mode));
        let version = f.put(&key, b"content", lock).await?.version_id;
        let told = delete(f, &[(&key, &version)]).await.remove(0);
        must_refuse(&format!("deleting under a {name} lock"), told, LOCKED)?;
        keeps(f, &key, &version, lock).await?;
    }
    Ok(())
}

pub(super) async fn ended_lock_lets_go(f: &Fixture) -> Result<(), Breach> {
    let key = "ended";
    let version = ended(f, key).await?;
    let head = f.store.head(&f.bucket, key, Some(&version)).await?;
    must(head.is_none(), || format!("after its deletion HEAD has {head:?}"))?;
    let listed = f.versions(key).await?;
    must(listed.is_empty(), || {
        format!("after its deletion {} versions are listed", listed.len())
    })?;
    // What is gone is told as deleted, or as unknown; both are no error.
    delete(f, &[(key, &version)]).await.remove(0)?;
    Ok(())
}

pub(super) async fn rows_are_told_apart(f: &Fixture) -> Result<(), Breach> {
    let gone = ended(f, "rows/gone").await?;
    let locked = f
        .put("rows/locked", b"content", f.lock(LockMode::Governance))
        .await?
        .version_id;
    // In this order: gone, locked, and a key that never was, with an id that the store gave to something else.
    let mut told = delete(
        f,
        &[
            ("rows/gone", &gone),
            ("rows/locked", &locked),
            ("rows/never", &gone),
        ],
    )
    .await;
    must(told.len() == 3, || {
        format!("{} rows for three versions", told.len())
    })?;
    told.remove(2)?;
    must_refuse("the locked one of a batch", told.remove(1), LOCKED)?;
    told.remove(0)?;
    Ok(())
}

/// Puts an object with a short lock and deletes it when that has ended. It must not go before.
async fn ended(f: &Fixture, key: &str) -> Result<String, Breach> {
    // The store's clock: `now` is when the run began.
    let begun = f.store.time(&f.bucket).await?;
    let lock = f.lock_for(LockMode::Compliance, begun.duration_since(f.now) + SHORT_LOCK);
    let version = f.put(key, b"content", lock).await?.version_id;
    for _ in 0..ATTEMPTS {
        let told = delete(f, &[(key, &version)]).await.remove(0);
        let at = f.store.time(&f.bucket).await?;
        match told {
            Ok(Deletion::Deleted) => {
                return must(at >= lock.retain_until, || {
                    format!("deleted before its lock ends at {}", lock.retain_until)
                })
                .map(|()| version);
            }
            Ok(Deletion::Unknown) => return Err(Breach("a version that is there is unknown".to_owned())),
            // The answer's Date is cut to a second.
            Err(S3Error::Refused { code, .. }) if LOCKED.contains(&code.as_str()) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Breach(format!(
        "still refused {ATTEMPTS} s after it was put for {SHORT_LOCK:#}"
    )))
}

async fn delete(f: &Fixture, versions: &[(&str, &str)]) -> Vec<Result<Deletion, S3Error>> {
    let names: Vec<VersionName> = versions
        .iter()
        .map(|(key, version)| VersionName {
            key: (*key).to_owned(),
            version_id: (*version).to_owned(),
        })
        .collect();
    f.store.delete_versions(&f.bucket, &names).await
}
