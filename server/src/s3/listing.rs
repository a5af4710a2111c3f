//! Listings, page by page, with an end: each page must go on behind the one before, and there are only so many.

use std::{collections::HashSet, time::Duration};

use super::{Listed, ObjectStore, PageMarker, S3Error, VersionPage};

/// Entries beyond what is expected: delete markers, versions put twice, strangers.
const SPARE_ENTRIES: u64 = 100_000;
/// How many times as many as expected.
const TIMES: u64 = 4;
/// Where nothing is known of what there should be: more than that no source can have.
const UNKNOWN_ENTRIES: u64 = 20_000_000;
/// A store may give fewer entries a page than it is asked for; on the average it gives this many, after the first pages.
const LEAST_PAGE: u64 = 10;
const SPARE_PAGES: u64 = 100;
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

    fn of(entries: u64) -> Self {
        let thousands = u32::try_from(entries / 1_000).unwrap_or(u32::MAX);
        Self {
            entries,
            pages: entries / LEAST_PAGE + SPARE_PAGES,
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
}

/// A listing under way: each page must go on behind the one before, and there are only so many.
#[derive(Debug)]
pub struct Walk<'a> {
    prefix: &'a str,
    bounds: Bounds,
    from: Option<PageMarker>,
    pages: u64,
    entries: u64,
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
            within: HashSet::new(),
        }
    }

    /// The next page.
    ///
    /// # Errors
    /// When the store cannot be asked, or lists what makes no sense, or more than the bounds.
    pub async fn page(&mut self, store: &dyn ObjectStore, bucket: &str) -> Result<VersionPage, S3Error> {
        let prefix = self.prefix;
        let page = store.list_versions(bucket, prefix, self.from.as_ref()).await?;
        page.follows(prefix, self.from.as_ref())?;
        self.pages += 1;
        self.entries += page.entries.len() as u64;
        if self.entries > self.bounds.entries || self.pages > self.bounds.pages {
            return Err(S3Error::Malformed(format!(
                "a listing of {prefix}* does not end: {} entries in {} pages, far more than is known of",
                self.entries, self.pages
            )));
        }
        Ok(page)
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
    match tokio::time::timeout(bounds.time, walk).await {
        Ok(outcome) => outcome,
        Err(_) => Err(S3Error::Malformed(format!(
            "a listing of {prefix}* did not end within {} s",
            bounds.time.as_secs()
        ))),
    }
}

/// The versions under exactly this key, newest first, as they are listed. Markers are left out.
///
/// # Errors
/// See [`each_page`].
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// The version.
    pub version_id: String,
    /// Its length in bytes.
    pub size_bytes: u64,
}
