//! Retention and legal hold of versions.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Lockbox;
use super::download::{is_marker, missing};
use crate::error::Fault;
use crate::lock::{LockState, Retention, bucket_without_lock, hold_status, parse_hold};
use crate::store::find::{by_id, existing_bucket, latest};
use crate::store::index::{Tx, View};
use crate::store::record::Version;
use crate::version::VersionRef;

/// Which version an operation on locks is about.
struct Target {
    bucket: String,
    key: String,
    version: Option<VersionRef>,
}

impl Target {
    fn parse(bucket: String, key: String, version_id: Option<&str>) -> S3Result<Self> {
        Ok(Self {
            bucket,
            key,
            version: VersionRef::parse_opt(version_id)?,
        })
    }

    fn lock(&self, view: &View) -> Result<LockState, Fault> {
        self.check_bucket(existing_bucket(&view.buckets, &self.bucket)?.object_lock)?;
        let version = match self.version {
            Some(id) => by_id(&view.versions, &self.bucket, &self.key, id)?,
            None => latest(&view.versions, &self.bucket, &self.key)?,
        };
        self.object(version.as_ref())
    }

    /// Changes the lock of the version, if `change` allows.
    fn change(
        &self,
        tx: &mut Tx<'_>,
        change: impl FnOnce(&mut LockState) -> S3Result<()>,
    ) -> Result<(), Fault> {
        self.check_bucket(existing_bucket(&tx.buckets, &self.bucket)?.object_lock)?;
        let mut version = match self.version {
            Some(id) => by_id(&tx.versions, &self.bucket, &self.key, id)?,
            None => latest(&tx.versions, &self.bucket, &self.key)?,
        };
        let mut lock = self.object(version.as_ref())?;
        change(&mut lock)?;
        if let Some(version) = &mut version
            && let Some(object) = &mut version.object
        {
            object.lock = lock;
            tx.put_version(&self.bucket, &self.key, version)?;
        }
        Ok(())
    }

    fn check_bucket(&self, object_lock: bool) -> S3Result<()> {
        if object_lock {
            Ok(())
        } else {
            Err(bucket_without_lock())
        }
    }

    fn object(&self, version: Option<&Version>) -> Result<LockState, Fault> {
        let version = version.ok_or_else(|| missing(self.version))?;
        match &version.object {
            Some(object) => Ok(object.lock),
            None => Err(is_marker(version, self.version.is_some()).into()),
        }
    }
}

fn never_set() -> s3s::S3Error {
    s3_error!(
        NoSuchObjectLockConfiguration,
        "The specified object does not have a ObjectLock configuration"
    )
}

impl Lockbox {
    pub(super) async fn get_object_retention(
        &self,
        req: S3Request<GetObjectRetentionInput>,
    ) -> S3Result<GetObjectRetentionOutput> {
        let input = req.input;
        let target = Target::parse(input.bucket, input.key, input.version_id.as_deref())?;
        let lock = self.store.read(move |view| target.lock(view)).await?;
        let retention = lock.retention.ok_or_else(never_set)?;
        Ok(GetObjectRetentionOutput {
            retention: Some(ObjectLockRetention {
                mode: Some(retention.mode.element()),
                retain_until_date: Some(retention.until.timestamp()),
            }),
        })
    }

    pub(super) async fn put_object_retention(
        &self,
        req: S3Request<PutObjectRetentionInput>,
    ) -> S3Result<PutObjectRetentionOutput> {
        let input = req.input;
        let now = self.now();
        let element = input.retention.ok_or_else(|| s3_error!(MalformedXML))?;
        let asked = Retention::from_element(&element, now)?;
        let bypass = input.bypass_governance_retention.unwrap_or(false);
        let target = Target::parse(input.bucket, input.key, input.version_id.as_deref())?;
        self.store
            .write(move |tx| {
                target.change(tx, |lock| {
                    lock.check_retention(asked, now, bypass)?;
                    lock.retention = asked;
                    Ok(())
                })
            })
            .await?;
        Ok(PutObjectRetentionOutput::default())
    }

    pub(super) async fn get_object_legal_hold(
        &self,
        req: S3Request<GetObjectLegalHoldInput>,
    ) -> S3Result<GetObjectLegalHoldOutput> {
        let input = req.input;
        let target = Target::parse(input.bucket, input.key, input.version_id.as_deref())?;
        let lock = self.store.read(move |view| target.lock(view)).await?;
        let on = lock.legal_hold.ok_or_else(never_set)?;
        Ok(GetObjectLegalHoldOutput {
            legal_hold: Some(ObjectLockLegalHold {
                status: Some(hold_status(on)),
            }),
        })
    }

    pub(super) async fn put_object_legal_hold(
        &self,
        req: S3Request<PutObjectLegalHoldInput>,
    ) -> S3Result<PutObjectLegalHoldOutput> {
        let input = req.input;
        let status = input
            .legal_hold
            .and_then(|hold| hold.status)
            .ok_or_else(|| s3_error!(MalformedXML))?;
        let on = parse_hold(status.as_str()).ok_or_else(|| s3_error!(MalformedXML))?;
        let target = Target::parse(input.bucket, input.key, input.version_id.as_deref())?;
        self.store
            .write(move |tx| {
                target.change(tx, |lock| {
                    lock.legal_hold = Some(on);
                    Ok(())
                })
            })
            .await?;
        Ok(PutObjectLegalHoldOutput::default())
    }
}
