//! What a bucket lists below one source's prefix: every version of every key, and every delete marker.

use std::collections::{BTreeMap, HashSet};

use repository::layout;
use shared::ids::SourceId;

use crate::s3::{Listed, ObjectStore, PageMarker, S3Error};

/// A bucket, and what the keys of a backup set begin with.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The store.
    pub store: &'a dyn ObjectStore,
    /// The bucket.
    pub bucket: &'a str,
    /// The backup set's prefix: empty, or ending with a slash.
    pub prefix: &'a str,
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version.
    pub id: String,
    /// Its length in bytes.
    pub size_bytes: u64,
}

/// What is listed below one source's prefix.
#[derive(Debug, Default)]
pub struct Shelf {
    /// The versions under each key, the earliest first.
    pub keys: BTreeMap<String, Vec<Version>>,
    /// Delete markers: key and version.
    pub markers: Vec<(String, String)>,
}

impl Place<'_> {
    /// The sources that have anything below the prefix. Asks for one page a source, not for all of what they hold.
    ///
    /// # Errors
    /// When the bucket cannot be listed; likewise below.
    pub async fn sources(&self) -> Result<Vec<SourceId>, S3Error> {
        let folder = format!("{}sources/", self.prefix);
        let mut found = Vec::new();
        let mut from: Option<PageMarker> = None;
        loop {
            let page = self
                .store
                .list_versions(self.bucket, &folder, from.as_ref())
                .await?;
            let keys = page.entries.iter().map(|entry| match entry {
                Listed::Version { key, .. } | Listed::Marker { key, .. } => key.as_str(),
            });
            let Some(first) = keys.min() else {
                return Ok(found);
            };
            let name = first[folder.len()..].split('/').next().unwrap_or_default();
            let source: Option<SourceId> = format!("src_{name}").parse().ok();
            // Another spelling of the same id is a stranger's folder.
            found.extend(
                source.filter(|source| first.starts_with(&layout::source_prefix(self.prefix, *source))),
            );
            // `0` comes right after `/`: the next page begins behind everything of this folder.
            from = Some(PageMarker {
                key: format!("{folder}{name}0"),
                version_id: None,
            });
        }
    }

    /// Everything below one source's prefix.
    pub async fn shelf(&self, source: SourceId) -> Result<Shelf, S3Error> {
        let folder = layout::source_prefix(self.prefix, source);
        let mut shelf = Shelf::default();
        let mut seen = HashSet::new();
        let mut from = None;
        loop {
            let page = self
                .store
                .list_versions(self.bucket, &folder, from.as_ref())
                .await?;
            for entry in page.entries {
                match entry {
                    Listed::Version {
                        key,
                        version_id,
                        size_bytes,
                    } => {
                        let versions = shelf.keys.entry(key).or_default();
                        // Some stores list an entry again at the seam of two pages.
                        if versions.iter().all(|version| version.id != version_id) {
                            versions.push(Version {
                                id: version_id,
                                size_bytes,
                            });
                        }
                    }
                    Listed::Marker { key, version_id } => {
                        if seen.insert((key.clone(), version_id.clone())) {
                            shelf.markers.push((key, version_id));
                        }
                    }
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        // Listings have the newest version first.
        for versions in shelf.keys.values_mut() {
            versions.reverse();
        }
        Ok(shelf)
    }
}

impl Shelf {
    /// The versions under a key, the earliest first.
    #[must_use]
    pub fn versions(&self, key: &str) -> &[Version] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }
}
