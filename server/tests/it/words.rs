//! What S3 refuses comes to the person by its own name, once for each cause, and nothing else is called a missing permission.

use std::fs;

use jiff::SignedDuration;
use lockbox::faults::{Action, On, Rule};
use shared::{
    api::{
        list::Page,
        request::{NewSource, SourceLimits},
        view::{Health, RunView, SourceView, TenantOverview, TenantSummary},
    },
    schedule::Schedule,
};

use crate::support::{Site, Stack};

/// What says of a refusal that a permission is missing.
const OF_PERMISSIONS: [&str; 3] = ["grant", "permission", "may not"];

const CODES: [&str; 7] = [
    "RequestTimeTooSkewed",
    "QuotaExceeded",
    "InvalidObjectState",
    "AccountProblem",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AccessDenied",
];

async fn summary(stack: &Stack, site: &Site) -> TenantSummary {
    stack.of_tenant(site, "").await
}

async fn newest_run(stack: &Stack, site: &Site) -> RunView {
    let mut runs: Page<RunView> = stack.of_tenant(site, "/runs").await;
    runs.items.remove(0)
}

fn must_be_told(sentence: &str, code: &str) {
    assert!(sentence.contains(code), "{code} has lost its name: {sentence}");
    let words = sentence.to_lowercase();
    let of_permissions = OF_PERMISSIONS.iter().any(|part| words.contains(part));
    assert_eq!(of_permissions, code == "AccessDenied", "{code}: {sentence}");
}

/// The lock of a snapshot of two sources cannot be extended: the sweep of each says so in one sentence for all objects, and the
/// tenant's page in one for both sources.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cause_is_one_reason() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let second = NewSource {
        agent_id: site.source.agent_id,
        name: "more".into(),
        paths: vec![site.data.to_string_lossy().into_owned()],
        limits: SourceLimits::default(),
        excludes: Vec::new(),
        schedule: Schedule::manual(),
    };
    let path = format!("/tenants/{}/sources", site.tenant);
    let _: SourceView = stack.operator.post(&path, &second).await.unwrap();
    fs::write(site.data.join("file"), "content").unwrap();
    agent::backup(&site.state, None, std::sync::Arc::new(agent::progress::Silent))
        .await
        .unwrap();
    stack.hold_rounds().await;
    for code in CODES {
        // What is missing of each lock is to be extended.
        let short = stack.clock.now() + SignedDuration::from_hours(48);
        let short = format!("UPDATE objects SET locked_until = '{short}'");
        stack.change(&short).await;
        stack.lockbox.faults().add(Rule::new(
            On::operation("PutObjectRetention"),
            Action::status(403, code),
        ));
        stack
            .lockbox
            .faults()
            .add(Rule::new(On::operation("HeadObject"), Action::status(403, code)));
        stack.lockbox.faults().add(Rule::new(
            On::operation("ListObjectVersions"),
            Action::status(403, code),
        ));
        stack.sweep().await;
        stack.lockbox.faults().clear();
        let page: TenantOverview = stack.of_tenant(&site, "/overview").await;
        for source in &page.sources {
            let sweep = source.protection.last_sweep.as_ref().unwrap();
            let [refused] = &sweep.report.refused[..] else {
                panic!("{code}: {:?}", sweep.report.refused);
            };
            must_be_told(refused, code);
            assert!(refused.contains(" other objects: "), "{refused}");
        }
        let summary = summary(&stack, &site).await;
        let reasons = summary.reasons.iter();
        let reasons: Vec<_> = reasons.filter(|reason| reason.contains(code)).collect();
        let [reason] = &reasons[..] else {
            panic!("{code}: {:?}", summary.reasons);
        };
        must_be_told(reason, code);
        assert!(
            reason.starts_with("lockbox: ") && reason.contains("files on ") && reason.contains("more on "),
            "{reason}"
        );
        stack.sweep().await;
    }
}

/// An upload, the reading of a manifest and the putting of a commit record that S3 refuses end the run with S3's name for it and a
/// sentence of ours; the clock's is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ends_with_the_name_that_s3_gives() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    let refusals = [
        ("*/packs/*", "QuotaExceeded"),
        ("*/packs/*", "AccountProblem"),
        ("*/packs/*", "SignatureDoesNotMatch"),
        ("*/commits/*", "InvalidAccessKeyId"),
    ];
    for (keys, code) in refusals {
        fs::write(site.data.join("file"), format!("content {keys} {code}")).unwrap();
        let refused = Rule::new(On::operation("PutObject").key(keys), Action::status(403, code));
        let placed = stack.lockbox.faults().add(refused);
        let error = site.backup_while_time_passes(&stack).await.unwrap_err();
        stack.lockbox.faults().clear();
        must_be_told(&error, code);
        if keys == "*/packs/*" {
            // Only a person can mend it: it is not tried again and again.
            assert!(placed.hits() <= 4, "{code}: {}", placed.hits());
        }
        let summary = summary(&stack, &site).await;
        assert_eq!(summary.health, Health::Failing);
        must_be_told(newest_run(&stack, &site).await.error.as_ref().unwrap(), code);
        let told = summary.reasons.iter().filter(|reason| reason.contains(code));
        assert_eq!(told.count(), 1, "{:?}", summary.reasons);
    }
    // A clock is set right, and the run goes on.
    fs::write(site.data.join("file"), "content of a skewed clock").unwrap();
    let skewed = Rule::new(
        On::operation("PutObject").key("*/commits/*"),
        Action::status(403, "RequestTimeTooSkewed"),
    );
    let placed = stack.lockbox.faults().add(skewed.times(12));
    site.backup_while_time_passes(&stack).await.unwrap();
    assert!(placed.hits() >= 12);
}

/// What a run tells when it has committed and what its snapshot tells are the same, also when the agent's reports did not arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_and_its_snapshot_tell_the_same_figures() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    for content in ["x".repeat(658), "y".repeat(658)] {
        fs::write(site.data.join("file"), content).unwrap();
        let snapshot = site.backup().await.unwrap();
        let run = newest_run(&stack, &site).await;
        assert_eq!(run.snapshot_id, Some(snapshot.id));
        let (progress, totals) = (run.progress.as_ref().unwrap(), snapshot.totals);
        assert_eq!((progress.bytes_done, progress.bytes_total), (658, Some(658)));
        assert_eq!(progress.bytes_sent, totals.bytes_sent);
        assert_eq!(progress.files_total, Some(progress.files_done));
        assert_eq!(progress.files_done, totals.files + totals.folders);
        assert_eq!(progress.warnings, totals.warnings);
    }
}

/// The run's page and the lists say it at once when an agent has fallen silent, and show no bar.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_agent_is_silent_says_for_how_long() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let run = site.client().start_run(site.source.id).await.unwrap().run_id;
    let base = format!("/tenants/{}", site.tenant);
    let page = format!("{base}/runs/{run}");
    let html = stack.operator.html(&page).await;
    assert!(html.contains("Backing up") && !html.contains("No word"), "{html}");
    stack.advance(SignedDuration::from_secs(44)).await;
    let html = stack.operator.html(&page).await;
    assert!(
        html.contains("No word from the agent on") && html.contains("No word for 40 s"),
        "{html}"
    );
    assert!(!html.contains("Backing up"), "{html}");
    let bar = html.split("<progress").nth(1).unwrap().split('>').next().unwrap();
    assert!(bar.contains("hidden"), "{bar}");
    let html = stack.operator.html(&format!("{base}/activity")).await;
    assert!(html.contains("No word for 40 s"), "{html}");
    // A word of it, and it goes on.
    let report = shared::api::agent::RunProgress {
        phase: shared::api::agent::RunPhase::Transfer,
        files_done: 1,
        files_total: None,
        bytes_done: 1,
        bytes_total: None,
        bytes_sent: 0,
        warnings: 0,
        stuck: None,
    };
    site.client().run_progress(run, &report).await.unwrap();
    let html = stack.operator.html(&page).await;
    assert!(html.contains("Backing up") && !html.contains("No word"), "{html}");
}
