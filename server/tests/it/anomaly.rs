//! A backup of nothing is no backup: what differs too much from the last good one takes no tier, displaces nothing, and waits for a
//! person.

use std::fs;

use jiff::SignedDuration;
use reqwest::StatusCode;
use shared::{
    anomaly::Judgement,
    api::{
        request::{JudgeSnapshotRequest, PolicyOptions},
        view::{Health, SnapshotPage, SnapshotState, SnapshotView, TenantOverview, TenantSummary},
    },
    ids::SnapshotId,
    retention::{LockAhead, LockMode, Period, Soundness, Tier},
    schedule::{Recurrence, Schedule},
};

use crate::{
    support::{Refusal, Session, Site, Stack},
    sweep::{Ground, days, reports},
};

fn daily() -> Schedule {
    Schedule {
        recurrence: Recurrence::Day { hour: 1, minute: 0 },
        time_zone: "UTC".into(),
    }
}

/// Thirty days, the first of each week for 90 days.
async fn site(stack: &Stack) -> Site {
    let options = PolicyOptions {
        lock_ahead: LockAhead::Days(14),
        tiers: vec![Tier {
            every: Period::Week,
            retention_days: 90,
        }],
        ..PolicyOptions::default()
    };
    stack
        .site_with("acme", daily(), LockMode::Compliance, options)
        .await
}

async fn backup(site: &Site) -> SnapshotId {
    site.backup().await.unwrap().id
}

async fn page(stack: &Stack, site: &Site, id: SnapshotId) -> SnapshotPage {
    stack.of_tenant(site, &format!("/snapshots/{id}")).await
}

async fn judge(
    session: &Session,
    site: &Site,
    id: SnapshotId,
    judgement: Judgement,
) -> Result<SnapshotView, Refusal> {
    let path = format!("/tenants/{}/snapshots/{id}/judgement", site.tenant);
    session.post(&path, &JudgeSnapshotRequest { judgement }).await
}

async fn health(stack: &Stack, site: &Site) -> (Health, String) {
    let summary: TenantSummary = stack.of_tenant(site, "").await;
    (summary.health, summary.reasons.join(" "))
}

fn state(ground: &Ground, seq: u64) -> SnapshotState {
    let found = ground.snapshots.iter().find(|snapshot| snapshot.seq == seq);
    found.unwrap().state
}

/// A disk that is not mounted any more: the last good snapshot stays for as long as it is the last good one, also after the freeze,
/// and a person who calls the empty one good ends that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_source_displaces_no_good_snapshot() {
    let stack = Stack::start().await;
    let site = site(&stack).await;
    fs::write(site.data.join("ledger.db"), b"all that there is").unwrap();
    let good = backup(&site).await;
    stack.hold_rounds().await;
    fs::remove_file(site.data.join("ledger.db")).unwrap();
    // Another week, whose tier nobody has taken.
    stack.advance(days(7)).await;
    let emptied = backup(&site).await;

    let shown = page(&stack, &site, emptied).await;
    let path = site.data.to_string_lossy();
    let words: Vec<String> = shown.snapshot.anomalies.iter().map(ToString::to_string).collect();
    assert_eq!(words, [format!("{path}: 0 files, 1 file before")]);
    assert_eq!(shown.snapshot.soundness, Soundness::Undecided);
    assert_eq!(shown.snapshot.tiers, [], "an empty snapshot takes no tier");
    let review = shown.review.unwrap();
    assert_eq!(review.sound.unwrap().id, good);
    assert_eq!(
        review.frozen_until.unwrap(),
        shown.snapshot.received_at + SignedDuration::from_hours(24 * 30)
    );
    let (state_now, reasons) = health(&stack, &site).await;
    assert_eq!(state_now, Health::Attention);
    assert!(
        reasons.contains(&format!("{path}: 0 files, 1 file before")),
        "{reasons}"
    );
    let html = stack
        .operator
        .html(&format!("/tenants/{}/snapshots/{emptied}", site.tenant))
        .await;
    assert!(
        html.contains("Call it good") && html.contains("0 files, 1 file before"),
        "{html}"
    );

    // Frozen: not even what has run out is given up.
    stack.advance(days(25)).await;
    backup(&site).await;
    stack.sweep().await;
    let ground = Ground::of(&stack, &site).await;
    assert!(ground.now > ground.snapshots[0].received_at + days(30));
    let (_, report) = reports(&stack, &site).await;
    assert!(report.frozen_until.is_some_and(|until| until > ground.now));
    assert_eq!((report.expired, report.deleted_versions), (0, 0));

    // After the freeze: the good one and the newest are kept, what lies between has run out.
    stack.advance(days(40)).await;
    backup(&site).await;
    stack.sweep().await;
    stack.advance(days(60)).await;
    stack.sweep().await;
    let ground = Ground::of(&stack, &site).await;
    let states: Vec<_> = (1..=4).map(|seq| state(&ground, seq)).collect();
    let (complete, expired) = (SnapshotState::Complete, SnapshotState::Expired);
    assert_eq!(states, [complete, expired, expired, complete]);
    assert!(ground.lock_of(&site, 1) > ground.now, "the good one is extended");
    stack.sweep().await;

    // The good one still restores, months after its date.
    let session = &stack.operator;
    site.authorise(session, good).await;
    let target = stack.folder.path().join("back");
    site.restore(good, &target).await.unwrap();

    // A person says that it is to be empty.
    let newest = ground.newest().id;
    let judged = judge(session, &site, newest, Judgement::Good).await.unwrap();
    assert_eq!(judged.soundness, Soundness::Sound);
    assert_eq!(judged.tiers, [Period::Week]);
    let again = judge(session, &site, newest, Judgement::Bad).await.unwrap_err();
    assert_eq!(
        (again.status, again.code.as_str()),
        (StatusCode::CONFLICT, "sound")
    );
    assert!(!health(&stack, &site).await.1.contains("the good one before"));
    let events = stack
        .query("SELECT detail FROM audit_events WHERE action = 'snapshot.judge'")
        .await;
    assert_eq!(events.len(), 1);
    stack.advance(days(2)).await;
    stack.sweep().await;
    let ground = Ground::of(&stack, &site).await;
    assert_eq!(state(&ground, 1), expired, "nothing holds it any longer");
    ground.check(&site);
    // The next empty one is as the last was.
    let next = backup(&site).await;
    assert_eq!(
        page(&stack, &site, next).await.snapshot.soundness,
        Soundness::Sound
    );
}

/// The disk is back: nothing waits any longer, and the full snapshot takes the tier that the empty one before it left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_good_backup_settles_it() {
    let stack = Stack::start().await;
    let site = site(&stack).await;
    let file = site.data.join("ledger.db");
    fs::write(&file, b"all that there is").unwrap();
    backup(&site).await;
    stack.hold_rounds().await;
    fs::remove_file(&file).unwrap();
    stack.advance(days(7)).await;
    let emptied = backup(&site).await;
    let judged = judge(&stack.operator, &site, emptied, Judgement::Bad)
        .await
        .unwrap();
    assert_eq!((judged.soundness, judged.tiers.len()), (Soundness::Bad, 0));
    let again = judge(&stack.operator, &site, emptied, Judgement::Bad)
        .await
        .unwrap_err();
    assert_eq!(again.code, "judged");
    assert!(health(&stack, &site).await.1.contains("was found to be bad"));
    // Nobody waits for a decision.
    stack.sweep().await;
    assert_eq!(reports(&stack, &site).await.1.frozen_until, None);

    fs::write(&file, b"all that there is").unwrap();
    stack.advance(SignedDuration::from_hours(2)).await;
    let full = backup(&site).await;
    let shown = page(&stack, &site, full).await.snapshot;
    assert_eq!((shown.soundness, shown.anomalies.len()), (Soundness::Sound, 0));
    assert_eq!(shown.tiers, [Period::Week]);
    assert!(!health(&stack, &site).await.1.contains("the good one before"));
}

/// A period whose snapshots nobody has decided on: the last of them takes its tier when it has ended. An hour earlier it does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_without_a_decision_gives_its_tier_to_the_last() {
    let stack = Stack::start().await;
    let site = site(&stack).await;
    let file = site.data.join("ledger.db");
    fs::write(&file, b"all that there is").unwrap();
    backup(&site).await;
    stack.hold_rounds().await;
    fs::remove_file(&file).unwrap();
    stack.advance(days(7)).await;
    let first = backup(&site).await;
    stack.advance(SignedDuration::from_hours(1)).await;
    let last = backup(&site).await;
    stack.sweep().await;
    assert_eq!(page(&stack, &site, last).await.snapshot.tiers, []);
    stack.advance(days(7)).await;
    stack.sweep().await;
    assert_eq!(page(&stack, &site, first).await.snapshot.tiers, []);
    let shown = page(&stack, &site, last).await.snapshot;
    assert_eq!(shown.tiers, [Period::Week]);
    assert!(
        shown.protected_until >= shown.received_at + days(90),
        "{}",
        shown.protected_until
    );
}

/// One of two paths is emptied, another is gone: each is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_path_is_compared_with_itself() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let paths: Vec<_> = ["a", "b", "c"].map(|name| site.data.join(name)).to_vec();
    for path in &paths {
        fs::create_dir(path).unwrap();
        for file in 0..30 {
            fs::write(path.join(format!("{file}")), b"content").unwrap();
        }
    }
    let list: Vec<String> = paths
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    stack
        .change(&format!(
            "UPDATE sources SET paths = '{}'",
            serde_json::to_string(&list).unwrap()
        ))
        .await;
    assert_eq!(site.backup().await.unwrap().totals.files, 90);
    for file in 0..30 {
        fs::remove_file(paths[0].join(format!("{file}"))).unwrap();
    }
    fs::remove_dir_all(&paths[1]).unwrap();
    for file in 2..30 {
        fs::remove_file(paths[2].join(format!("{file}"))).unwrap();
    }
    stack.advance(SignedDuration::from_hours(1)).await;
    let id = backup(&site).await;
    let overview: TenantOverview = stack.of_tenant(&site, "/overview").await;
    let newest = overview.sources[0].newest_snapshot.clone().unwrap();
    assert_eq!(newest.id, id);
    let words: Vec<String> = newest.anomalies.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            format!("{}: 0 files, 30 files before", list[0]),
            format!("{}: gone or not readable, 30 files before", list[1]),
            format!("{}: 2 files, 30 files before", list[2]),
        ]
    );
    assert!(
        judge(&Session::nobody(&stack.url), &site, id, Judgement::Good)
            .await
            .is_err()
    );
}
