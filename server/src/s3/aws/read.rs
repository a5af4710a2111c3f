//! Reading one version.

use aws_sdk_s3::{operation::get_object::GetObjectOutput, types::ServerSideEncryption};

use super::{AwsStore, failed, root_cause};
use crate::s3::{S3Error, content_md5};

impl AwsStore {
    /// Reads; see [`crate::s3::ObjectStore::get`].
    pub(super) async fn read_whole(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, S3Error> {
        let get = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .version_id(version);
        let mut answer = get.send().await.map_err(failed)?;
        if answer.version_id().is_some_and(|id| id != version) {
            return Err(S3Error::Malformed(format!(
                "another version of {key} than {version}"
            )));
        }
        let expected = plain_md5(&answer);
        let mut body = Vec::new();
        while let Some(part) = answer
            .body
            .try_next()
            .await
            .map_err(|error| S3Error::Unreachable(root_cause(&error)))?
        {
            body.extend_from_slice(&part);
            if body.len() as u64 > limit_bytes {
                let key = key.to_owned();
                return Err(S3Error::TooLong { key, limit_bytes });
            }
        }
        match expected {
            Some(md5) if content_md5(&body) != md5 => Err(S3Error::Malformed(format!(
                "{key}: {} of content that are not what the ETag says",
                body.len()
            ))),
            _ => Ok(body),
        }
    }
}

/// The content's MD5 as the ETag shows it: of a plain PUT, without KMS keys and without keys of the client's (Amazon S3 API,
/// Object, `ETag`).
fn plain_md5(answer: &GetObjectOutput) -> Option<[u8; 16]> {
    let is_plain = matches!(
        answer.server_side_encryption(),
        None | Some(ServerSideEncryption::Aes256)
    ) && answer.sse_customer_algorithm().is_none();
    let etag = answer.e_tag().filter(|_| is_plain)?.trim_matches('"');
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(etag.as_bytes()).ok()?;
    bytes.try_into().ok()
}
