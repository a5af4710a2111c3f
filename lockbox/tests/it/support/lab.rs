//! A lockbox of each test's own with a clock that the test sets, and an SDK client that signs with that clock.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials as Keys, Region, retry::RetryConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    DefaultRetention, Delete, ObjectIdentifier, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockMode,
    ObjectLockRetention, ObjectLockRetentionMode, ObjectLockRule, ObjectVersion, VersioningConfiguration,
};
use aws_smithy_async::time::TimeSource;
use lockbox::{Clock, Config, Credentials, ManualClock, Running};
use tempfile::TempDir;

pub const ACCESS_KEY: &str = "LOCKBOXTESTKEY";
pub const SECRET_KEY: &str = "lockbox/test+secret";
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// A bucket with Object Lock, made by [`Lab::start`].
pub const LOCKED: &str = "locked-bucket";
/// A bucket that never had versions, made by [`Lab::start`].
pub const PLAIN: &str = "plain-bucket";

pub struct Lab {
    pub running: Running,
    pub clock: ManualClock,
    pub s3: Client,
    pub dir: TempDir,
}

#[derive(Debug)]
struct LabTime(ManualClock);

impl TimeSource for LabTime {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

impl Lab {
    pub async fn start() -> Self {
        let lab = Self::empty().await;
        lab.s3
            .create_bucket()
            .bucket(LOCKED)
            .object_lock_enabled_for_bucket(true)
            .send()
            .await
            .unwrap();
        lab.s3.create_bucket().bucket(PLAIN).send().await.unwrap();
        lab
    }

    pub async fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // s3s looks at the machine's clock too: simulated time starts a little ahead of it.
        let (clock, hand) = Clock::manual(Clock::system().now() + Duration::from_secs(60));
        let running = Running::start(config(&dir, clock)).await.unwrap();
        let s3 = client(running.endpoint(), hand.clone());
        Self {
            running,
            clock: hand,
            s3,
            dir,
        }
    }

    /// A date from now on lockbox's clock.
    pub fn ahead(&self, by: Duration) -> DateTime {
        let at = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + by;
        DateTime::from_secs(i64::try_from(at.as_secs()).unwrap())
    }

    pub fn iso_ahead(&self, by: Duration) -> String {
        self.ahead(by)
            .fmt(aws_sdk_s3::primitives::DateTimeFormat::DateTime)
            .unwrap()
    }

    /// A locked version; its id.
    pub async fn put_locked(&self, key: &str, mode: ObjectLockMode, ahead: Duration) -> String {
        let put = self
            .s3
            .put_object()
            .bucket(LOCKED)
            .key(key)
            .body(ByteStream::from_static(b"kept"));
        let put = put
            .object_lock_mode(mode)
            .object_lock_retain_until_date(self.ahead(ahead));
        put.send().await.unwrap().version_id.unwrap()
    }

    pub async fn put(&self, bucket: &str, key: &str, body: &[u8]) -> Option<String> {
        let body = ByteStream::from(body.to_vec());
        self.s3
            .put_object()
            .bucket(bucket)
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap()
            .version_id
    }

    pub async fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        let got = self.s3.get_object().bucket(bucket).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    pub async fn delete_version(&self, key: &str, id: &str, bypass: bool) -> Result<(), String> {
        let delete = self.s3.delete_object().bucket(LOCKED).key(key).version_id(id);
        let delete = if bypass {
            delete.bypass_governance_retention(true)
        } else {
            delete
        };
        delete.send().await.map(drop).map_err(|e| code(&e))
    }

    pub async fn set_versioning(&self, bucket: &str, status: &str) -> Result<(), String> {
        let asked = VersioningConfiguration::builder().status(status.into()).build();
        let put = self
            .s3
            .put_bucket_versioning()
            .bucket(bucket)
            .versioning_configuration(asked);
        put.send().await.map(drop).map_err(|e| code(&e))
    }

    /// All versions and markers of a bucket as `key version-id`, to see that nothing was added.
    pub async fn everything(&self, bucket: &str) -> Vec<String> {
        let page = self
            .s3
            .list_object_versions()
            .bucket(bucket)
            .send()
            .await
            .unwrap();
        let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
        let markers = page.delete_markers().iter().map(|m| (m.key(), m.version_id()));
        versions
            .chain(markers)
            .map(|(k, v)| format!("{} {}", k.unwrap(), v.unwrap()))
            .collect()
    }

    /// Waits until there are so many files: they go a moment after the answer.
    pub async fn settle(&self, files: usize) {
        for _ in 0..1000 {
            if self.blob_files() == files {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.blob_files(), files, "files that should have gone");
    }

    /// Files that hold blobs: what a refused upload must not leave.
    pub fn blob_files(&self) -> usize {
        let count = |name: &str| {
            let mut files = 0;
            let mut folders = vec![self.dir.path().join(name)];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let entry = entry.unwrap();
                    if entry.file_type().unwrap().is_dir() {
                        folders.push(entry.path());
                    } else {
                        files += 1;
                    }
                }
            }
            files
        };
        count("blobs") + count("staging")
    }
}

/// All versions in a bucket, page by page.
pub async fn all_versions(s3: &Client, bucket: &str) -> Vec<ObjectVersion> {
    let mut rows = Vec::new();
    let (mut key, mut id) = (None, None);
    loop {
        let page = s3
            .list_object_versions()
            .bucket(bucket)
            .set_key_marker(key)
            .set_version_id_marker(id);
        let page = page.send().await.unwrap();
        rows.extend(page.versions.unwrap_or_default());
        (key, id) = (page.next_key_marker, page.next_version_id_marker);
        if key.is_none() {
            return rows;
        }
    }
}

pub fn config(dir: &TempDir, clock: Clock) -> Config {
    let keys = Credentials {
        access_key: ACCESS_KEY.into(),
        secret_key: SECRET_KEY.into(),
    };
    Config {
        data: dir.path().to_owned(),
        credentials: vec![keys],
        clock,
        domains: vec!["s3.test".into()],
    }
}

pub fn client(endpoint: &str, clock: ManualClock) -> Client {
    Client::from_conf(client_config(endpoint).time_source(LabTime(clock)).build())
}

pub fn client_config(endpoint: &str) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Keys::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .force_path_style(true)
}

/// The code of an S3 error; the HTTP status where there is no body (HEAD).
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    match error.code() {
        Some(code) => code.to_owned(),
        None => error
            .raw_response()
            .map_or_else(|| "no response".into(), |r| r.status().to_string()),
    }
}

pub fn batch(ids: &[(&str, Option<&str>)]) -> Delete {
    let row = |(key, id): &(&str, Option<&str>)| {
        ObjectIdentifier::builder()
            .key(*key)
            .set_version_id(id.map(Into::into))
            .build()
            .unwrap()
    };
    Delete::builder()
        .set_objects(Some(ids.iter().map(row).collect()))
        .build()
        .unwrap()
}

/// PutObjectRetention; without a retention the empty element, which asks for removal.
pub async fn retain(
    lab: &Lab,
    key: &str,
    retention: Option<(ObjectLockRetentionMode, DateTime)>,
    bypass: bool,
) -> Result<(), String> {
    let (mode, until) = retention.unzip();
    let element = ObjectLockRetention::builder()
        .set_mode(mode)
        .set_retain_until_date(until)
        .build();
    let put = lab
        .s3
        .put_object_retention()
        .bucket(LOCKED)
        .key(key)
        .retention(element);
    let put = if bypass {
        put.bypass_governance_retention(true)
    } else {
        put
    };
    put.send().await.map(drop).map_err(|e| code(&e))
}

/// A default retention in COMPLIANCE mode.
pub async fn set_default(lab: &Lab, bucket: &str, days: i32) -> Result<(), String> {
    let retention = DefaultRetention::builder()
        .mode(ObjectLockRetentionMode::Compliance)
        .days(days)
        .build();
    let configuration = ObjectLockConfiguration::builder()
        .object_lock_enabled(ObjectLockEnabled::Enabled)
        .rule(ObjectLockRule::builder().default_retention(retention).build())
        .build();
    let put = lab
        .s3
        .put_object_lock_configuration()
        .bucket(bucket)
        .object_lock_configuration(configuration);
    put.send().await.map(drop).map_err(|e| code(&e))
}

pub fn refused<T>(code: &str) -> Result<T, String> {
    Err(code.to_owned())
}

/// The value of a Content-MD5 header.
pub fn md5_base64(data: &[u8]) -> String {
    use base64::Engine as _;
    use md5::Digest as _;
    base64::prelude::BASE64_STANDARD.encode(md5::Md5::digest(data))
}
