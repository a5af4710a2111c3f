//! Whether COMPLIANCE counts as proven for a backup set, and what becomes of a sweep that S3 refuses.

use std::fs;

use jiff::SignedDuration;
use lockbox::faults::{Action, On, Rule};
use shared::schedule::Schedule;

use crate::support::Stack;

async fn proven(stack: &Stack) -> Vec<bool> {
    let rows = "SELECT compliance_proven_at IS NOT NULL AS proven FROM backup_sets
                WHERE compliance_tried_at IS NOT NULL";
    let rows = stack.query(rows).await;
    rows.iter()
        .map(|row| row.try_get("", "proven").unwrap())
        .collect()
}

/// A refusal to shorten proves something; an answer that says it was done does not, though nothing was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compliance_is_proven_by_a_refusal_to_shorten() {
    let stack = Stack::start().await;
    let site = stack.site("honest", Schedule::manual()).await;
    fs::write(site.data.join("file"), "content").unwrap();
    site.backup().await.unwrap();
    assert_eq!(proven(&stack).await, [true]);
    // It is tried once.
    let asked = stack.lockbox.faults().add(Rule::new(
        On::operation("PutObjectRetention").key("*/manifests/*"),
        Action::Count,
    ));
    fs::write(site.data.join("file"), "more content").unwrap();
    site.backup().await.unwrap();
    assert_eq!(asked.hits(), 0);

    stack
        .change("UPDATE backup_sets SET compliance_tried_at = NULL, compliance_proven_at = NULL")
        .await;
    let done = Rule::new(
        On::operation("PutObjectRetention").key("*/manifests/*"),
        Action::rewrite(|answer| lockbox::faults::Answer {
            status: http::StatusCode::OK,
            body: Vec::new().into(),
            ..answer
        }),
    );
    stack.lockbox.faults().add(done);
    fs::write(site.data.join("file"), "other content").unwrap();
    site.backup().await.unwrap();
    assert_eq!(proven(&stack).await, [false]);
}

/// A sweep that S3 refuses is due again within a quarter of an hour, with growing pauses, and does its work when S3 lets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_sweep_comes_again_soon() {
    let stack = Stack::start().await;
    let site = stack.site("refused", Schedule::manual()).await;
    fs::write(site.data.join("file"), "content").unwrap();
    site.backup().await.unwrap();
    stack.hold_rounds().await;
    let refuse = Rule::new(
        On::operation("PutObjectRetention"),
        Action::status(403, "AccessDenied"),
    );
    let refused = stack.lockbox.faults().add(refuse);
    // The locks of the newest snapshot fall short of what keeps it rolling.
    stack.advance(SignedDuration::from_hours(20 * 24)).await;
    stack.sweep().await;
    let wait = || async {
        let rows = stack
            .query("SELECT extract(epoch FROM run_at)::bigint AS at FROM jobs WHERE kind = 'sweep'")
            .await;
        rows[0].try_get::<i64>("", "at").unwrap() - stack.clock.now().as_second()
    };
    let mut waits = Vec::new();
    for _ in 0..14 {
        waits.push(wait().await);
        stack
            .advance(SignedDuration::from_secs(waits[waits.len() - 1] + 1))
            .await;
        stack.settle().await;
    }
    // The database rounds to whole seconds.
    assert!(waits.iter().all(|secs| *secs <= 901), "{waits:?}");
    assert!(waits[0] <= 2 && waits[13] > 800, "{waits:?}");
    assert!(refused.hits() > 14);

    refused.remove();
    stack.live_through(SignedDuration::from_mins(16)).await;
    let short = format!(
        "SELECT 1 FROM objects WHERE state = 'live' AND locked_until < '{}'",
        stack.clock.now() + SignedDuration::from_hours(30 * 24)
    );
    assert!(stack.query(&short).await.is_empty());
}
