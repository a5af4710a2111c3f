//! HEAD of one version.

use aws_sdk_s3::types::{ObjectLockMode, ServerSideEncryption};
use jiff::Timestamp;
use shared::retention::LockMode;

use crate::{
    client::S3Client,
    error::{S3Error, failed},
    list::ListRequest,
    version::{Lock, VersionHead},
};

impl S3Client {
    /// HEAD of one version, or of the newest; `None` where S3 says that there is none or that a delete marker hides it. One such
    /// answer is no proof: a listing of the key tells more.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<VersionHead>, S3Error> {
        let head = self
            .client
            .head_object()
            .bucket(bucket)
            .key(key)
            .set_version_id(version.map(str::to_owned));
        let answer = match head.send().await.map_err(failed) {
            Ok(answer) => answer,
            // 405: the named version is a delete marker (Amazon S3 API, HeadObject).
            Err(S3Error::Refused {
                status: 404 | 405, ..
            }) => return Ok(None),
            // 400: the id is none that S3 gives out (Amazon S3, "Invalid version id specified").
            // An expired token and a wrong region are 400 as well: the listing says which.
            Err(refused @ S3Error::Refused { status: 400, .. }) if version.is_some() => {
                return match self.named(bucket, key, refused).await {
                    named if named.code().is_empty() => Ok(None),
                    named => Err(named),
                };
            }
            Err(refused @ S3Error::Refused { status: 403, .. }) if refused.code().is_empty() => {
                return Err(self.named(bucket, key, refused).await);
            }
            Err(error) => return Err(error),
        };
        let mode = match answer.object_lock_mode() {
            Some(ObjectLockMode::Compliance) => Some(LockMode::Compliance),
            Some(ObjectLockMode::Governance) => Some(LockMode::Governance),
            _ => None,
        };
        let retain_until = answer
            .object_lock_retain_until_date()
            .and_then(|date| Timestamp::from_second(date.secs()).ok());
        Ok(Some(VersionHead {
            version_id: answer.version_id().or(version).unwrap_or("null").to_owned(),
            size_bytes: answer
                .content_length()
                .and_then(|length| u64::try_from(length).ok())
                .ok_or_else(|| S3Error::Malformed("a HEAD without Content-Length".into()))?,
            kms: matches!(
                answer.server_side_encryption(),
                Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
            ),
            etag: answer.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
            lock: mode
                .zip(retain_until)
                .map(|(mode, retain_until)| Lock { mode, retain_until }),
        }))
    }

    /// What a HEAD was refused for. Its answer has no body and so no code: an account that was closed, keys that were taken away and
    /// a clock that is wrong look like a missing permission there. A listing of the key is refused for the same, with the code.
    async fn named(&self, bucket: &str, key: &str, refused: S3Error) -> S3Error {
        let listing = ListRequest {
            bucket,
            prefix: key,
            delimiter: None,
            from: None,
            page_entries: 1,
        };
        match self.list(&listing).await {
            Err(named @ S3Error::Refused { .. }) if !named.code().is_empty() => named,
            _ => refused,
        }
    }
}
