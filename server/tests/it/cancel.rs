//! Runs that are cancelled, and commits that nobody takes up.

use jiff::SignedDuration;
use reqwest::StatusCode;
use shared::{
    api::{
        agent::{RunPhase, RunProgress, RunState},
        view::RunView,
    },
    ids::RunId,
    schedule::Schedule,
};

use crate::support::{Refusal, Session, Site, Stack};

async fn cancel(session: &Session, site: &Site, run: RunId) -> Result<RunView, Refusal> {
    let path = format!("/tenants/{}/runs/{run}/cancel", site.tenant);
    session.post(&path, &serde_json::json!({})).await
}

/// A run whose commit is durable, with its job in this state.
async fn committing(stack: &Stack, site: &Site, job: &str) -> RunId {
    let run = site.client().start_run(site.source.id).await.unwrap().run_id;
    let now = stack.clock.now();
    let id = run.as_uuid();
    let source = site.source.id.as_uuid();
    let tenant = site.tenant.as_uuid();
    stack
        .change(&format!(
            "UPDATE runs SET state = 'committing', received_at = '{now}' WHERE id = '{id}'"
        ))
        .await;
    if !job.is_empty() {
        stack
            .change(&format!(
                "INSERT INTO jobs (id, tenant_id, kind, subject, source_id, state, run_at, lease_until)
                 VALUES (gen_random_uuid(), '{tenant}', 'commit', '{id}', '{source}', {job})"
            ))
            .await;
    }
    run
}

/// The job waits for a store that is silent, say.
const WAITS: &str = "'ready', now() + interval '10 years', NULL";
const AT_WORK: &str = "'running', now(), now() + interval '10 years'";

async fn jobs(stack: &Stack) -> usize {
    stack
        .query("SELECT 1 FROM jobs WHERE kind = 'commit'")
        .await
        .len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_cancelled_until_its_locks_are_confirmed() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    // Under way, and committing with and without a job.
    let running = site.client().start_run(site.source.id).await.unwrap().run_id;
    let mut cancelled = vec![cancel(&stack.operator, &site, running).await.unwrap()];
    for job in [WAITS, ""] {
        let run = committing(&stack, &site, job).await;
        cancelled.push(cancel(&stack.operator, &site, run).await.unwrap());
        assert_eq!(jobs(&stack).await, 0);
    }
    for view in cancelled {
        assert_eq!(view.state, RunState::Failed);
        assert_eq!(view.error.as_deref(), Some("Cancelled by operator@example.test."));
    }
    let told = stack
        .query("SELECT detail->>'was' AS was FROM audit_events WHERE action = 'run.cancel'")
        .await;
    let was: Vec<String> = told.iter().map(|row| row.try_get("", "was").unwrap()).collect();
    assert_eq!(was, ["running", "committing", "committing"]);
    // The agent that was at work is told.
    let report = RunProgress {
        phase: RunPhase::Transfer,
        files_done: 0,
        files_total: None,
        bytes_done: 0,
        bytes_total: None,
        bytes_sent: 0,
        warnings: 0,
        stuck: None,
    };
    let refused = site.client().run_progress(running, &report).await.unwrap_err();
    assert!(refused.to_string().contains("Cancelled by"), "{refused}");
    // Once is enough, and a commit that somebody is at work on is left alone.
    assert_eq!(
        cancel(&stack.operator, &site, running).await.unwrap_err().code,
        "run_over"
    );
    let run = committing(&stack, &site, AT_WORK).await;
    let refused = cancel(&stack.operator, &site, run).await.unwrap_err();
    assert_eq!(
        (refused.status, refused.code.as_str()),
        (StatusCode::CONFLICT, "run_committing")
    );
    assert_eq!(jobs(&stack).await, 1);
    stack
        .change(&format!(
            "UPDATE runs SET state = 'locking' WHERE id = '{}'",
            run.as_uuid()
        ))
        .await;
    assert_eq!(
        cancel(&stack.operator, &site, run).await.unwrap_err().code,
        "run_locking"
    );
    // The next run is not held up by those that were cancelled.
    stack
        .change(&format!(
            "DELETE FROM jobs; UPDATE runs SET state = 'failed', finished_at = now() WHERE id = '{}'",
            run.as_uuid()
        ))
        .await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    site.backup().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_nobody_takes_up_is_given_up_after_a_day() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    for (job, expected) in [
        (WAITS, RunState::Failed),
        ("", RunState::Failed),
        (AT_WORK, RunState::Committing),
    ] {
        let run = committing(&stack, &site, job).await;
        let state = async || {
            let path = format!("/tenants/{}/runs/{run}", site.tenant);
            stack.operator.get::<RunView>(&path).await.unwrap()
        };
        stack.clock.advance(SignedDuration::from_hours(23));
        holdfast_server::jobs::round(&stack.app).await.unwrap();
        assert_eq!(state().await.state, RunState::Committing, "{job}");
        stack.clock.advance(SignedDuration::from_hours(1));
        // A server that has just begun leaves it for one more round.
        holdfast_server::jobs::round(&stack.app).await.unwrap();
        holdfast_server::jobs::round(&stack.app).await.unwrap();
        let view = state().await;
        assert_eq!(view.state, expected, "{job}");
        if expected == RunState::Failed {
            let reason = view.error.unwrap();
            assert!(reason.starts_with("Given up after 24 hours"), "{reason}");
            assert_eq!(jobs(&stack).await, 0);
            // It is queued again, and given out when its pause is over.
            let again = stack
                .query("SELECT 1 FROM runs WHERE state = 'queued' AND not_before IS NOT NULL")
                .await;
            assert_eq!(again.len(), 1, "{job}");
        }
    }
}
