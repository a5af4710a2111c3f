//! One page of a listing of versions. What a page says is compared with what was asked for: a store that repeats a page,
//! jumps back, or does not say how to go on would otherwise be listed for ever, or be taken for empty.

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;

use super::{AwsStore, failed};
use crate::s3::{Listed, PageMarker, S3Error, VersionPage};

/// Entries that are asked for in one page, and the most that S3 gives (Amazon S3 API, ListObjectVersions, `max-keys`).
const PAGE_ENTRIES: i32 = 1_000;
/// More than this in one page is no answer to that.
const MAX_PAGE_ENTRIES: usize = 10_000;

impl AwsStore {
    /// Lists; see [`crate::s3::ObjectStore::list_versions`].
    pub(super) async fn list_page(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&PageMarker>,
    ) -> Result<VersionPage, S3Error> {
        let page = self
            .client
            .list_object_versions()
            .bucket(bucket)
            .prefix(prefix)
            .max_keys(PAGE_ENTRIES)
            .set_key_marker(from.map(|from| from.key.clone()))
            .set_version_id_marker(from.and_then(|from| from.version_id.clone()))
            .send()
            .await
            .map_err(failed)?;
        let page = VersionPage {
            entries: entries(&page)?,
            next: next(&page)?,
        };
        page.follows(prefix, from)?;
        Ok(page)
    }
}

fn entries(page: &ListObjectVersionsOutput) -> Result<Vec<Listed>, S3Error> {
    let count = page.versions().len() + page.delete_markers().len();
    if count > MAX_PAGE_ENTRIES {
        return Err(S3Error::Malformed(format!(
            "a page of a listing with too many entries: {count}"
        )));
    }
    let unnamed = || S3Error::Malformed("a listing has an entry without key or version".into());
    let name = |key: Option<&str>, version: Option<&str>| {
        let (key, version) = key.zip(version).ok_or_else(unnamed)?;
        Ok::<_, S3Error>((key.to_owned(), version.to_owned()))
    };
    let mut entries = Vec::with_capacity(count);
    for version in page.versions() {
        let (key, version_id) = name(version.key(), version.version_id())?;
        entries.push(Listed::Version {
            key,
            version_id,
            size_bytes: version
                .size()
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(0),
        });
    }
    for marker in page.delete_markers() {
        let (key, version_id) = name(marker.key(), marker.version_id())?;
        entries.push(Listed::Marker { key, version_id });
    }
    Ok(entries)
}

fn next(page: &ListObjectVersionsOutput) -> Result<Option<PageMarker>, S3Error> {
    if !page.is_truncated().unwrap_or(false) {
        return Ok(None);
    }
    let key = page.next_key_marker().filter(|key| !key.is_empty());
    let key = key
        .ok_or_else(|| S3Error::Malformed("a listing is cut off and does not say where it goes on".into()))?;
    Ok(Some(PageMarker {
        key: key.to_owned(),
        version_id: page
            .next_version_id_marker()
            .filter(|id| !id.is_empty())
            .map(str::to_owned),
    }))
}
