//! The contract of the crate `bucket`, asked of the stack's store.

use anyhow::{Result, bail};
use bucket::contract::{CHECKS, Fixture, Store, Verdict, run, summary};
use jiff::Timestamp;

use super::{bucket::root_client, report::Report};
use crate::{
    clock,
    stack::{Stack, endpoint::Endpoint},
};

const BUCKET: &str = "story-contract";

/// Asks every check, in a bucket of its own.
pub async fn tell(stack: &Stack, report: &mut Report) {
    report
        .step("the store keeps the contract", async {
            let figures = Box::pin(ask(stack)).await?;
            Ok(((), figures))
        })
        .await;
}

async fn ask(stack: &Stack) -> Result<String> {
    let store = match stack.plan.endpoint {
        Endpoint::Lockbox => Store::Lockbox,
        Endpoint::Ceph => Store::Ceph,
    };
    let now = Timestamp::from_second(clock::unix_seconds())?;
    let fixture = Fixture::make(&root_client(stack), BUCKET, now).await?;
    let told = run(&fixture, store).await;
    let (counts, lines) = summary(&told);
    let lines = lines.join("\n");
    if told
        .iter()
        .any(|(_, verdict)| matches!(verdict, Verdict::Broken(_)))
    {
        bail!("{counts:?} of {} checks:\n{lines}", CHECKS.len());
    }
    let holds = counts.get("hold").copied().unwrap_or_default();
    Ok(match counts.get("differ") {
        None => format!("{holds} of {} checks hold", CHECKS.len()),
        Some(differ) => format!(
            "{holds} of {} checks hold, {differ} differ as known:\n{lines}",
            CHECKS.len()
        ),
    })
}
