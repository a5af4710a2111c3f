//! The inspection of a bucket, which somebody asked for: what is listed, beside what the ledger knows.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use shared::{
    api::view::BucketInspection,
    ids::{BackupSetId, SourceId},
    object::ObjectKind,
    retention::ObjectState,
};

use super::s3_errors::{S3Call, to_api_error};
use crate::{
    app::App,
    db::{self, backup_sets::BackupSet, ledger::LedgerObject, storage_accounts::StorageAccount},
    error::ApiError,
    s3::{Bounds, Listed, ObjectStore, S3Error, each_page},
    scope::Manager,
};

/// Keys that are shown as examples.
const EXAMPLES: usize = 5;
/// Versions that are not listed and are asked for by name. Somebody waits for the answer: when none of so many is there, the
/// others count as missing too.
const ASKED: usize = 1_000;
/// HEADs that are under way together.
const PARALLEL: usize = 16;

/// Lists every version below the set's prefix, compares with the ledger, and keeps the result.
///
/// # Errors
/// `NotFound` when the tenant has no such set; `Invalid` with what to do when S3 says no.
pub async fn bucket(app: &App, actor: &Manager, id: BackupSetId) -> Result<BucketInspection, ApiError> {
    let (set, account, expected) = read(app, actor, id).await?;
    let store = app.store(&actor.scope, &account)?;
    let call = S3Call::Bucket {
        endpoint: &account.endpoint,
        bucket: &set.bucket,
    };
    let bounds = Bounds::expecting(expected.count());
    let mut comparison = Comparison::new(expected, app.clock.now());
    let listed = each_page(store.as_ref(), &set.bucket, &set.prefix, bounds, |page| {
        for entry in page.entries {
            comparison.take(entry);
        }
        page.next
    });
    listed.await.map_err(|error| to_api_error(&error, call))?;
    ask_by_name(store.as_ref(), &set.bucket, &comparison.expected.confirmed)
        .await
        .map_err(|error| to_api_error(&error, call))?;
    let found = comparison.finish();

    let tx = app.db.tenant(&actor.scope).await?;
    db::backup_sets::set_inspection(&tx, id, &found).await?;
    tx.commit().await?;
    Ok(found)
}

/// Reads the set and what its bucket is expected to hold, in one transaction.
async fn read(
    app: &App,
    actor: &Manager,
    id: BackupSetId,
) -> Result<(BackupSet, StorageAccount, Expected), ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let set = db::backup_sets::find(&tx, id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))?;
    let account = db::storage_accounts::find(&tx, set.storage_account_id).await?;
    let account = account.ok_or(ApiError::NotFound("storage account"))?;
    let mut expected = Expected::default();
    let sources = db::sources::all(&tx).await?;
    for source in sources.iter().filter(|source| source.backup_set_id == id) {
        for row in db::ledger::all(&tx, source.id).await? {
            expected.add(row, &set.prefix, source.id);
        }
        let spares = db::groom::spares(&tx, source.id, None, None).await?;
        let spares = spares.into_iter().map(|spare| (spare.key, spare.version_id));
        expected.superseded.extend(spares);
    }
    Ok((set, account, expected))
}

/// Key and version id.
type VersionKey = (String, String);

/// What a bucket is expected to hold, by the ledger.
#[derive(Debug, Default)]
struct Expected {
    /// Versions that S3 has confirmed.
    confirmed: HashSet<VersionKey>,
    /// Keys whose versions may be there or not: signed for by a run that is under way or broke off, or being deleted.
    uncertain: HashSet<String>,
    /// Versions that later ones took the place of. They are deleted when their locks end.
    superseded: HashSet<VersionKey>,
}

impl Expected {
    fn add(&mut self, row: LedgerObject, prefix: &str, source: SourceId) {
        // A commit record has its key when its snapshot has its number.
        if row.object.kind == ObjectKind::Commit && row.born.is_none() {
            return;
        }
        let key = row.key(prefix, source);
        match row.lock {
            Some(lock) if row.state != ObjectState::Deleting => {
                self.confirmed.insert((key, lock.version_id));
            }
            _ => {
                self.uncertain.insert(key);
            }
        }
    }

    fn count(&self) -> u64 {
        (self.confirmed.len() + self.uncertain.len() + self.superseded.len()) as u64
    }
}

/// A bucket's listing beside the ledger.
struct Comparison {
    /// The confirmed versions in it are those that were not listed so far.
    expected: Expected,
    found: BucketInspection,
}

impl Comparison {
    fn new(expected: Expected, now: Timestamp) -> Self {
        Self {
            expected,
            found: BucketInspection {
                at: now,
                versions: 0,
                bytes: 0,
                delete_markers: 0,
                known_versions: 0,
                unknown_versions: 0,
                missing_versions: 0,
                marker_examples: Vec::new(),
            },
        }
    }

    fn take(&mut self, entry: Listed) {
        let found = &mut self.found;
        match entry {
            Listed::Version {
                key,
                version_id,
                size_bytes,
                ..
            } => {
                found.versions += 1;
                found.bytes += size_bytes;
                let is_uncertain = self.expected.uncertain.contains(&key);
                let version = (key, version_id);
                let is_expected =
                    self.expected.confirmed.remove(&version) || self.expected.superseded.contains(&version);
                if is_expected || is_uncertain {
                    found.known_versions += 1;
                } else {
                    found.unknown_versions += 1;
                }
            }
            Listed::Marker { key, .. } => {
                found.delete_markers += 1;
                if found.marker_examples.len() < EXAMPLES {
                    found.marker_examples.push(key);
                }
            }
        }
    }

    fn finish(self) -> BucketInspection {
        BucketInspection {
            missing_versions: self.expected.confirmed.len() as u64,
            ..self.found
        }
    }
}

/// Asks for what the listing lacks. When S3 gives any of it, the listing is no word on what is there.
async fn ask_by_name(
    store: &dyn ObjectStore,
    bucket: &str,
    unlisted: &HashSet<VersionKey>,
) -> Result<(), S3Error> {
    let asked = unlisted.iter().take(ASKED).map(|(key, version)| async move {
        let head = store.head(bucket, key, Some(version)).await?;
        Ok::<_, S3Error>(head.is_some())
    });
    let asked = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(PARALLEL);
    let given: Vec<bool> = asked.try_collect().await?;
    match given.iter().filter(|given| **given).count() {
        0 => Ok(()),
        there => Err(S3Error::Malformed(format!(
            "its listing leaves out objects that are there ({there} of {} that were asked for by name)",
            given.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> HashSet<VersionKey> {
        let owned = |(key, version): &(&str, &str)| ((*key).to_owned(), (*version).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn version(key: &str, version: &str) -> Listed {
        Listed::Version {
            key: key.to_owned(),
            version_id: version.to_owned(),
            size_bytes: 10,
            modified: None,
        }
    }

    #[test]
    fn each_listed_version_is_known_or_not_and_what_is_not_listed_is_missing() {
        let expected = Expected {
            confirmed: names(&[("a", "1"), ("b", "1"), ("lost", "1")]),
            uncertain: HashSet::from(["open".to_owned()]),
            superseded: names(&[("a", "0")]),
        };
        let mut comparison = Comparison::new(expected, Timestamp::UNIX_EPOCH);
        for (entry, is_known) in [
            (version("a", "1"), true),
            (version("a", "0"), true),
            (version("open", "whatever"), true),
            // Somebody wrote over a key that is the ledger's.
            (version("b", "2"), false),
            (version("b", "1"), true),
            (version("else", "1"), false),
            // A version that a store lists twice is not expected twice.
            (version("b", "1"), false),
        ] {
            let before = comparison.found.known_versions;
            comparison.take(entry.clone());
            assert_eq!(comparison.found.known_versions > before, is_known, "{entry:?}");
        }
        for number in 0..EXAMPLES + 2 {
            comparison.take(Listed::Marker {
                key: number.to_string(),
                version_id: "m".to_owned(),
                modified: None,
            });
        }
        let found = comparison.finish();
        assert_eq!((found.versions, found.bytes), (7, 70));
        assert_eq!((found.known_versions, found.unknown_versions), (4, 3));
        assert_eq!(found.missing_versions, 1);
        assert_eq!(found.delete_markers, EXAMPLES as u64 + 2);
        assert_eq!(found.marker_examples.len(), EXAMPLES);
    }
}
