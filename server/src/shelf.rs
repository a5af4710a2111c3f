//! What a bucket lists below one source's prefix: every version of every key, and every delete marker.

use std::collections::{BTreeMap, HashSet};

use repository::layout;
use shared::ids::SourceId;

use crate::s3::{Bounds, Listed, ObjectStore, PageMarker, S3Error, each_page};

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

/// Sources below a prefix, at most: each takes a request of its own to be passed over.
const MAX_SOURCES: u64 = 100_000;

impl Place<'_> {
    /// The sources that have anything below the prefix. Asks for one page a source, not for all of what they hold.
    ///
    /// # Errors
    /// When the bucket cannot be listed, or its listing makes no sense; likewise below.
    pub async fn sources(&self) -> Result<Vec<SourceId>, S3Error> {
        let folder = format!("{}sources/", self.prefix);
        let mut found = Vec::new();
        let bounds = Bounds {
            pages: MAX_SOURCES,
            ..Bounds::unknown()
        };
        each_page(self.store, self.bucket, &folder, bounds, |page| {
            let first = page.entries.iter().map(Listed::key).min()?;
            let name = first[folder.len()..].split('/').next().unwrap_or_default();
            let source: Option<SourceId> = format!("src_{name}").parse().ok();
            // Another spelling of the same id is a stranger's folder.
            found.extend(
                source.filter(|source| first.starts_with(&layout::source_prefix(self.prefix, *source))),
            );
            // `0` comes right after `/`: the next page begins behind everything of this folder.
            Some(PageMarker {
                key: format!("{folder}{name}0"),
                version_id: None,
            })
        })
        .await?;
        Ok(found)
    }

    /// Everything below one source's prefix, within `bounds`.
    ///
    /// A listing may lack what is there: nothing is missing only because it is not listed.
    pub async fn shelf(&self, source: SourceId, bounds: Bounds) -> Result<Shelf, S3Error> {
        let folder = layout::source_prefix(self.prefix, source);
        let mut shelf = Shelf::default();
        let mut seen = HashSet::new();
        each_page(self.store, self.bucket, &folder, bounds, |page| {
            for entry in page.entries {
                match entry {
                    Listed::Version {
                        key,
                        version_id,
                        size_bytes,
                        ..
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
                    Listed::Marker { key, version_id, .. } => {
                        if seen.insert((key.clone(), version_id.clone())) {
                            shelf.markers.push((key, version_id));
                        }
                    }
                }
            }
            page.next
        })
        .await?;
        // Listings have the newest version first.
        for versions in shelf.keys.values_mut() {
            versions.reverse();
        }
        Ok(shelf)
    }

    /// The versions under a key, the earliest first: those that the shelf has, or where it has none, the newest one, asked
    /// for by name.
    ///
    /// # Errors
    /// When S3 cannot be asked.
    pub async fn versions(&self, shelf: &Shelf, key: &str) -> Result<Vec<Version>, S3Error> {
        let listed = shelf.versions(key);
        if !listed.is_empty() {
            return Ok(listed.to_vec());
        }
        let head = self.store.head(self.bucket, key, None).await?;
        Ok(head
            .map(|head| Version {
                id: head.version_id,
                size_bytes: head.size_bytes,
            })
            .into_iter()
            .collect())
    }
}

impl Shelf {
    /// The versions under a key, the earliest first.
    #[must_use]
    pub fn versions(&self, key: &str) -> &[Version] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }
}
