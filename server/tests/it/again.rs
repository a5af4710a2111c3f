//! Runs that fail for the store's or the network's sake are queued again, with growing pauses.

use agent::client::{Client, ClientError};
use jiff::{SignedDuration, Timestamp};
use shared::{
    api::{
        agent::{AbortRequest, BackupWork, RunPhase, RunProgress, RunState, Work},
        view::RunView,
    },
    ids::RunId,
    schedule::Schedule,
};
use std::time::Duration;

use crate::support::{Site, Stack};

async fn abort(client: &Client, run: RunId, may_pass: bool) {
    let request = AbortRequest {
        reason: "the storage does not answer".into(),
        may_pass,
    };
    client.abort(run, &request).await.unwrap();
}

/// What the agent is given now, without waiting.
async fn given(client: &Client) -> Option<BackupWork> {
    match client.work(Duration::ZERO).await.unwrap() {
        Work::Backup(work) => Some(*work),
        Work::None => None,
    }
}

/// The run that waits.
async fn waiting(stack: &Stack, site: &Site) -> Option<(RunId, u32, Timestamp)> {
    let rows = stack
        .query("SELECT id FROM runs WHERE state = 'queued' AND not_before IS NOT NULL")
        .await;
    let id: uuid::Uuid = rows.first()?.try_get("", "id").unwrap();
    let id = RunId::from_uuid(id);
    let view: RunView = stack.of_tenant(site, &format!("/runs/{id}")).await;
    assert_eq!(view.state, RunState::Queued);
    let told = view.error.as_deref().unwrap_or_default();
    assert!(told.contains("the storage does not answer"), "{told}");
    Some((id, view.retries, view.not_before.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_may_do_better_later_waits_and_is_given_out_again() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    let client = site.client();
    let mut run = client.start_run(site.source.id).await.unwrap().run_id;
    for (nth, pause) in [30, 60, 120, 240, 480, 900, 900].into_iter().enumerate() {
        abort(&client, run, true).await;
        let (next, retries, not_before) = waiting(&stack, &site).await.unwrap();
        assert_eq!(retries as usize, nth + 1);
        let in_seconds = not_before.duration_since(stack.clock.now()).as_secs();
        assert!((pause - 5..=pause).contains(&in_seconds), "{nth}: {in_seconds}");
        assert_eq!(
            given(&client).await.map(|work| work.run_id),
            None,
            "{nth}: too early"
        );
        stack.advance(SignedDuration::from_secs(pause)).await;
        stack.settle().await;
        let work = given(&client).await.unwrap();
        assert_eq!(work.run_id, next);
        run = next;
    }
    // What a person must mend is not tried again.
    abort(&client, run, false).await;
    assert_eq!(waiting(&stack, &site).await, None);
    assert_eq!(given(&client).await.map(|work| work.run_id), None);
    // Whoever wants it now need not wait, and what failed before does not count.
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    abort(&client, run, true).await;
    let (next, _, _) = waiting(&stack, &site).await.unwrap();
    let path = format!("/tenants/{}/sources/{}/runs", site.tenant, site.source.id);
    let asked: RunView = stack.operator.post(&path, &serde_json::json!({})).await.unwrap();
    assert_eq!((asked.id, asked.not_before, asked.retries), (next, None, 0));
    assert_eq!(given(&client).await.map(|work| work.run_id), Some(next));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_scheduled_run_takes_the_place_of_one_that_waits() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    let client = site.client();
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    // Due in 20 s: there is no room for a try before.
    let due = |secs: i64| {
        let at = stack.clock.now() + SignedDuration::from_secs(secs);
        format!("UPDATE sources SET next_due = '{at}'")
    };
    stack.change(&due(20)).await;
    abort(&client, run, true).await;
    assert_eq!(waiting(&stack, &site).await, None);
    // Due while a run waits: that one is the scheduled one.
    stack.change(&due(3_600)).await;
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    abort(&client, run, true).await;
    let (next, _, _) = waiting(&stack, &site).await.unwrap();
    stack.change(&due(0)).await;
    stack.settle().await;
    assert_eq!(waiting(&stack, &site).await, None);
    let view: RunView = stack.of_tenant(&site, &format!("/runs/{next}")).await;
    assert_eq!((view.retries, view.error), (0, None));
    assert_eq!(given(&client).await.map(|work| work.run_id), Some(next));
}

/// A laptop that sleeps in the middle of a run: it goes on when it is awake, and when its time ran out meanwhile it is queued again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_survives_a_sleep_or_is_queued_again() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    let client = site.client();
    let report = RunProgress {
        phase: RunPhase::Transfer,
        files_done: 1,
        files_total: None,
        bytes_done: 1,
        bytes_total: None,
        bytes_sent: 0,
        warnings: 0,
        stuck: None,
    };
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    stack.advance(SignedDuration::from_hours(20)).await;
    stack.settle().await;
    client.run_progress(run, &report).await.unwrap();
    let view: RunView = stack.of_tenant(&site, &format!("/runs/{run}")).await;
    assert_eq!(view.state, RunState::Running);

    stack.advance(SignedDuration::from_hours(80)).await;
    stack.settle().await;
    let view: RunView = stack.of_tenant(&site, &format!("/runs/{run}")).await;
    assert_eq!(view.state, RunState::Failed);
    assert!(view.error.unwrap().contains("deadline"));
    let refused = client.run_progress(run, &report).await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused { code, .. } if code.starts_with("run_")),
        "{refused}"
    );
    stack.advance(SignedDuration::from_secs(30)).await;
    stack.settle().await;
    assert_ne!(given(&client).await.map(|work| work.run_id), None);
}
