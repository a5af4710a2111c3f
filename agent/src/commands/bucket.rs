//! Where the bucket is and how it may be read, as `recover` and `verify` are told.

use std::{ffi::OsString, path::PathBuf};

use agent::{
    keygen::read_kit,
    limit::Rate,
    recover::{AccessKey, Endpoint, Reading, S3Bucket},
    state::Secret,
    storage::Origin,
};
use anyhow::Context;
use clap::Args;
use repository::{
    commit::CommitVerifyingKey,
    identity::{AgentPublicKey, IdentityError},
    recovery::RecoverySecret,
};
use tokio::runtime::Handle;

/// The bucket and the credentials for it.
#[derive(Args)]
pub struct BucketArgs {
    /// The bucket
    #[arg(long)]
    bucket: String,
    /// The backup set's prefix in it
    #[arg(long, default_value = "")]
    prefix: String,
    /// The S3 endpoint, such as https://s3.example.com; Amazon's own without it
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint: Option<String>,
    /// Speak http with that endpoint although it is not on this machine: everybody on the way can then read and change what
    /// comes
    #[arg(long, requires = "endpoint")]
    allow_http: bool,
    /// The region
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    region: String,
    /// The bucket's name goes into the path, as most endpoints that are not Amazon's want it
    #[arg(long)]
    path_style: bool,
    /// A credentials file as the AWS tools have it
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// The profile in that file
    #[arg(long, default_value = "default")]
    profile: String,
    /// Read access: the key's id. Its secret is read from AWS_SECRET_ACCESS_KEY, and from AWS_SESSION_TOKEN if it is a temporary
    /// one: other users of this machine can see a command's arguments
    #[arg(long, value_name = "ID", env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    access_key_id: Option<String>,
    /// Refused, with what to do: the secret of the key is read from AWS_SECRET_ACCESS_KEY alone
    #[arg(long, hide = true, num_args = 0..=1)]
    secret_access_key: Option<Option<OsString>>,
    /// Refused, with what to do: the token of a temporary key is read from AWS_SESSION_TOKEN alone
    #[arg(long, hide = true, num_args = 0..=1)]
    session_token: Option<Option<OsString>>,
    /// The server's public key for commit records, if it is known: 64 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = parse_commit_key)]
    commit_key: Option<CommitVerifyingKey>,
    /// The public key of an agent that you vouch for: 64 hexadecimal digits; may be repeated
    #[arg(long = "signer", value_name = "HEX", value_parser = AgentPublicKey::from_hex)]
    signers: Vec<AgentPublicKey>,
    /// Fetch no more than this in a second, such as `10 MiB/s`
    #[arg(long, value_name = "RATE", env = "HOLDFAST_LIMIT_DOWNLOAD")]
    limit_download: Option<Rate>,
}

/// Reads a server's key for commit records.
pub fn parse_commit_key(text: &str) -> Result<CommitVerifyingKey, IdentityError> {
    CommitVerifyingKey::from_hex(text)
}

/// A bucket that can be read.
pub struct Opened {
    bucket: S3Bucket,
    prefix: String,
    commit_key: Option<CommitVerifyingKey>,
    signers: Vec<AgentPublicKey>,
}

/// A secret of the environment, unless it is empty.
fn secret_of(variable: &str) -> Option<Secret> {
    let secret = std::env::var(variable).ok()?;
    (!secret.is_empty()).then(|| secret.into())
}

impl BucketArgs {
    /// Nothing is asked of the bucket yet.
    pub fn open(self) -> anyhow::Result<Opened> {
        if self.secret_access_key.is_some() || self.session_token.is_some() {
            anyhow::bail!(
                "a secret is not given as an argument, which other users of this machine can see: put it into \
                 AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN in the environment, or into a file for --credentials"
            );
        }
        let secret = || secret_of("AWS_SECRET_ACCESS_KEY");
        let key = match (&self.credentials, self.access_key_id) {
            (Some(path), _) => AccessKey::read(path, &self.profile)?,
            (None, Some(id)) if let Some(secret) = secret() => AccessKey {
                id,
                secret,
                session_token: secret_of("AWS_SESSION_TOKEN"),
            },
            _ => anyhow::bail!(
                "reading the bucket needs credentials: --credentials FILE, or AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY in the environment"
            ),
        };
        if let (Some(url), false) = (&self.endpoint, self.allow_http) {
            url.parse::<Origin>()
                .context("--endpoint (or use --allow-http)")?;
        }
        let endpoint = Endpoint {
            url: self.endpoint,
            region: self.region,
            bucket: self.bucket,
            path_style: self.path_style,
        };
        let mut prefix = self.prefix;
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Ok(Opened {
            bucket: S3Bucket::new(&endpoint, &key, self.limit_download, Handle::current()),
            prefix,
            commit_key: self.commit_key,
            signers: self.signers,
        })
    }
}

impl Opened {
    /// How the bucket is read.
    pub fn reading<'a>(&'a self, secret: Option<&'a RecoverySecret>) -> Reading<'a> {
        Reading {
            bucket: &self.bucket,
            prefix: &self.prefix,
            secret,
            commit_key: self.commit_key,
            signers: &self.signers,
        }
    }
}

/// Reads a recovery kit.
pub fn kit(path: &std::path::Path) -> anyhow::Result<RecoverySecret> {
    Ok(read_kit(path)?.secret())
}

/// Does what waits on a thread where it may.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a thread failed")?
}
