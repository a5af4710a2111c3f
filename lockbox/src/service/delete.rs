//! DeleteObject and DeleteObjects.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Lockbox;
use super::condition::{WriteCondition, failed};
use super::put::insert;
use crate::clock::Millis;
use crate::error::Fault;
use crate::faults::RowFaults;
use crate::store::find::{by_id, existing_bucket, latest};
use crate::store::index::Tx;
use crate::store::record::{Bucket as BucketRecord, Versioning};
use crate::version::VersionRef;

/// AWS: "a list of up to 1,000 keys".
const LONGEST_BATCH: usize = 1000;

/// What one deletion did.
#[derive(Default)]
struct Deleted {
    /// The version that was removed, or the marker that was added.
    version_id: Option<String>,
    /// It was, or is, a delete marker.
    marker: bool,
}

struct Deletion<'a> {
    bucket: &'a str,
    key: &'a str,
    version: Option<VersionRef>,
    if_match: Option<&'a ETagCondition>,
    bypass: bool,
    now: Millis,
}

impl Lockbox {
    pub(super) async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<DeleteObjectOutput> {
        let input = req.input;
        if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "conditions other than If-Match are not supported"
            ));
        }
        let version = VersionRef::parse_opt(input.version_id.as_deref())?;
        let now = self.now();
        let deleted = self
            .store
            .write(move |tx| {
                let record = existing_bucket(&tx.buckets, &input.bucket)?;
                let deletion = Deletion {
                    bucket: &input.bucket,
                    key: &input.key,
                    version,
                    if_match: input.if_match.as_ref(),
                    bypass: input.bypass_governance_retention.unwrap_or(false),
                    now,
                };
                deletion.run(tx, &record)
            })
            .await?;
        Ok(DeleteObjectOutput {
            delete_marker: deleted.marker.then_some(true),
            version_id: deleted.version_id,
            ..Default::default()
        })
    }

    /// Each key is decided for itself; a refusal is a row of the answer, which is a 200.
    pub(super) async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<DeleteObjectsOutput> {
        let rows = req.extensions.get::<RowFaults>().cloned().unwrap_or_default();
        let input = req.input;
        let count = input.delete.objects.len();
        if count == 0 || count > LONGEST_BATCH {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema"
            ));
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let bypass = input.bypass_governance_retention.unwrap_or(false);
        let now = self.now();
        self.store
            .write(move |tx| {
                let record = existing_bucket(&tx.buckets, &input.bucket)?;
                let (mut done, mut errors) = (Vec::new(), Vec::new());
                for object in input.delete.objects {
                    if let Some(code) = rows.code(&object.key) {
                        errors.push(error_row(object, code, Some("a fault on purpose")));
                        continue;
                    }
                    match delete_row(tx, &input.bucket, &record, &object, bypass, now) {
                        Ok(deleted) if !quiet => done.push(done_row(object, deleted)),
                        Ok(_) => {}
                        Err(Fault::Refused(error)) => {
                            errors.push(error_row(object, error.code().as_str(), error.message()));
                        }
                        Err(fault) => return Err(fault),
                    }
                }
                Ok(DeleteObjectsOutput {
                    deleted: (!done.is_empty()).then_some(done),
                    errors: (!errors.is_empty()).then_some(errors),
                    request_charged: None,
                })
            })
            .await
    }
}

fn delete_row(
    tx: &mut Tx<'_>,
    bucket: &str,
    record: &BucketRecord,
    object: &ObjectIdentifier,
    bypass: bool,
    now: Millis,
) -> Result<Deleted, Fault> {
    if object.e_tag.is_some() || object.last_modified_time.is_some() || object.size.is_some() {
        return Err(s3_error!(NotImplemented, "conditional batch deletes are not supported").into());
    }
    if object.key.is_empty() || object.key.len() > 1024 {
        return Err(s3_error!(KeyTooLongError, "Your key is empty or too long").into());
    }
    // As Amazon answers in a batch for an id that it never gave; a single DeleteObject says InvalidArgument.
    let version = VersionRef::parse_opt(object.version_id.as_deref().filter(|id| !id.is_empty()))
        .map_err(|_| s3_error!(NoSuchVersion, "The specified version does not exist."))?;
    Deletion {
        bucket,
        key: &object.key,
        version,
        if_match: None,
        bypass,
        now,
    }
    .run(tx, record)
}

fn done_row(object: ObjectIdentifier, deleted: Deleted) -> DeletedObject {
    let Deleted { version_id, marker } = deleted;
    DeletedObject {
        delete_marker: marker.then_some(true),
        delete_marker_version_id: version_id.filter(|_| marker),
        key: Some(object.key),
        version_id: object.version_id,
    }
}

fn error_row(object: ObjectIdentifier, code: &str, message: Option<&str>) -> Error {
    Error {
        code: Some(code.to_owned()),
        key: Some(object.key),
        message: message.map(str::to_owned),
        version_id: object.version_id,
    }
}

impl Deletion<'_> {
    fn run(&self, tx: &mut Tx<'_>, record: &BucketRecord) -> Result<Deleted, Fault> {
        match self.version {
            Some(id) => self.remove(tx, id),
            None => self.cover(tx, record),
        }
    }

    /// Removes one version for good, if its lock allows. That there is no such version is fine.
    fn remove(&self, tx: &mut Tx<'_>, id: VersionRef) -> Result<Deleted, Fault> {
        let version_id = Some(id.to_string());
        let Some(version) = by_id(&tx.versions, self.bucket, self.key, id)? else {
            return Ok(Deleted {
                version_id,
                marker: false,
            });
        };
        if let Some(object) = &version.object {
            self.check_etag(Some(&object.etag))?;
            object.lock.check_delete(self.now, self.bypass)?;
        }
        tx.remove_version(self.bucket, self.key, &version)?;
        Ok(Deleted {
            version_id,
            marker: version.object.is_none(),
        })
    }

    /// A delete without a version: a marker on top, or in a bucket that never had versions the end
    /// of the one object.
    fn cover(&self, tx: &mut Tx<'_>, record: &BucketRecord) -> Result<Deleted, Fault> {
        let current = latest(&tx.versions, self.bucket, self.key)?;
        let object = current.as_ref().and_then(|version| version.object.as_deref());
        self.check_etag(object.map(|object| object.etag.as_str()))?;
        if record.versioning == Versioning::Off {
            if let Some(version) = &current {
                if let Some(object) = object {
                    object.lock.check_delete(self.now, self.bypass)?;
                }
                tx.remove_version(self.bucket, self.key, version)?;
            }
            return Ok(Deleted::default());
        }
        let always = WriteCondition::Always;
        let marker = insert(tx, self.bucket, record, self.key, None, &always, self.now)?;
        Ok(Deleted {
            version_id: marker.header(),
            marker: true,
        })
    }

    fn check_etag(&self, etag: Option<&str>) -> S3Result<()> {
        match (self.if_match, etag) {
            (None, _) | (Some(ETagCondition::Any), Some(_)) => Ok(()),
            (Some(ETagCondition::ETag(wanted)), Some(etag)) if wanted.value() == etag => Ok(()),
            (Some(_), Some(_)) => Err(failed()),
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
        }
    }
}
