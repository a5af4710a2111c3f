//! The attack: an intruder has the bucket's root keys and tries everything that S3 offers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use bucket::{Lock, VersionName};
use jiff::Timestamp;
use shared::retention::LockMode;

use super::{
    bucket::{Attempt, Bucket},
    report::Report,
    set_up::StoryContext,
};
use crate::clock;

const DAY: i64 = 86_400;
/// What S3 says to whoever touches a lock.
const LOCKED: &str = "AccessDenied";
/// What Ceph's gateway says to whoever asks for no lock at all: it refuses that before it looks whether there is one.
const NOT_A_LOCK: &str = "MalformedXML";
/// What S3 takes in one batch delete.
const BATCH: usize = 1000;

/// What the attack touched.
pub struct Attacked {
    keys: usize,
}

/// Attempts on each version, and what came of them.
#[derive(Default)]
struct Tally {
    tried: usize,
    refused: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, attempt: Attempt) {
        self.tried += 1;
        if let Attempt::Refused(code) = attempt {
            *self.refused.entry(code).or_default() += 1;
        }
    }

    /// Every attempt must have been refused, because of the lock.
    fn all_refused(&self) -> Result<String> {
        self.all_refused_with(&[LOCKED])
    }

    /// Every attempt must have been refused, all with one of these codes.
    fn all_refused_with(&self, reasons: &[&str]) -> Result<String> {
        let refused: usize = self.refused.values().sum();
        let codes: Vec<&str> = self.refused.keys().map(String::as_str).collect();
        let text = format!("{refused} of {} refused ({})", self.tried, codes.join(", "));
        // Another code is no lock that held, but a version that is gone or an attempt that was malformed.
        if refused == self.tried && matches!(codes[..], [code] if reasons.contains(&code)) {
            Ok(text)
        } else {
            bail!("only {text}")
        }
    }

    /// Every attempt must have been done: S3 allows it, and it does no harm.
    fn all_done(&self, what: &str) -> Result<String> {
        if !self.refused.is_empty() || self.tried == 0 {
            bail!("{:?} of {} refused", self.refused, self.tried);
        }
        Ok(format!("{} {what}", self.tried))
    }
}

/// Tries it all. Gives what was touched, when the bucket could be listed at all.
pub async fn tell(bucket: &Bucket, report: &mut Report) -> Option<Attacked> {
    let (versions, locks) = report
        .step("ATTACK with the root keys: list all", async {
            let versions = bucket.versions().await?;
            let mut locks = Vec::new();
            for version in &versions {
                locks.push(
                    bucket
                        .lock(version)
                        .await?
                        .with_context(|| format!("{} is not locked", version.key))?,
                );
            }
            let figures = format!("{} versions with their locks", versions.len());
            Ok(((versions, locks), figures))
        })
        .await?;
    let keys: BTreeSet<&str> = versions.iter().map(|version| version.key.as_str()).collect();

    destroy(report, bucket, &versions, &locks).await;
    cover(report, bucket, &keys).await;

    report
        .step("attack: suspend versioning", async {
            Ok(((), one("suspending", bucket.suspend_versioning().await?)?))
        })
        .await;
    report
        .step("attack: delete the bucket", async {
            Ok(((), one("deleting", bucket.delete().await?)?))
        })
        .await;
    report
        .step("after the attack every version is unharmed", async {
            let now: BTreeSet<VersionName> = bucket.versions().await?.into_iter().collect();
            for (version, lock) in versions.iter().zip(&locks) {
                if !now.contains(version) {
                    bail!("{} is gone", version.key);
                }
                let after = bucket.lock(version).await?;
                if after != Some(*lock) {
                    bail!("the lock of {} was {lock:?} and is {after:?}", version.key);
                }
            }
            let figures = format!(
                "{n} of {n} there with their locks; {} versions and {} markers on top",
                now.len() - versions.len(),
                bucket.markers().await?,
                n = versions.len()
            );
            Ok(((), figures))
        })
        .await;
    Some(Attacked { keys: keys.len() })
}

/// What would destroy backups.
async fn destroy(report: &mut Report, bucket: &Bucket, versions: &[VersionName], locks: &[Lock]) {
    report
        .step("attack: delete every version, one by one", async {
            let mut tally = Tally::default();
            for version in versions {
                tally.add(bucket.delete_version(version, false).await?);
            }
            Ok(((), tally.all_refused()?))
        })
        .await;
    report
        .step("attack: delete all in batches", async {
            let mut tally = Tally::default();
            for batch in versions.chunks(BATCH) {
                for attempt in bucket.delete_batch(batch).await? {
                    tally.add(attempt);
                }
            }
            Ok(((), format!("{}, each with its own error", tally.all_refused()?)))
        })
        .await;
    report
        .step("attack: shorten each lock, then remove it", async {
            let mut shorten = Tally::default();
            let mut remove = Tally::default();
            for version in versions {
                let tomorrow = Lock {
                    mode: LockMode::Compliance,
                    retain_until: Timestamp::from_second(clock::unix_seconds() + DAY)?,
                };
                shorten.add(bucket.set_lock(version, tomorrow).await?);
                remove.add(bucket.remove_lock(version).await?);
            }
            Ok((
                (),
                format!(
                    "shorten {}; remove {}",
                    shorten.all_refused()?,
                    remove.all_refused_with(&[LOCKED, NOT_A_LOCK])?
                ),
            ))
        })
        .await;
    report
        .step("attack: switch to GOVERNANCE, then bypass", async {
            let mut switch = Tally::default();
            let mut bypass = Tally::default();
            for (version, lock) in versions.iter().zip(locks) {
                switch.add(
                    bucket
                        .set_lock(
                            version,
                            Lock {
                                mode: LockMode::Governance,
                                ..*lock
                            },
                        )
                        .await?,
                );
                bypass.add(bucket.delete_version(version, true).await?);
            }
            Ok((
                (),
                format!(
                    "switch {}; bypass {}",
                    switch.all_refused()?,
                    bypass.all_refused()?
                ),
            ))
        })
        .await;
}

/// What S3 allows, and what does no harm: other versions and markers on top.
async fn cover(report: &mut Report, bucket: &Bucket, keys: &BTreeSet<&str>) {
    report
        .step("attack: overwrite every key", async {
            let mut tally = Tally::default();
            for key in keys {
                tally.add(bucket.overwrite(key).await?);
            }
            Ok(((), tally.all_done("new versions on top, the old ones beneath")?))
        })
        .await;
    report
        .step("attack: plain delete of every key", async {
            let mut tally = Tally::default();
            for key in keys {
                tally.add(bucket.delete_key(key).await?);
            }
            let markers = bucket.markers().await?;
            if markers != keys.len() {
                bail!("{markers} delete markers for {} keys", keys.len());
            }
            Ok(((), tally.all_done("delete markers on top, the versions beneath")?))
        })
        .await;
}

fn one(what: &str, attempt: Attempt) -> Result<String> {
    match attempt {
        Attempt::Refused(code) => Ok(format!("1 of 1 refused ({code})")),
        Attempt::Done => bail!("{what} was allowed"),
    }
}

/// The console must show what the attack left.
pub async fn shown(report: &mut Report, context: &StoryContext, attacked: &Attacked) {
    report
        .step("the console shows the delete markers", async {
            let inspection = context.api.inspect(context.tenant, context.backup_set).await?;
            let keys = attacked.keys as u64;
            if inspection.delete_markers != keys {
                bail!("{} delete markers instead of {keys}", inspection.delete_markers);
            }
            if inspection.unknown_versions != keys || inspection.missing_versions != 0 {
                bail!(
                    "{} versions that nobody signed instead of {keys}, {} missing",
                    inspection.unknown_versions,
                    inspection.missing_versions
                );
            }
            let page = context
                .api
                .page(&format!(
                    "/tenants/{}/backup-sets/{}",
                    context.tenant, context.backup_set
                ))
                .await?;
            let text = page.to_lowercase();
            if !text.contains("delete marker") || !page.contains(&crate::say::number(keys)) {
                bail!("the backup set's page does not show {keys} delete markers");
            }
            let figures = format!(
                "{keys} delete markers and {} versions that nobody signed, on the backup set's page",
                inspection.unknown_versions
            );
            Ok(((), figures))
        })
        .await;
}

#[cfg(test)]
mod tests {
    use super::super::bucket::for_tests::bucket_with_objects;
    use super::*;

    #[tokio::test]
    async fn a_compliance_bucket_withstands_it() {
        let folder = tempfile::tempdir().unwrap();
        let (bucket, _lockbox) = bucket_with_objects(folder.path(), Some(LockMode::Compliance)).await;
        let mut report = Report::begin();
        let attacked = tell(&bucket, &mut report).await.unwrap();
        assert_eq!(attacked.keys, 5);
        assert_eq!((report.passed(), report.failed()), (10, 0));
    }

    /// The attack is a real one: locks that can be bypassed do not survive it, and the report says so.
    #[tokio::test]
    async fn a_governance_bucket_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (bucket, _lockbox) = bucket_with_objects(folder.path(), Some(LockMode::Governance)).await;
        let mut report = Report::begin();
        tell(&bucket, &mut report).await.unwrap();
        assert!(report.failed() >= 3, "{}", report.failed());
    }

    #[tokio::test]
    async fn an_unlocked_bucket_is_seen_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (bucket, _lockbox) = bucket_with_objects(folder.path(), None).await;
        let mut report = Report::begin();
        assert!(tell(&bucket, &mut report).await.is_none());
        assert_eq!(report.failed(), 1);
    }
}
