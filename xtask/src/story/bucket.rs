//! The bucket as its owner sees it, with the root keys: what the attacker has.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aws_sdk_s3::{
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::{Delete, ObjectIdentifier, ObjectLockRetention, ObjectLockRetentionMode},
};
use bucket::{Bounds, Config, Listed, Lock, Retries, Route, S3Client, Timeouts, VersionName, each_page};
use shared::retention::LockMode;

use crate::stack::Stack;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket, and the power over it.
pub struct Bucket {
    client: S3Client,
    name: String,
}

/// A client of the stack's S3 endpoint, with its root keys.
pub fn root_client(stack: &Stack) -> S3Client {
    let secrets = &stack.plan.secrets;
    client(
        &stack.s3_endpoint(),
        &secrets.s3_access_key,
        &secrets.s3_secret_key,
    )
}

/// Each request is sent once: what comes of it is told as it is.
fn client(endpoint: &str, access_key: &str, secret_key: &str) -> S3Client {
    S3Client::new(Config {
        endpoint: bucket::Endpoint {
            url: Some(endpoint.to_owned()),
            region: "us-east-1".to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned().into(),
            session_token: None,
            path_style: true,
        },
        route: Route::Direct,
        timeouts: Timeouts {
            connect: CONNECT_TIMEOUT,
            read: None,
            attempt: None,
            stalled: CONNECT_TIMEOUT,
        },
        retries: Retries {
            requests: 1,
            backoff: Duration::ZERO,
            bodies: 1,
            pause: |_| Duration::ZERO,
        },
        compare_etags: true,
        clock: None,
        throttle: None,
    })
}

/// What came of an attempt.
pub enum Attempt {
    /// It was done.
    Done,
    /// It was refused, with this code.
    Refused(String),
}

impl Attempt {
    /// A failure to reach S3 is neither.
    fn of<T, E: ProvideErrorMetadata + std::error::Error + 'static>(
        what: &str,
        outcome: Result<T, SdkError<E>>,
    ) -> Result<Self> {
        match outcome {
            Ok(_) => Ok(Self::Done),
            Err(SdkError::ServiceError(error)) => {
                Ok(Self::Refused(error.err().code().unwrap_or("no code").to_owned()))
            }
            Err(error) => {
                bail!("{what}: {}", DisplayErrorContext(&error))
            }
        }
    }
}

impl Bucket {
    /// A bucket of the stack's S3 endpoint, with its root keys.
    pub fn open(stack: &Stack, name: &str) -> Self {
        Self {
            client: root_client(stack),
            name: name.to_owned(),
        }
    }

    /// Makes it, without Object Lock.
    pub async fn create_plain(&self) -> Result<()> {
        self.client
            .raw()
            .create_bucket()
            .bucket(&self.name)
            .send()
            .await
            .context("making a bucket")?;
        Ok(())
    }

    /// Turns versioning on.
    pub async fn enable_versioning(&self) -> Result<()> {
        let attempt = self
            .set_versioning(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
            .await?;
        match attempt {
            Attempt::Done => Ok(()),
            Attempt::Refused(code) => bail!("versioning cannot be enabled: {code}"),
        }
    }

    /// Turns versioning off again.
    pub async fn suspend_versioning(&self) -> Result<Attempt> {
        self.set_versioning(aws_sdk_s3::types::BucketVersioningStatus::Suspended)
            .await
    }

    async fn set_versioning(&self, status: aws_sdk_s3::types::BucketVersioningStatus) -> Result<Attempt> {
        let configuration = aws_sdk_s3::types::VersioningConfiguration::builder()
            .status(status)
            .build();
        let request = self.client.raw().put_bucket_versioning().bucket(&self.name);
        Attempt::of(
            "versioning",
            request.versioning_configuration(configuration).send().await,
        )
    }

    /// Every version, without the delete markers.
    pub async fn versions(&self) -> Result<Vec<VersionName>> {
        let named = |entry| match entry {
            Listed::Version { key, version_id, .. } => Some(VersionName { key, version_id }),
            Listed::Marker { .. } => None,
        };
        let mut found: Vec<VersionName> = self.entries().await?.into_iter().filter_map(named).collect();
        found.sort();
        Ok(found)
    }

    /// How many delete markers there are.
    pub async fn markers(&self) -> Result<usize> {
        let entries = self.entries().await?;
        let markers = entries
            .iter()
            .filter(|entry| matches!(entry, Listed::Marker { .. }));
        Ok(markers.count())
    }

    async fn entries(&self) -> Result<Vec<Listed>> {
        let mut entries = Vec::new();
        each_page(&self.client, &self.name, "", Bounds::unknown(), |page| {
            entries.extend(page.entries);
            page.next
        })
        .await
        .context("listing versions")?;
        Ok(entries)
    }

    /// A version's lock, as S3 tells it.
    pub async fn lock(&self, version: &VersionName) -> Result<Option<Lock>> {
        let head = self
            .client
            .head(&self.name, &version.key, Some(&version.version_id));
        let head = head.await.with_context(|| format!("HEAD {}", version.key))?;
        let head = head.with_context(|| format!("HEAD {}: there is no such version", version.key))?;
        Ok(head.lock)
    }

    /// Deletes one version for good.
    pub async fn delete_version(&self, version: &VersionName, bypass: bool) -> Result<Attempt> {
        let request = self
            .client
            .raw()
            .delete_object()
            .bucket(&self.name)
            .key(&version.key)
            .version_id(&version.version_id);
        let request = if bypass {
            request.bypass_governance_retention(true)
        } else {
            request
        };
        Attempt::of("delete version", request.send().await)
    }

    /// Deletes up to 1,000 versions in one call; gives what came of each.
    pub async fn delete_batch(&self, versions: &[VersionName]) -> Result<Vec<Attempt>> {
        let objects: Result<Vec<_>, _> = versions
            .iter()
            .map(|version| {
                ObjectIdentifier::builder()
                    .key(&version.key)
                    .version_id(&version.version_id)
                    .build()
            })
            .collect();
        let delete = Delete::builder().set_objects(Some(objects?)).build()?;
        let request = self
            .client
            .raw()
            .delete_objects()
            .bucket(&self.name)
            .delete(delete);
        let answer = request
            .bypass_governance_retention(true)
            .send()
            .await
            .context("batch delete")?;
        let refused = answer
            .errors()
            .iter()
            .map(|error| Attempt::Refused(error.code().unwrap_or("no code").to_owned()));
        Ok(refused
            .chain(answer.deleted().iter().map(|_| Attempt::Done))
            .collect())
    }

    /// Sets a version's lock, with leave to bypass what can be bypassed.
    pub async fn set_lock(&self, version: &VersionName, lock: Lock) -> Result<Attempt> {
        let mode = match lock.mode {
            LockMode::Compliance => ObjectLockRetentionMode::Compliance,
            LockMode::Governance => ObjectLockRetentionMode::Governance,
        };
        let retention = ObjectLockRetention::builder()
            .mode(mode)
            .retain_until_date(DateTime::from_secs(lock.retain_until.as_second()))
            .build();
        self.put_retention(version, retention).await
    }

    /// Takes a version's lock off.
    pub async fn remove_lock(&self, version: &VersionName) -> Result<Attempt> {
        self.put_retention(version, ObjectLockRetention::builder().build())
            .await
    }

    async fn put_retention(&self, version: &VersionName, retention: ObjectLockRetention) -> Result<Attempt> {
        let request = self
            .client
            .raw()
            .put_object_retention()
            .bucket(&self.name)
            .key(&version.key)
            .version_id(&version.version_id);
        Attempt::of(
            "set lock",
            request
                .retention(retention)
                .bypass_governance_retention(true)
                .send()
                .await,
        )
    }

    /// Puts something else under a key.
    pub async fn overwrite(&self, key: &str) -> Result<Attempt> {
        let body = aws_sdk_s3::primitives::ByteStream::from_static(b"encrypted by the attacker");
        Attempt::of(
            "overwrite",
            self.client
                .raw()
                .put_object()
                .bucket(&self.name)
                .key(key)
                .body(body)
                .send()
                .await,
        )
    }

    /// Deletes a key, as most programs do.
    pub async fn delete_key(&self, key: &str) -> Result<Attempt> {
        Attempt::of(
            "delete",
            self.client
                .raw()
                .delete_object()
                .bucket(&self.name)
                .key(key)
                .send()
                .await,
        )
    }

    /// Deletes the bucket.
    pub async fn delete(&self) -> Result<Attempt> {
        Attempt::of(
            "delete bucket",
            self.client.raw().delete_bucket().bucket(&self.name).send().await,
        )
    }
}

/// A lockbox with a bucket in it: what the attack is tried on in tests.
#[cfg(test)]
pub mod for_tests {
    use std::{path::Path, process::Command, time::Duration};

    use bucket::{ObjectStore, SignPut, content_md5};
    use jiff::Timestamp;

    use super::*;
    use crate::{build, clock, process::Managed, stack::port, workspace::Workspace};

    /// Locked for thirty days, or not at all. It lives as long as the process.
    pub async fn bucket_with_objects(folder: &Path, mode: Option<LockMode>) -> (Bucket, Managed) {
        let program = build::lockbox(&Workspace::load().unwrap()).await.unwrap();
        let port = port::any().unwrap();
        let mut command = Command::new(program);
        command
            .args(["--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(folder.join("data"))
            .env("LOCKBOX_ACCESS_KEY", "root")
            .env("LOCKBOX_SECRET_KEY", "secret");
        let mut lockbox = Managed::spawn("lockbox", &mut command, &folder.join("log")).unwrap();
        let ready = clock::poll(Duration::from_secs(30), Duration::from_millis(20), async || {
            lockbox.must_run()?;
            Ok(lockbox.has_said("lockbox listening on").then_some(()))
        });
        ready.await.unwrap().unwrap();

        let client = client(&format!("http://127.0.0.1:{port}"), "root", "secret");
        let bucket = Bucket {
            client,
            name: "backups".to_owned(),
        };
        let store: &dyn ObjectStore = &bucket.client;
        store.create_bucket("backups").await.unwrap();
        let until = clock::unix_seconds() + 30 * 86_400;
        for number in 0..5 {
            let key = format!("pack/{number}");
            let body = b"sealed".as_slice();
            let Some(mode) = mode else {
                let put = bucket.client.raw().put_object().bucket("backups").key(key);
                put.body(body.to_vec().into()).send().await.unwrap();
                continue;
            };
            let put = SignPut {
                bucket: "backups",
                key: &key,
                size_bytes: body.len() as u64,
                content_md5: content_md5(body),
                lock: Lock {
                    mode,
                    retain_until: Timestamp::from_second(until).unwrap(),
                },
            };
            store.put_locked(put, body.to_vec()).await.unwrap();
        }
        (bucket, lockbox)
    }
}
