//! Listings with an end: each page goes on behind the one before, says so, and there are only so many. A listing that ends
//! early looks like any other; so nothing counts as lost only because it is not listed.

use std::time::Duration;

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;

use super::{S3Bucket, answers::Bounded, failed, text, time};
use crate::{
    client::pause,
    recover::bucket::{BucketError, Version},
};

/// What a listing may have.
#[derive(Debug, Clone, Copy)]
struct Most {
    /// Versions.
    entries: usize,
    /// Letters of their keys and version ids together.
    bytes: usize,
}

/// A source of some 100 TiB has so many, and its names are shorter by half.
const MOST: Most = Most {
    entries: 8_000_000,
    bytes: 2 << 30,
};
/// Sources below a prefix, at most.
const MAX_FOLDERS: usize = 100_000;
/// No key is longer (Amazon S3, object key naming), and no version id.
const MAX_NAME_BYTES: usize = 1_024;
/// A store may give fewer than the thousand entries a page that it is asked for.
const MAX_PAGES: usize = 1_000_000;
/// An answer that makes no sense may be something's in between: the page is asked for so often.
const ATTEMPTS: u32 = 4;

/// Where a page begins: behind this key, or within it behind this version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    key: String,
    version: Option<String>,
}

impl S3Bucket {
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Version>, BucketError> {
        let mut listed = Listed::new(MOST);
        self.each_page(prefix, None, |page| listed.take(entries(page), prefix))
            .await?;
        Ok(listed.versions)
    }

    pub(super) async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let mut folders = Vec::new();
        self.each_page(prefix, Some("/"), |page| {
            let found = page.common_prefixes().iter().filter_map(|folder| folder.prefix());
            take_folders(&mut folders, found, prefix)
        })
        .await?;
        folders.sort_unstable();
        folders.dedup();
        Ok(folders)
    }

    async fn each_page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        mut take: impl FnMut(&ListObjectVersionsOutput) -> Result<(), BucketError>,
    ) -> Result<(), BucketError> {
        let mut from: Option<Place> = None;
        for _ in 0..MAX_PAGES {
            let page = self.page(prefix, delimiter, from.as_ref()).await?;
            let next = follows(&page, prefix, from.as_ref())?;
            take(&page)?;
            if next.is_none() {
                return Ok(());
            }
            from = next;
        }
        Err(malformed(format!("a listing of {prefix}* does not end")))
    }

    async fn page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        from: Option<&Place>,
    ) -> Result<ListObjectVersionsOutput, BucketError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let page = self
                .client
                .list_object_versions()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_delimiter(delimiter.map(str::to_owned))
                .set_key_marker(from.map(|from| from.key.clone()))
                .set_version_id_marker(from.and_then(|from| from.version.clone()));
            let page = page.customize().interceptor(Bounded::Answers);
            match page.send().await.map_err(failed) {
                Err(BucketError::Malformed(error)) if attempt < ATTEMPTS => {
                    tracing::debug!(prefix, attempt, error, "a listing made no sense; trying again");
                    tokio::time::sleep(pause(attempt).min(Duration::from_secs(5))).await;
                }
                done => return done,
            }
        }
    }
}

/// Takes the folders of a page, unless there are more than a prefix may have.
fn take_folders<'p>(
    folders: &mut Vec<String>,
    page: impl Iterator<Item = &'p str>,
    prefix: &str,
) -> Result<(), BucketError> {
    for name in page.filter_map(|folder| folder.strip_prefix(prefix)) {
        if folders.len() >= MAX_FOLDERS || name.len() > MAX_NAME_BYTES {
            return Err(malformed(format!(
                "below {prefix} are more than {MAX_FOLDERS} folders, or one whose name has more than {MAX_NAME_BYTES} bytes"
            )));
        }
        folders.push(name.trim_end_matches('/').to_owned());
    }
    Ok(())
}

/// Versions, as far as they are listed.
struct Listed {
    versions: Vec<Version>,
    bytes: usize,
    most: Most,
}

impl Listed {
    const fn new(most: Most) -> Self {
        Self {
            versions: Vec::new(),
            bytes: 0,
            most,
        }
    }

    /// Takes those of a page, unless there are more than a listing may have.
    fn take(&mut self, page: impl Iterator<Item = Version>, prefix: &str) -> Result<(), BucketError> {
        for version in page {
            let longest = version.key.len().max(version.version_id.len());
            if longest > MAX_NAME_BYTES {
                return Err(malformed(format!(
                    "a listing of {prefix}* has a name of {longest} bytes; S3 has none of more than {MAX_NAME_BYTES}"
                )));
            }
            self.bytes += version.key.len() + version.version_id.len();
            let Most { entries, bytes } = self.most;
            if self.versions.len() >= entries || self.bytes > bytes {
                return Err(malformed(format!(
                    "a listing of {prefix}* has more than {entries} entries or {bytes} bytes of names: it is no source's"
                )));
            }
            self.versions.push(version);
        }
        Ok(())
    }
}

fn malformed(what: String) -> BucketError {
    BucketError::Malformed(what)
}

/// Where the next page begins, if there is one, and whether this page answers what was asked for.
fn follows(
    page: &ListObjectVersionsOutput,
    prefix: &str,
    from: Option<&Place>,
) -> Result<Option<Place>, BucketError> {
    let start = from.map_or("", |from| from.key.as_str());
    let versions = page.versions().iter().map(|version| version.key());
    let markers = page.delete_markers().iter().map(|marker| marker.key());
    let folders = page.common_prefixes().iter().map(|folder| folder.prefix());
    for key in versions
        .chain(markers)
        .chain(folders)
        .map(Option::unwrap_or_default)
    {
        // What the last page ended with may go on, and some stores list it again at the seam.
        if !key.starts_with(prefix) || (key < start && !start.starts_with(key)) {
            return Err(malformed(format!(
                "a listing of {prefix}* from `{start}` on has `{key}`"
            )));
        }
    }
    if !page.is_truncated().unwrap_or(false) {
        return Ok(None);
    }
    let next = Place {
        key: text(page.next_key_marker()),
        version: page
            .next_version_id_marker()
            .filter(|id| !id.is_empty())
            .map(str::to_owned),
    };
    let goes_on = match from {
        None => !next.key.is_empty(),
        Some(from) => next.key > from.key || (next.key == from.key && next.version != from.version),
    };
    if goes_on {
        Ok(Some(next))
    } else {
        Err(malformed(format!(
            "a listing of {prefix}* is cut off at `{start}` and goes on at `{}`",
            next.key
        )))
    }
}

fn entries(page: &ListObjectVersionsOutput) -> impl Iterator<Item = Version> {
    let versions = page.versions().iter().map(|version| Version {
        key: text(version.key()),
        version_id: text(version.version_id()),
        size_bytes: version
            .size()
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(0),
        modified: time(version.last_modified()),
        is_marker: false,
    });
    let markers = page.delete_markers().iter().map(|marker| Version {
        key: text(marker.key()),
        version_id: text(marker.version_id()),
        size_bytes: 0,
        modified: time(marker.last_modified()),
        is_marker: true,
    });
    versions.chain(markers)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn versions(count: usize, name: usize) -> impl Iterator<Item = Version> {
        (0..count).map(move |_| Version {
            key: "k".repeat(name),
            version_id: "v".to_owned(),
            size_bytes: 1,
            modified: Timestamp::UNIX_EPOCH,
            is_marker: false,
        })
    }

    #[test]
    fn a_listing_has_an_end_in_entries_and_in_bytes() {
        let most = Most {
            entries: 100,
            bytes: 1_000,
        };
        for (pages, name, fits) in [(10, 5, true), (11, 5, false), (10, 9, true), (10, 10, false)] {
            let mut listed = Listed::new(most);
            let taken: Result<Vec<()>, _> = (0..pages)
                .map(|_| listed.take(versions(10, name), "p/"))
                .collect();
            assert_eq!(taken.is_ok(), fits, "{pages} pages of names of {name}");
            assert!(listed.versions.len() <= most.entries);
        }
        let mut listed = Listed::new(MOST);
        listed.take(versions(1, MAX_NAME_BYTES), "").unwrap();
        assert!(matches!(
            listed.take(versions(1, MAX_NAME_BYTES + 1), ""),
            Err(BucketError::Malformed(_))
        ));
    }

    #[test]
    fn sources_below_a_prefix_have_an_end() {
        let mut folders = Vec::new();
        take_folders(&mut folders, ["p/a/", "p/b/", "q/c/"].into_iter(), "p/").unwrap();
        assert_eq!(folders, ["a", "b"]);
        let many = std::iter::repeat_n("p/x/", MAX_FOLDERS - 2);
        take_folders(&mut folders, many, "p/").unwrap();
        assert!(take_folders(&mut folders, ["p/y/"].into_iter(), "p/").is_err());
        assert_eq!(folders.len(), MAX_FOLDERS);
        let long = format!("p/{}/", "x".repeat(MAX_NAME_BYTES));
        assert!(take_folders(&mut Vec::new(), [long.as_str()].into_iter(), "p/").is_err());
    }
}
