//! The bucket as its owner sees it, with the root keys: what the attacker has.

use anyhow::{Context as _, Result, bail};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation, retry::RetryConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::list_object_versions::ListObjectVersionsOutput,
    primitives::DateTime,
    types::{Delete, ObjectIdentifier, ObjectLockRetention, ObjectLockRetentionMode},
};

use crate::stack::Stack;

/// A bucket, and the power over it.
pub struct Bucket {
    client: Client,
    name: String,
}

/// A version of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The key.
    pub key: String,
    /// The version id.
    pub id: String,
}

/// A version's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// COMPLIANCE; otherwise GOVERNANCE.
    pub compliance: bool,
    /// The date, in seconds since 1970.
    pub until: i64,
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
        let secrets = &stack.plan.secrets;
        Self::at(
            &stack.s3_endpoint(),
            &secrets.s3_access_key,
            &secrets.s3_secret_key,
            name,
        )
    }

    /// A bucket of any S3 endpoint.
    fn at(endpoint: &str, access_key: &str, secret_key: &str, name: &str) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(access_key, secret_key, None, None, "root keys"))
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
            .retry_config(RetryConfig::disabled())
            .build();
        Self {
            client: Client::from_conf(config),
            name: name.to_owned(),
        }
    }

    /// Makes it, without Object Lock.
    pub async fn create_plain(&self) -> Result<()> {
        self.client
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
        let request = self.client.put_bucket_versioning().bucket(&self.name);
        Attempt::of(
            "versioning",
            request.versioning_configuration(configuration).send().await,
        )
    }

    /// Every version, without the delete markers.
    pub async fn versions(&self) -> Result<Vec<Version>> {
        let mut found = Vec::new();
        for page in self.pages().await? {
            for version in page.versions() {
                found.push(Version {
                    key: version.key().context("a version without a key")?.to_owned(),
                    id: version
                        .version_id()
                        .context("a version without an id")?
                        .to_owned(),
                });
            }
        }
        found.sort();
        Ok(found)
    }

    /// How many delete markers there are.
    pub async fn markers(&self) -> Result<usize> {
        Ok(self
            .pages()
            .await?
            .iter()
            .map(|page| page.delete_markers().len())
            .sum())
    }

    async fn pages(&self) -> Result<Vec<ListObjectVersionsOutput>> {
        let mut pages = Vec::new();
        let (mut key, mut id) = (None, None);
        loop {
            let request = self.client.list_object_versions().bucket(&self.name);
            let page = request
                .set_key_marker(key)
                .set_version_id_marker(id)
                .send()
                .await
                .context("listing versions")?;
            let more = page.is_truncated().unwrap_or(false);
            key = page.next_key_marker().map(str::to_owned);
            id = page.next_version_id_marker().map(str::to_owned);
            pages.push(page);
            if !more {
                return Ok(pages);
            }
            if key.is_none() {
                bail!("a list of versions is cut off and does not say where it goes on");
            }
        }
    }

    /// A version's lock, as S3 tells it.
    pub async fn lock(&self, version: &Version) -> Result<Option<Lock>> {
        let head = self
            .client
            .head_object()
            .bucket(&self.name)
            .key(&version.key)
            .version_id(&version.id)
            .send()
            .await
            .with_context(|| format!("HEAD {}", version.key))?;
        Ok(
            match (head.object_lock_mode(), head.object_lock_retain_until_date()) {
                (Some(mode), Some(until)) => Some(Lock {
                    compliance: mode.as_str() == ObjectLockRetentionMode::Compliance.as_str(),
                    until: until.secs(),
                }),
                _ => None,
            },
        )
    }

    /// Deletes one version for good.
    pub async fn delete_version(&self, version: &Version, bypass: bool) -> Result<Attempt> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.name)
            .key(&version.key)
            .version_id(&version.id);
        let request = if bypass {
            request.bypass_governance_retention(true)
        } else {
            request
        };
        Attempt::of("delete version", request.send().await)
    }

    /// Deletes up to 1,000 versions in one call; gives what came of each.
    pub async fn delete_batch(&self, versions: &[Version]) -> Result<Vec<Attempt>> {
        let objects: Result<Vec<_>, _> = versions
            .iter()
            .map(|version| {
                ObjectIdentifier::builder()
                    .key(&version.key)
                    .version_id(&version.id)
                    .build()
            })
            .collect();
        let delete = Delete::builder().set_objects(Some(objects?)).build()?;
        let request = self.client.delete_objects().bucket(&self.name).delete(delete);
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
    pub async fn set_lock(&self, version: &Version, lock: Lock) -> Result<Attempt> {
        let mode = if lock.compliance {
            ObjectLockRetentionMode::Compliance
        } else {
            ObjectLockRetentionMode::Governance
        };
        let retention = ObjectLockRetention::builder()
            .mode(mode)
            .retain_until_date(DateTime::from_secs(lock.until))
            .build();
        self.put_retention(version, retention).await
    }

    /// Takes a version's lock off.
    pub async fn remove_lock(&self, version: &Version) -> Result<Attempt> {
        self.put_retention(version, ObjectLockRetention::builder().build())
            .await
    }

    async fn put_retention(&self, version: &Version, retention: ObjectLockRetention) -> Result<Attempt> {
        let request = self
            .client
            .put_object_retention()
            .bucket(&self.name)
            .key(&version.key)
            .version_id(&version.id);
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
            self.client.delete_bucket().bucket(&self.name).send().await,
        )
    }
}

/// A lockbox with a bucket in it: what the attack is tried on in tests.
#[cfg(test)]
pub mod for_tests {
    use std::{path::Path, process::Command, time::Duration};

    use super::*;
    use crate::{build, clock, process::Managed, stack::port, workspace::Workspace};

    /// Locked for thirty days, or not at all. It lives as long as the process.
    pub async fn bucket_with_objects(
        folder: &Path,
        mode: Option<ObjectLockRetentionMode>,
    ) -> (Bucket, Managed) {
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

        let bucket = Bucket::at(&format!("http://127.0.0.1:{port}"), "root", "secret", "backups");
        let create = bucket
            .client
            .create_bucket()
            .bucket("backups")
            .object_lock_enabled_for_bucket(true);
        create.send().await.unwrap();
        for number in 0..5 {
            let body = aws_sdk_s3::primitives::ByteStream::from_static(b"sealed");
            let mut put = bucket
                .client
                .put_object()
                .bucket("backups")
                .key(format!("pack/{number}"))
                .body(body);
            if let Some(mode) = &mode {
                let until = DateTime::from_secs(clock::unix_seconds() + 30 * 86_400);
                put = put
                    .object_lock_mode(mode.as_str().into())
                    .object_lock_retain_until_date(until);
            }
            put.send().await.unwrap();
        }
        (bucket, lockbox)
    }
}
