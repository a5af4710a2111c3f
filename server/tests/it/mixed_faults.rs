//! Faults that follow each other, that last, or that meet one object among many.

use std::{fs, time::Duration};

use jiff::SignedDuration;
use lockbox::faults::{Action, On, Placed, Rule};
use shared::{
    api::view::{SnapshotState, TenantOverview},
    object::ObjectKind,
    retention::LockMode,
    schedule::Schedule,
};

use crate::support::{Site, Stack, versions};

async fn overview(stack: &Stack, site: &Site) -> TenantOverview {
    stack.of_tenant(site, "/overview").await
}

fn noise(seed: u32, len: u32) -> Vec<u8> {
    (0..len)
        .map(|n| (n ^ seed).wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect()
}

/// A site with one complete snapshot, and something new to back up.
async fn backed_up(stack: &Stack, mode: LockMode) -> Site {
    let site = stack.site_in("acme", Schedule::manual(), mode).await;
    fs::write(site.data.join("stays"), noise(1, 50_000)).unwrap();
    site.backup().await.unwrap();
    stack.hold_rounds().await;
    fs::write(site.data.join("new"), noise(2, 20_000)).unwrap();
    site
}

async fn hit(placed: &Placed) {
    while placed.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a backup comes to, and what happens meanwhile: when that is not over by then, it never will be.
async fn meanwhile<T>(backup: impl Future<Output = T>, story: impl Future<Output = ()>) -> T {
    let story = async {
        story.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = backup => done,
        () = story => unreachable!("it waits for ever"),
    }
}

async fn passed(stack: &Stack, span: SignedDuration) {
    let end = stack.clock.now() + span;
    while stack.clock.now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A refusal counts from the first one: that the store was away before makes it no older.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refusal_after_an_outage_fails_nothing() {
    let stack = Stack::start().await;
    let site = backed_up(&stack, LockMode::Compliance).await;
    let faults = stack.lockbox.faults();
    let heads = || On::operation("HeadObject").key("*/packs/*");
    let away = faults.add(Rule::new(heads(), Action::status(503, "SlowDown")));
    let story = async {
        hit(&away).await;
        passed(&stack, SignedDuration::from_mins(20)).await;
        let refused = Rule::new(heads(), Action::status(403, "AccessDenied"));
        let refused = faults.add(refused.times(1));
        away.remove();
        hit(&refused).await;
    };
    let done = Box::pin(meanwhile(site.backup_while_time_passes(&stack), story)).await;
    assert_eq!(done.unwrap().seq, 2);
}

/// A server that was down for a day tries for a while before it gives a commit up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_yesterday_is_tried_more_than_once() {
    let stack = Stack::start().await;
    let site = backed_up(&stack, LockMode::Compliance).await;
    let heads = On::operation("HeadObject").key("*/packs/*");
    let away = Rule::new(heads, Action::status(503, "SlowDown"));
    let away = stack.lockbox.faults().add(away);
    let story = async {
        hit(&away).await;
        let yesterday =
            "UPDATE runs SET received_at = received_at - interval '25 hours' WHERE state = 'committing'";
        stack.change(yesterday).await;
        passed(&stack, SignedDuration::from_mins(5)).await;
        away.remove();
    };
    let done = Box::pin(meanwhile(site.backup_while_time_passes(&stack), story)).await;
    assert_eq!(done.unwrap().seq, 2);
}

/// A clock that the others contradict says nothing of how long a commit has been tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_gives_no_commit_up() {
    let stack = Stack::start().await;
    let site = backed_up(&stack, LockMode::Compliance).await;
    let heads = On::operation("HeadObject").key("*/packs/*");
    let away = Rule::new(heads, Action::status(503, "SlowDown"));
    let away = stack.lockbox.faults().add(away);
    let story = async {
        hit(&away).await;
        // The bucket's clock stays.
        stack.clock.advance(SignedDuration::from_hours(30));
        away.remove();
        let refused = "SELECT 1 FROM runs WHERE error LIKE '%clock%'";
        let mut told = false;
        for _ in 0..1_000 {
            stack.change("UPDATE jobs SET attempt = 100, run_at = '-infinity' WHERE kind = 'commit' AND state = 'ready'").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            told |= !stack.query(refused).await.is_empty();
            if told {
                break;
            }
        }
        assert!(told, "the clocks were not compared");
        // One more try, after more of them than a commit has; it has ended when the job is ready again.
        let many = "UPDATE jobs SET attempt = greatest(attempt, 100), run_at = '-infinity'
                    WHERE kind = 'commit' AND state = 'ready'";
        let tried = "SELECT 1 FROM jobs WHERE kind = 'commit' AND state = 'ready' AND attempt > 100";
        let open = "SELECT 1 FROM runs WHERE state = 'committing'";
        for _ in 0..1_000 {
            stack.change(many).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if !stack.query(tried).await.is_empty() || stack.query(open).await.is_empty() {
                break;
            }
        }
        assert_eq!(stack.query(open).await.len(), 1);
        stack.bucket_clock.set(stack.clock.system_time());
        stack
            .change("UPDATE jobs SET run_at = '-infinity' WHERE kind = 'commit' AND state = 'ready'")
            .await;
    };
    let done = Box::pin(meanwhile(site.backup(), story)).await;
    assert_eq!(done.unwrap().seq, 2);
}

/// Once the commit record is in the bucket the snapshot is complete, however long the store refuses to show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_there_is_not_broken() {
    let stack = Stack::start().await;
    let site = backed_up(&stack, LockMode::Governance).await;
    let faults = stack.lockbox.faults();
    let put = faults.add(Rule::new(
        On::operation("PutObject").key("*/commits/*"),
        Action::Count,
    ));
    let shown = On::operation("HeadObject").key("*/commits/*");
    let hidden = faults.add(Rule::new(shown, Action::status(403, "AccessDenied")).after(1));
    let story = async {
        hit(&put).await;
        // Whatever is lost from now on is damage of a complete snapshot.
        let root = stack.root();
        for (key, version) in versions(&root, &site.set.bucket).await {
            if key.contains("/packs/") {
                let delete = root.delete_object().bucket(&site.set.bucket).key(&key);
                let delete = delete.version_id(&version).bypass_governance_retention(true);
                delete.send().await.unwrap();
            }
        }
        passed(&stack, SignedDuration::from_mins(30)).await;
        hidden.remove();
    };
    let done = Box::pin(meanwhile(site.backup_while_time_passes(&stack), story)).await;
    assert_eq!(done.unwrap().seq, 2);
    stack.sweep().await;
    stack.live_through(SignedDuration::from_mins(5)).await;
    crate::check::check(&stack).await;
    stack.live_through(SignedDuration::from_mins(5)).await;
    let newest = overview(&stack, &site).await.snapshots.remove(0);
    assert_eq!((newest.seq, newest.state), (2, SnapshotState::Complete));
    assert!(newest.damage.is_some());
}

/// What falls short of the promise after the record was put is extended all the same, before the snapshot is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_falls_short_behind_the_record_is_extended() {
    let stack = Stack::start().await;
    let site = backed_up(&stack, LockMode::Governance).await;
    let faults = stack.lockbox.faults();
    let put = faults.add(Rule::new(
        On::operation("PutObject").key("*/commits/*"),
        Action::Count,
    ));
    let shown = On::operation("HeadObject").key("*/commits/*");
    let hidden = faults.add(Rule::new(shown, Action::status(403, "AccessDenied")).after(1));
    let story = async {
        hit(&put).await;
        passed(&stack, SignedDuration::from_mins(1)).await;
        // As a check notes a lock that somebody shortened.
        let short = format!(
            "UPDATE objects SET locked_until = '{}' WHERE kind = {} AND state = 'live'",
            stack.clock.now() + SignedDuration::from_hours(1),
            ObjectKind::Pack.tag()
        );
        stack.change(&short).await;
        hidden.remove();
    };
    let done = Box::pin(meanwhile(site.backup_while_time_passes(&stack), story)).await;
    let snapshot = done.unwrap();
    let short = format!(
        "SELECT 1 FROM objects WHERE kind = {} AND locked_until < '{}'",
        ObjectKind::Pack.tag(),
        snapshot.protected_until
    );
    assert!(stack.query(&short).await.is_empty());
}

/// An object that is listed and never given counts as gone after an hour, and its data is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_and_never_given_is_sent_again() {
    let stack = Stack::start().await;
    let site = backed_up(&stack, LockMode::Governance).await;
    let pack = On::operation("HeadObject").key("*/packs/*").query("versionId");
    let ghost = stack.lockbox.faults().add(Rule::new(pack, Action::NotThere));
    let aged = format!(
        "UPDATE objects SET confirmed_at = '{}' WHERE born = 1",
        stack.clock.now() - SignedDuration::from_hours(48)
    );
    stack.change(&aged).await;
    let began = stack.clock.now();
    let error = site.backup_while_time_passes(&stack).await.unwrap_err();
    assert!(error.contains("1 object") && error.contains("is gone"), "{error}");
    let waited = stack.clock.now().duration_since(began);
    assert!(waited > SignedDuration::from_mins(59), "{waited}");
    fs::write(site.data.join("newer"), noise(3, 10_000)).unwrap();
    let next = site.backup_while_time_passes(&stack).await.unwrap();
    assert_eq!(next.seq, 2);
    // What was lost comes back with a sighting.
    stack.settle().await;
    ghost.remove();
    stack.sweep().await;
    let marked = "SELECT 1 FROM objects WHERE missing_since IS NOT NULL OR absent_askings > 0";
    assert!(stack.query(marked).await.is_empty());
}

/// An object that the store refuses to say anything of keeps no other from being refreshed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_object_that_cannot_be_asked_for_stops_no_refresh() {
    let stack = Stack::start().await;
    let site = backed_up(&stack, LockMode::Compliance).await;
    site.backup().await.unwrap();
    stack.hold_rounds().await;
    let packs = format!(
        "SELECT encode(hash, 'hex') AS hash FROM objects WHERE kind = {} ORDER BY hash",
        ObjectKind::Pack.tag()
    );
    let packs: Vec<String> = stack
        .query(&packs)
        .await
        .iter()
        .map(|row| row.try_get("", "hash").unwrap())
        .collect();
    assert_eq!(packs.len(), 2);
    let mut change = format!(
        "UPDATE objects SET locked_until = '{}' WHERE state = 'live';",
        stack.clock.now() + SignedDuration::from_hours(30)
    );
    change += &format!(
        "UPDATE objects SET absent_askings = 1, absent_since = '{now}', absent_asked_at = '{now}' WHERE hash = decode('{}', 'hex')",
        packs[0],
        now = stack.clock.now()
    );
    stack.change(&change).await;
    let refused = On::operation("HeadObject").key(&format!("*/packs/{}", packs[0]));
    stack
        .lockbox
        .faults()
        .add(Rule::new(refused, Action::status(403, "AccessDenied")));
    stack.sweep().await;
    let later = format!(
        "SELECT 1 FROM objects WHERE hash = decode('{}', 'hex') AND locked_until > '{}'",
        packs[1],
        stack.clock.now() + SignedDuration::from_hours(24 * 20)
    );
    assert_eq!(
        stack.query(&later).await.len(),
        1,
        "the other pack was not refreshed"
    );
    let sweep = overview(&stack, &site)
        .await
        .sources
        .remove(0)
        .protection
        .last_sweep
        .unwrap();
    let tells = |line: &String| line.contains(&packs[0]) && line.contains("could not be asked");
    assert!(
        sweep.report.refused.iter().any(tells),
        "{:?}",
        sweep.report.refused
    );
}
