//! One page of a listing of versions. What a page says is compared with what was asked for: a store that repeats a page,
//! jumps back, or does not say how to go on would otherwise be listed for ever, or be taken for empty.

use aws_sdk_s3::{
    error::{ProvideErrorMetadata as _, SdkError},
    operation::list_object_versions::{ListObjectVersionsError, ListObjectVersionsOutput},
    primitives::DateTime,
};
use jiff::Timestamp;

use crate::{
    client::S3Client,
    error::{S3Error, failed},
    version::{Listed, PageMarker, VersionPage},
};

/// More than this in one page is no answer to that.
const MAX_PAGE_ENTRIES: usize = 10_000;

/// The most entries that S3 gives in one page (Amazon S3 API, ListObjectVersions, `max-keys`).
pub const PAGE_ENTRIES: u16 = 1_000;

/// Which page of a listing of versions is asked for.
#[derive(Debug, Clone, Copy)]
pub struct ListRequest<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// What the keys begin with.
    pub prefix: &'a str,
    /// Keys that go on behind this are told as the folder that they have in common.
    pub delimiter: Option<&'a str>,
    /// Where the page begins; `None` for the first.
    pub from: Option<&'a PageMarker>,
    /// How many entries and folders a page has at most.
    pub page_entries: u16,
}

impl S3Client {
    /// Lists versions and delete markers: one page. It goes on behind `from`, else it is `Malformed`. A [`Walk`](crate::Walk) asks
    /// for more than one, and has an end.
    ///
    /// # Errors
    /// When the store does not answer, refuses, or lists what was not asked for.
    pub async fn list(&self, request: &ListRequest<'_>) -> Result<VersionPage, S3Error> {
        let ListRequest {
            bucket,
            prefix,
            delimiter,
            from,
            page_entries,
        } = *request;
        let mut attempt = 1;
        let page = loop {
            let page = self
                .client
                .list_object_versions()
                .bucket(bucket)
                .prefix(prefix)
                .set_delimiter(delimiter.map(str::to_owned))
                .max_keys(page_entries.into())
                .set_key_marker(from.map(|from| from.key.clone()))
                .set_version_id_marker(from.and_then(|from| from.version_id.clone()))
                .send()
                .await;
            match page {
                Ok(page) => break page,
                // The SDK asks again for what did not come, and for what `answers` refuses; not for XML that does not parse.
                Err(error) if attempt < self.retries.bodies && is_unread(&error) => {
                    tracing::debug!(
                        prefix,
                        attempt,
                        "a page of a listing does not parse: asking again"
                    );
                    tokio::time::sleep((self.retries.pause)(attempt)).await;
                    attempt += 1;
                }
                Err(error) => return Err(failed(error)),
            }
        };
        let page = VersionPage {
            entries: entries(&page)?,
            folders: page
                .common_prefixes()
                .iter()
                .filter_map(|folder| folder.prefix().map(str::to_owned))
                .collect(),
            next: next(&page)?,
        };
        page.follows(prefix, from)?;
        Ok(page)
    }
}

/// Whether an answer came that is no refusal, and did not parse.
fn is_unread(error: &SdkError<ListObjectVersionsError>) -> bool {
    match error {
        SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => answer.raw().status().is_success() && answer.err().code().is_none(),
        _ => false,
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
            modified: time(version.last_modified()),
        });
    }
    for marker in page.delete_markers() {
        let (key, version_id) = name(marker.key(), marker.version_id())?;
        entries.push(Listed::Marker {
            key,
            version_id,
            modified: time(marker.last_modified()),
        });
    }
    Ok(entries)
}

fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    Timestamp::from_second(at?.secs()).ok()
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
