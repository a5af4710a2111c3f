//! Deleting versions, many in one call.

use std::collections::HashMap;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::{
    client::S3Client,
    error::{S3Error, failed},
    version::VersionName,
};

/// What became of a version that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// S3 says that it is deleted. It says so too of one that was deleted before.
    Deleted,
    /// S3 knows no such version (`NoSuchVersion`, `NoSuchKey`). That is no proof that the object is gone: it says so of an id
    /// that it never gave.
    Unknown,
}

impl S3Client {
    /// One DeleteObjects. The answer is a 200 with a row for each version, told apart by key and version.
    pub(crate) async fn delete_some(
        &self,
        bucket: &str,
        versions: &[VersionName],
    ) -> Result<Vec<Result<Deletion, S3Error>>, S3Error> {
        let malformed = |error: aws_sdk_s3::error::BuildError| S3Error::Unaskable(error.to_string());
        let mut delete = Delete::builder().quiet(false);
        for version in versions {
            let object = ObjectIdentifier::builder()
                .key(&version.key)
                .version_id(&version.version_id);
            delete = delete.objects(object.build().map_err(malformed)?);
        }
        let answer = self
            .client
            .delete_objects()
            .bucket(bucket)
            .delete(delete.build().map_err(malformed)?)
            .send()
            .await
            .map_err(failed)?;
        let name = |key: Option<&str>, version: Option<&str>| {
            (
                key.unwrap_or_default().to_owned(),
                version.unwrap_or_default().to_owned(),
            )
        };
        let mut told: HashMap<(String, String), Result<Deletion, S3Error>> = answer
            .deleted()
            .iter()
            .map(|deleted| (name(deleted.key(), deleted.version_id()), Ok(Deletion::Deleted)))
            .collect();
        told.extend(answer.errors().iter().map(|error| {
            let outcome = match error.code().unwrap_or_default() {
                "NoSuchVersion" | "NoSuchKey" => Ok(Deletion::Unknown),
                code => Err(S3Error::Refused {
                    code: code.to_owned(),
                    status: 200,
                    message: error.message().unwrap_or("no message").to_owned(),
                }),
            };
            (name(error.key(), error.version_id()), outcome)
        }));
        Ok(versions
            .iter()
            .map(|version| {
                let outcome = told.remove(&(version.key.clone(), version.version_id.clone()));
                let silent = || {
                    S3Error::Malformed(format!(
                        "nothing was said of {} {}",
                        version.key, version.version_id
                    ))
                };
                outcome.unwrap_or_else(|| Err(silent()))
            })
            .collect())
    }
}
