//! Listings, page by page, with an end: each page must go on behind the one before, and there are only so many.

use std::{collections::HashSet, time::Duration};

#[cfg(feature = "store")]
use crate::store::ObjectStore;
use crate::{
    error::S3Error,
    version::{Listed, PageMarker, VersionPage},
};

/// Entries beyond what is expected: delete markers, versions put twice, strangers.
const SPARE_ENTRIES: u64 = 100_000;
/// How many times as many as expected.
const TIMES: u64 = 4;
/// Where nothing is known of what there should be: more than that no source can have.
const UNKNOWN_ENTRIES: u64 = 20_000_000;
/// A store may give fewer entries a page than it is asked for; on the average it gives this many, after the first pages.
const LEAST_PAGE: u64 = 10;
const SPARE_PAGES: u64 = 100;
/// No key is longer (Amazon S3, object key naming), and no version id.
const MAX_NAME_BYTES: usize = 1_024;
/// For any listing.
const SPARE_TIME: Duration = Duration::from_secs(300);
/// For every thousand entries that are allowed.
const PAGE_TIME: Duration = Duration::from_secs(2);

/// How long a listing may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries, delete markers too.
    pub entries: u64,
    /// Pages.
    pub pages: u64,
    /// Bytes of the entries' keys and version ids together.
    pub name_bytes: u64,
    /// From the first request to the last answer.
    pub time: Duration,
}

impl Bounds {
    /// For a listing of which the ledger knows about so many versions.
    #[must_use]
    pub fn expecting(versions: u64) -> Self {
        Self::of(versions.saturating_mul(TIMES).saturating_add(SPARE_ENTRIES))
    }

    /// For a bucket of which nothing is known: it ends, late.
    #[must_use]
    pub fn unknown() -> Self {
        Self::of(UNKNOWN_ENTRIES)
    }

    /// Ends a walk below `prefix` that lasts longer than it may.
    ///
    /// # Errors
    /// `Malformed` then, else the walk's own.
    pub async fn in_time<T>(
        &self,
        prefix: &str,
        walk: impl Future<Output = Result<T, S3Error>>,
    ) -> Result<T, S3Error> {
        tokio::time::timeout(self.time, walk).await.unwrap_or_else(|_| {
            Err(S3Error::Malformed(format!(
                "a listing of {prefix}* did not end within {} s",
                self.time.as_secs()
            )))
        })
    }

    fn of(entries: u64) -> Self {
        let thousands = u32::try_from(entries / 1_000).unwrap_or(u32::MAX);
        Self {
            entries,
            pages: entries / LEAST_PAGE + SPARE_PAGES,
            name_bytes: entries.saturating_mul(2 * MAX_NAME_BYTES as u64),
            time: SPARE_TIME.saturating_add(PAGE_TIME.saturating_mul(thousands)),
        }
    }
}

impl VersionPage {
    /// Whether this page answers a request for what comes behind `from` below `prefix`: its entries are there, and the
    /// next page begins behind it.
    ///
    /// # Errors
    /// `Malformed` when it does not.
    pub fn follows(&self, prefix: &str, from: Option<&PageMarker>) -> Result<(), S3Error> {
        let start = from.map_or("", |from| from.key.as_str());
        for entry in &self.entries {
            let key = entry.key();
            let longest = key.len().max(entry.version_id().len());
            if longest > MAX_NAME_BYTES {
                return Err(S3Error::Malformed(format!(
                    "a listing of {prefix}* has a name of {longest} bytes; S3 has none of more than {MAX_NAME_BYTES}"
                )));
            }
            if !key.starts_with(prefix) {
                return Err(S3Error::Malformed(format!("a listing of {prefix}* has {key}")));
            }
            // The key of the marker itself may go on, and some stores list an entry again at the seam.
            if key < start {
                return Err(S3Error::Malformed(format!(
                    "a listing from {start} on has {key}: it does not go on"
                )));
            }
        }
        for folder in &self.folders {
            // The marker lies in the folder when the folder's keys go on.
            let goes_on = folder.as_str() >= start || start.starts_with(folder.as_str());
            if !folder.starts_with(prefix) || !goes_on || folder.len() > MAX_NAME_BYTES {
                return Err(S3Error::Malformed(format!(
                    "a listing of {prefix}* from {start} on has a folder that is none there, of {} bytes",
                    folder.len()
                )));
            }
        }
        match (&self.next, from) {
            (Some(next), Some(from)) if !next.is_behind(from) => Err(S3Error::Malformed(format!(
                "a listing from {start} on goes on at {}",
                next.key
            ))),
            _ => Ok(()),
        }
    }
}

impl PageMarker {
    /// Keys ascend. The versions of one key have no order that can be seen, so there another version is enough.
    fn is_behind(&self, other: &Self) -> bool {
        self.key > other.key || (self.key == other.key && self.version_id != other.version_id)
    }
}

impl Listed {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Version { key, .. } | Self::Marker { key, .. } => key,
        }
    }

    /// The version.
    #[must_use]
    pub fn version_id(&self) -> &str {
        match self {
            Self::Version { version_id, .. } | Self::Marker { version_id, .. } => version_id,
        }
    }
}

/// A listing under way: each page must go on behind the one before, and there are only so many.
#[derive(Debug)]
pub struct Walk<'a> {
    prefix: &'a str,
    bounds: Bounds,
    from: Option<PageMarker>,
    pages: u64,
    entries: u64,
    name_bytes: u64,
    /// Where pages began within one key.
    within: HashSet<Option<String>>,
}

impl<'a> Walk<'a> {
    /// Begins. The bound of time is the caller's to keep.
    #[must_use]
    pub fn below(prefix: &'a str, bounds: Bounds) -> Self {
        Self {
            prefix,
            bounds,
            from: None,
            pages: 0,
            entries: 0,
            name_bytes: 0,
            within: HashSet::new(),
        }
    }

    /// Where the next page begins; `None` for the first.
    #[must_use]
    pub const fn from(&self) -> Option<&PageMarker> {
        self.from.as_ref()
    }

    /// Takes a page that was asked for.
    ///
    /// # Errors
    /// `Malformed` when it does not follow the one before, or there is more than the bounds allow.
    pub fn take(&mut self, page: VersionPage) -> Result<VersionPage, S3Error> {
        let prefix = self.prefix;
        page.follows(prefix, self.from.as_ref())?;
        self.pages += 1;
        self.entries += (page.entries.len() + page.folders.len()) as u64;
        let names = page
            .entries
            .iter()
            .map(|entry| entry.key().len() + entry.version_id().len());
        let folders = page.folders.iter().map(String::len);
        self.name_bytes += names.chain(folders).sum::<usize>() as u64;
        let Bounds {
            entries,
            pages,
            name_bytes,
            ..
        } = self.bounds;
        if self.entries > entries || self.pages > pages || self.name_bytes > name_bytes {
            return Err(S3Error::Malformed(format!(
                "a listing of {prefix}* does not end: {} entries in {} pages, far more than is known of",
                self.entries, self.pages
            )));
        }
        Ok(page)
    }

    /// Asks for the next page.
    ///
    /// # Errors
    /// When the store cannot be asked, or lists what makes no sense, or more than the bounds.
    #[cfg(feature = "store")]
    pub async fn page(&mut self, store: &dyn ObjectStore, bucket: &str) -> Result<VersionPage, S3Error> {
        let page = store
            .list_versions(bucket, self.prefix, self.from.as_ref())
            .await?;
        self.take(page)
    }

    /// Says where the next page begins.
    ///
    /// # Errors
    /// `Malformed` when a page began there before.
    pub fn go_on(&mut self, next: PageMarker) -> Result<(), S3Error> {
        if self.from.as_ref().is_none_or(|from| from.key != next.key) {
            self.within.clear();
        }
        if !self.within.insert(next.version_id.clone()) {
            let key = &next.key;
            return Err(S3Error::Malformed(format!(
                "a listing goes round within the versions of {key}"
            )));
        }
        self.from = Some(next);
        Ok(())
    }
}

/// Gives every page of a listing to `take`, in order. `take` says where the next page begins: where the page says, or
/// further on; `None` ends the listing.
///
/// # Errors
/// When the store cannot be asked, or lists what makes no sense, or more than `bounds`.
#[cfg(feature = "store")]
pub async fn each_page(
    store: &dyn ObjectStore,
    bucket: &str,
    prefix: &str,
    bounds: Bounds,
    mut take: impl FnMut(VersionPage) -> Option<PageMarker> + Send,
) -> Result<(), S3Error> {
    let walk = async {
        let mut walk = Walk::below(prefix, bounds);
        loop {
            let page = walk.page(store, bucket).await?;
            let Some(next) = take(page) else {
                return Ok(());
            };
            walk.go_on(next)?;
        }
    };
    bounds.in_time(prefix, walk).await
}

/// The versions under exactly this key, newest first, as they are listed. Markers are left out.
///
/// # Errors
/// See [`each_page`].
#[cfg(feature = "store")]
pub async fn versions_of_key(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
) -> Result<Vec<KeyVersion>, S3Error> {
    let mut found = Vec::new();
    each_page(store, bucket, key, Bounds::expecting(0), |page| {
        let mut is_past = false;
        for entry in page.entries {
            match entry {
                Listed::Version {
                    key: listed,
                    version_id,
                    size_bytes,
                    ..
                } if listed == key => found.push(KeyVersion {
                    version_id,
                    size_bytes,
                }),
                // What begins with the key and goes on comes behind it.
                other => is_past |= other.key() != key,
            }
        }
        page.next.filter(|next| !is_past && next.key == key)
    })
    .await?;
    Ok(found)
}

/// A version of one key.
#[cfg(feature = "store")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// The version.
    pub version_id: String,
    /// Its length in bytes.
    pub size_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(names: &[String], folders: &[&str]) -> VersionPage {
        let entry = |key: &String| Listed::Version {
            key: key.clone(),
            version_id: "v".to_owned(),
            size_bytes: 1,
            modified: None,
        };
        VersionPage {
            entries: names.iter().map(entry).collect(),
            folders: folders.iter().map(ToString::to_string).collect(),
            next: None,
        }
    }

    #[test]
    fn a_listing_has_an_end_in_entries_and_in_bytes() {
        let bounds = Bounds {
            entries: 100,
            name_bytes: 1_000,
            ..Bounds::unknown()
        };
        for (pages, name, fits) in [(10, 5, true), (11, 5, false), (10, 9, true), (10, 10, false)] {
            let mut walk = Walk::below("k", bounds);
            let names = vec!["k".repeat(name); 10];
            let taken: Result<Vec<VersionPage>, _> =
                (0..pages).map(|_| walk.take(page(&names, &[]))).collect();
            assert_eq!(taken.is_ok(), fits, "{pages} pages of names of {name}");
        }
        let mut walk = Walk::below("", Bounds::unknown());
        walk.take(page(&["k".repeat(MAX_NAME_BYTES)], &[])).unwrap();
        let longer = page(&["k".repeat(MAX_NAME_BYTES + 1)], &[]);
        assert!(matches!(walk.take(longer), Err(S3Error::Malformed(_))));
    }

    #[test]
    fn folders_are_bounded_and_lie_below_the_prefix() {
        let bounds = Bounds {
            entries: 3,
            ..Bounds::unknown()
        };
        let mut walk = Walk::below("p/", bounds);
        walk.take(page(&[], &["p/a/", "p/b/"])).unwrap();
        walk.take(page(&[], &["p/c/"])).unwrap();
        assert!(walk.take(page(&[], &["p/d/"])).is_err());
        let long = format!("p/{}/", "x".repeat(MAX_NAME_BYTES));
        assert!(page(&[], &[&long]).follows("p/", None).is_err());
        let from = PageMarker {
            key: "p/b/x".to_owned(),
            version_id: None,
        };
        for (folder, fits) in [("p/b/", true), ("p/c/", true), ("p/a/", false), ("q/c/", false)] {
            let followed = page(&[], &[folder]).follows("p/", Some(&from));
            assert_eq!(followed.is_ok(), fits, "{folder}");
        }
    }
}
