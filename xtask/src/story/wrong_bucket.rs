//! Buckets and storage accounts that cannot hold what Holdfast promises: refused, with what to do about it.

use anyhow::{Result, bail};
use shared::api::request::{NewBackupSet, NewStorageAccount};

use super::{bucket::Bucket, report::Report, set_up::StoryContext};
use crate::{
    api::Refusal,
    demo::customer,
    stack::{Stack, port},
};

/// Tries four of them.
pub async fn tell(stack: &Stack, report: &mut Report, context: &StoryContext) {
    report
        .step("refused: a bucket without versioning", async {
            let bucket = Bucket::open(stack, "story-plain");
            bucket.create_plain().await?;
            Ok(((), try_bucket(context, "story-plain").await?))
        })
        .await;
    report
        .step("refused: a bucket without Object Lock", async {
            let bucket = Bucket::open(stack, "story-versioned");
            bucket.create_plain().await?;
            bucket.enable_versioning().await?;
            Ok(((), try_bucket(context, "story-versioned").await?))
        })
        .await;
    report
        .step("refused: a wrong secret key", async {
            let right = customer::storage_account(stack);
            let wrong = NewStorageAccount {
                secret_key: "0".repeat(right.secret_key.len()),
                ..right
            };
            Ok(((), try_account(context, &wrong).await?))
        })
        .await;
    report
        .step("refused: an endpoint that does not answer", async {
            let right = customer::storage_account(stack);
            let wrong = NewStorageAccount {
                endpoint: format!("http://127.0.0.1:{}", port::any()?),
                ..right
            };
            Ok(((), try_account(context, &wrong).await?))
        })
        .await;
}

async fn try_bucket(context: &StoryContext, bucket: &str) -> Result<String> {
    let new = NewBackupSet {
        create_bucket: false,
        ..customer::backup_set("Wrong", context.account, bucket, &context.keys)
    };
    match context.api.new_backup_set(context.tenant, &new).await? {
        Ok(set) => bail!("{} was accepted", set.bucket),
        Err(refusal) => message(&refusal),
    }
}

async fn try_account(context: &StoryContext, account: &NewStorageAccount) -> Result<String> {
    match context.api.new_storage_account(context.tenant, account).await? {
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
