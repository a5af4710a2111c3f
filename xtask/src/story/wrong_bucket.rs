//! Buckets and storage accounts that cannot hold what Holdfast promises: refused, with what to do about it.

use anyhow::{Result, bail};
use shared::api::request::{NewBackupSet, NewStorageAccount};

use super::{bucket::Bucket, report::Report, set_up::Cast};
use crate::{
    api::Refusal,
    demo::scene,
    stack::{Stack, port},
};

/// Tries four of them.
pub async fn tell(stack: &Stack, report: &mut Report, cast: &Cast) {
    report
        .step("refused: a bucket without versioning", async {
            let bucket = Bucket::open(stack, "story-plain");
            bucket.create_plain().await?;
            Ok(((), try_bucket(cast, "story-plain").await?))
        })
        .await;
    report
        .step("refused: a bucket without Object Lock", async {
            let bucket = Bucket::open(stack, "story-versioned");
            bucket.create_plain().await?;
            bucket.enable_versioning().await?;
            Ok(((), try_bucket(cast, "story-versioned").await?))
        })
        .await;
    report
        .step("refused: a wrong secret key", async {
            let right = scene::storage_account(stack);
            let wrong = NewStorageAccount {
                secret_key: "0".repeat(right.secret_key.len()),
                ..right
            };
            Ok(((), try_account(cast, &wrong).await?))
        })
        .await;
    report
        .step("refused: an endpoint that does not answer", async {
            let right = scene::storage_account(stack);
            let wrong = NewStorageAccount {
                endpoint: format!("http://127.0.0.1:{}", port::any()?),
                ..right
            };
            Ok(((), try_account(cast, &wrong).await?))
        })
        .await;
}

async fn try_bucket(cast: &Cast, bucket: &str) -> Result<String> {
    let new = NewBackupSet {
        create_bucket: false,
        ..scene::backup_set("Wrong", cast.account, bucket, &cast.keys)
    };
    match cast.api.new_backup_set(cast.tenant, &new).await? {
        Ok(set) => bail!("{} was accepted", set.bucket),
        Err(refusal) => message(&refusal),
    }
}

async fn try_account(cast: &Cast, account: &NewStorageAccount) -> Result<String> {
    match cast.api.new_storage_account(cast.tenant, account).await? {
        Ok(account) => bail!("{} was accepted", account.endpoint),
        Err(refusal) => message(&refusal),
    }
}

/// A refusal is the caller's mistake, and says what to do.
fn message(refusal: &Refusal) -> Result<String> {
    let Refusal {
        status,
        code,
        message,
    } = refusal;
    if !status.is_client_error() || message.split_whitespace().count() < 5 {
        bail!("refused, but with {status} {code}: {message}");
    }
    Ok(format!("{code}: {message}"))
}
