//! Promise P1 when the bucket loses something: complete means that everything is there.
//!
//! Each kind of object is deleted, past its GOVERNANCE lock, at each of four moments of a second backup. Whatever comes of
//! that backup, the newest complete snapshot restores whole, the next backups go on, and what lost something says so.

use std::{fs, path::Path, time::Duration};

use jiff::SignedDuration;
use lockbox::faults::{Action, Listing, On, Rule};
use shared::{
    api::{
        agent::{RunState, SnapshotSummary},
        list::Page,
        view::{
            BackupSetPage, Health, RunView, SnapshotPage, SnapshotState, SnapshotView, TenantOverview,
            TenantSummary,
        },
    },
    ids::SnapshotId,
    retention::LockMode,
    schedule::Schedule,
};

use crate::{
    check::check,
    support::{Site, Stack, versions},
};

/// The kinds of objects by their folder. List pages, which only a longer history has, are lost in `large`.
const KINDS: [&str; 5] = ["/packs/", "/trees/", "/index/", "/manifests/", "/commits/"];

async fn start() -> Stack {
    let stack = Stack::start().await;
    stack.hold_rounds().await;
    stack
}

fn random(seed: u32, len: u32) -> Vec<u8> {
    (0..len)
        .map(|n| (n ^ seed).wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect()
}

/// A site with one complete snapshot of four files in two folders.
async fn backed_up(stack: &Stack, name: &str) -> (Site, SnapshotSummary) {
    let site = stack
        .site_in(name, Schedule::manual(), LockMode::Governance)
        .await;
    fs::create_dir(site.data.join("folder")).unwrap();
    for file in 0..4_u32 {
        let path = site.data.join(format!("folder/{file}"));
        fs::write(path, random(file, 30_000)).unwrap();
    }
    let first = site.backup().await.unwrap();
    stack.hold_rounds().await;
    fs::write(site.data.join("new"), random(99, 20_000)).unwrap();
    (site, first)
}

/// Deletes every version of one kind, past its lock.
async fn delete(stack: &Stack, site: &Site, kind: &str) {
    let root = stack.root();
    let all = versions(&root, &site.set.bucket).await;
    let of_kind: Vec<_> = all.iter().filter(|(key, _)| key.contains(kind)).collect();
    assert!(!of_kind.is_empty(), "{kind}: nothing to delete");
    for (key, version) in of_kind {
        let delete = root.delete_object().bucket(&site.set.bucket).key(key);
        let delete = delete.version_id(version).bypass_governance_retention(true);
        delete.send().await.unwrap();
    }
}

/// A backup during which every version of one kind is deleted, when `rule` has been met so many times; then the rule ends.
async fn backup_that_loses(
    stack: &Stack,
    site: &Site,
    kind: &str,
    rule: Rule,
    hits: u64,
) -> Result<SnapshotSummary, String> {
    let placed = stack.lockbox.faults().add(rule);
    let lose = async {
        while placed.hits() < hits {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        delete(stack, site, kind).await;
        placed.remove();
    };
    let (done, ()) = tokio::join!(site.backup_while_time_passes(stack), lose);
    done
}

async fn health(stack: &Stack, site: &Site) -> TenantSummary {
    stack.of_tenant(site, "").await
}

async fn snapshots(stack: &Stack, site: &Site) -> Vec<SnapshotView> {
    let page: Page<SnapshotView> = stack.of_tenant(site, "/snapshots").await;
    page.items
}

async fn runs(stack: &Stack, site: &Site) -> Vec<RunView> {
    let page: Page<RunView> = stack.of_tenant(site, "/runs").await;
    page.items
}

async fn snapshot(stack: &Stack, site: &Site, id: SnapshotId) -> SnapshotPage {
    let path = format!("/tenants/{}/snapshots/{id}", site.tenant);
    stack.operator.get(&path).await.unwrap()
}

fn same(a: &Path, b: &Path) {
    for entry in fs::read_dir(a).unwrap() {
        let entry = entry.unwrap();
        let other = b.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            same(&entry.path(), &other);
        } else {
            assert_eq!(
                fs::read(entry.path()).unwrap(),
                fs::read(&other).unwrap(),
                "{other:?}"
            );
        }
    }
}

/// The newest complete snapshot restores everything that is in the source's folder now.
async fn newest_restores_whole(stack: &Stack, site: &Site, what: &str) {
    let snapshots = snapshots(stack, site).await;
    let complete = |snapshot: &&SnapshotView| snapshot.state == SnapshotState::Complete;
    let newest = snapshots.iter().find(complete).unwrap();
    assert_eq!(newest.damage, None, "{what}");
    site.authorise(&stack.operator, newest.id).await;
    let target = stack.folder.path().join(format!("restored {}", site.tenant));
    let restored = site.restore(newest.id, &target).await;
    restored.unwrap_or_else(|error| panic!("{what}: {error}"));
    same(&site.data, &target.join(site.data.strip_prefix("/").unwrap()));
}

/// After what happened to the second backup: it was complete and is whole, or it failed with the reason, and the one after it is
/// whole.
async fn goes_on(stack: &Stack, site: &Site, second: Result<SnapshotSummary, String>, what: &str) {
    if let Err(error) = second {
        let names_it =
            error.contains("gone from the bucket") || error.contains("The manifest could not be read");
        assert!(names_it, "{what}: {error}");
        fs::write(site.data.join("newer"), random(7, 10_000)).unwrap();
        let third = stack.while_time_passes(site.backup()).await;
        third.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    newest_restores_whole(stack, site, what).await;
    let runs = runs(stack, site).await;
    assert!(runs.iter().all(|run| run.state.is_final()), "{what}: {runs:?}");
}

/// The same, of what was lost before the number was given: what both snapshots need fails the run, which uses no number up.
async fn goes_on_without_a_number(
    stack: &Stack,
    site: &Site,
    second: Result<SnapshotSummary, String>,
    what: &str,
) {
    let is_shared = matches!(what, "/packs/" | "/trees/" | "/index/");
    assert!(second.is_err() || !is_shared, "{what}");
    goes_on(stack, site, second, what).await;
    let numbers: Vec<_> = snapshots(stack, site)
        .await
        .iter()
        .map(|snapshot| (snapshot.seq, snapshot.state))
        .collect();
    let complete = SnapshotState::Complete;
    assert_eq!(numbers, [(2, complete), (1, complete)], "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_before_a_run_is_not_built_on() {
    let stack = start().await;
    for kind in KINDS {
        let (site, first) = backed_up(&stack, &format!("a{}", kind.replace('/', ""))).await;
        delete(&stack, &site, kind).await;
        let second = stack.while_time_passes(site.backup()).await;
        if kind == "/packs/" {
            let error = second.as_ref().unwrap_err();
            assert!(error.contains("1 object") && error.contains("is gone"), "{error}");
            // The snapshot that lost it keeps its date and says so, and the customer is not well.
            let view = snapshot(&stack, &site, first.id).await.snapshot;
            assert_eq!(view.damage.map(|damage| damage.objects), Some(1));
            assert_eq!(view.state, SnapshotState::Complete);
            assert_eq!(view.protected_until, first.protected_until);
            let health = health(&stack, &site).await;
            assert_eq!(health.health, Health::Failing);
            let tells = |reason: &String| reason.contains("1 snapshot has lost objects");
            assert!(health.reasons.iter().any(tells), "{:?}", health.reasons);
        }
        goes_on_without_a_number(&stack, &site, second, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_while_a_run_uploads_is_not_built_on() {
    let stack = start().await;
    for kind in KINDS {
        let (site, _) = backed_up(&stack, &format!("b{}", kind.replace('/', ""))).await;
        // The manifest is the last object of a run: it waits until everything else is there.
        let stall = Rule::new(On::operation("PutObject").key("*/manifests/*"), Action::Stall);
        let second = Box::pin(backup_that_loses(&stack, &site, kind, stall, 1)).await;
        goes_on_without_a_number(&stack, &site, second, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_after_the_commit_request_is_not_built_on() {
    let stack = start().await;
    for kind in KINDS {
        let (site, _) = backed_up(&stack, &format!("c{}", kind.replace('/', ""))).await;
        // Everything that was sent is confirmed when the manifest is read.
        let stall = Rule::new(On::operation("GetObject").key("*/manifests/*"), Action::Stall);
        let second = Box::pin(backup_that_loses(&stack, &site, kind, stall, 1)).await;
        goes_on_without_a_number(&stack, &site, second, kind).await;
    }
}

/// A snapshot that has its number and loses something before its commit record is `broken`: numbered, never complete, no tier,
/// never the last good one; the next run builds on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_after_the_number_breaks_the_snapshot() {
    let stack = start().await;
    for kind in KINDS {
        let (site, first) = backed_up(&stack, &format!("d{}", kind.replace('/', ""))).await;
        let refuse = Rule::new(
            On::operation("PutObject").key("*/commits/*"),
            Action::status(503, "SlowDown"),
        );
        // The client of the store tries three times; then the job has to begin anew.
        let second = Box::pin(backup_that_loses(&stack, &site, kind, refuse, 3)).await;
        if kind == "/commits/" {
            // The first snapshot's: this one needs it not.
            assert_eq!(second.as_ref().unwrap().seq, 2);
        } else {
            let all = snapshots(&stack, &site).await;
            let broken = all.iter().find(|snapshot| snapshot.seq == 2).unwrap();
            assert_eq!(broken.state, SnapshotState::Broken, "{kind}");
            let runs = runs(&stack, &site).await;
            let run = runs
                .iter()
                .find(|run| run.snapshot_id == Some(broken.id))
                .unwrap();
            assert_eq!(run.state, RunState::Failed, "{kind}");
            let page: TenantOverview = stack.of_tenant(&site, "/overview").await;
            let source = &page.sources[0];
            assert_eq!(source.newest_snapshot.as_ref().unwrap().id, first.id, "{kind}");
            let path = format!("/tenants/{}/snapshots/{}/restores", site.tenant, broken.id);
            let body = serde_json::json!({});
            let refusal = stack.operator.post::<serde_json::Value>(&path, &body).await;
            assert_eq!(refusal.unwrap_err().code, "broken");
        }
        goes_on(&stack, &site, second, kind).await;
        let complete = snapshots(&stack, &site).await;
        let third = complete.iter().find(|snapshot| snapshot.seq == 3);
        assert_eq!(third.is_some(), kind != "/commits/", "{kind}");
    }
}

/// An agent that has lost its cache reads the newest snapshot's list from the bucket. When the bucket has lost that too, the
/// server says what the snapshot needs, and nothing is sent twice that is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_manifest_and_a_lost_cache_end_no_backups() {
    let stack = start().await;
    let (site, first) = backed_up(&stack, "cache").await;
    let state = agent::state::State::open(&site.state).unwrap();
    fs::remove_file(state.cache_path(site.source.id).unwrap()).unwrap();
    delete(&stack, &site, "/manifests/").await;
    let second = stack.while_time_passes(site.backup()).await.unwrap();
    assert_eq!(second.seq, first.seq + 1);
    assert!(
        second.totals.bytes_sent < first.totals.bytes_sent,
        "{} bytes, then {}",
        first.totals.bytes_sent,
        second.totals.bytes_sent
    );
    newest_restores_whole(&stack, &site, "cache").await;
    assert_eq!(site.backup().await.unwrap().seq, second.seq + 1);
}

/// Four false 404 in a row, by name and in the listing, mark nothing as missing, and what is marked is cleared when it is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_answer_marks_nothing_for_ever() {
    let stack = start().await;
    let (site, first) = backed_up(&stack, "false").await;
    let faults = stack.lockbox.faults();
    let not_there = |times| {
        let head = Rule::new(On::operation("HeadObject").key("*/packs/*"), Action::NotThere);
        let list = Rule::new(
            On::operation("ListObjectVersions"),
            Action::listing_without("*/packs/*"),
        );
        [faults.add(head.times(times)), faults.add(list.times(times))]
    };
    let marked = || async {
        let rows = "SELECT 1 FROM objects WHERE missing_since IS NOT NULL";
        stack.query(rows).await.len()
    };
    not_there(4);
    let second = stack.while_time_passes(site.backup()).await.unwrap();
    faults.clear();
    assert_eq!((second.seq, marked().await), (2, 0));

    // Half an hour of false answers are believed: nobody could tell them from a loss.
    not_there(u64::MAX);
    stack.sweep().await;
    check(&stack).await;
    stack.live_through(SignedDuration::from_mins(5)).await;
    assert!(marked().await > 0);
    assert_eq!(health(&stack, &site).await.health, Health::Failing);
    // A whole check that misses nothing leaves no mark.
    faults.clear();
    check(&stack).await;
    assert_eq!(marked().await, 0);
    let health = health(&stack, &site).await;
    assert_ne!(health.health, Health::Failing, "{:?}", health.reasons);
    let set: BackupSetPage = stack
        .of_tenant(&site, &format!("/backup-sets/{}", site.set.id))
        .await;
    assert_eq!(set.check.unwrap().report.missing, 0);
    assert_eq!(snapshot(&stack, &site, first.id).await.snapshot.damage, None);
    assert_eq!(site.backup().await.unwrap().seq, 3);
}

/// A listing that does not end, or goes round, ends a try of the commit with an error, and the commit goes on when it is mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_without_end_holds_no_commit() {
    let stack = start().await;
    let (site, _) = backed_up(&stack, "endless").await;
    for listing in [
        Listing::NoMarker,
        Listing::SamePage,
        Listing::Endless { per_page: 10_000 },
    ] {
        fs::write(site.data.join("new"), format!("{listing:?}")).unwrap();
        let rule = Rule::new(
            On::operation("ListObjectVersions"),
            Action::Listing(listing.clone()),
        );
        let placed = stack.lockbox.faults().add(rule);
        let mend = async {
            let end = stack.clock.now() + SignedDuration::from_secs(60);
            while placed.hits() == 0 || stack.clock.now() < end {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            placed.remove();
        };
        let (done, ()) = tokio::join!(site.backup_while_time_passes(&stack), mend);
        done.unwrap_or_else(|error| panic!("{listing:?}: {error}"));
    }
}

/// In GOVERNANCE mode a lock may be taken away while its object stays. It is asked for once a day, and put on again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_was_taken_away_is_found_by_the_next_backup() {
    let stack = start().await;
    let (site, first) = backed_up(&stack, "unlocked").await;
    let root = stack.root();
    let (key, version) = versions(&root, &site.set.bucket)
        .await
        .into_iter()
        .find(|(key, _)| key.contains("/packs/"))
        .unwrap();
    let soon = stack.clock.now() + SignedDuration::from_hours(30);
    let retention = aws_sdk_s3::types::ObjectLockRetention::builder()
        .mode(aws_sdk_s3::types::ObjectLockRetentionMode::Governance)
        .retain_until_date(aws_sdk_s3::primitives::DateTime::from_secs(soon.as_second()))
        .build();
    let shorten = root.put_object_retention().bucket(&site.set.bucket).key(&key);
    let shorten = shorten.version_id(&version).bypass_governance_retention(true);
    shorten.retention(retention).send().await.unwrap();

    stack.advance(SignedDuration::from_hours(25)).await;
    let age = snapshot(&stack, &site, first.id)
        .await
        .oldest_confirmation
        .unwrap();
    assert!(stack.clock.now().duration_since(age) > SignedDuration::from_hours(24));
    let second = site.backup().await.unwrap();
    let head = root
        .head_object()
        .bucket(&site.set.bucket)
        .key(&key)
        .version_id(&version);
    let until = head
        .send()
        .await
        .unwrap()
        .object_lock_retain_until_date()
        .unwrap()
        .secs();
    assert!(until >= second.protected_until.as_second());
    let age = snapshot(&stack, &site, second.id)
        .await
        .oldest_confirmation
        .unwrap();
    assert!(stack.clock.now().duration_since(age) < SignedDuration::from_hours(1));
}

/// `Stored` is said of what is there now, not of what was there when it was confirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_is_not_said_of_what_has_gone() {
    use shared::{
        api::agent::{UploadRequest, UploadTicket, UploadsRequest},
        object::{ObjectKind, ObjectRef},
    };
    let stack = start().await;
    let (site, _) = backed_up(&stack, "stored").await;
    let client = site.client();
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    let (request, ticket) = site
        .upload_pack(run, b"sent, and confirmed while it is pending")
        .await;
    assert!(matches!(ticket, UploadTicket::Put { .. }));
    let ask = || async { client.uploads(run, &request).await.unwrap().remove(0) };
    assert_eq!(ask().await, UploadTicket::Stored);
    let live = "SELECT encode(hash, 'hex') AS hash, size_bytes, encode(content_md5, 'base64') AS md5
                FROM objects WHERE kind = 1 AND state = 'live' LIMIT 1";
    let live = stack.query(live).await.remove(0);
    let hash: String = live.try_get("", "hash").unwrap();
    let of_snapshot = UploadRequest {
        object: ObjectRef {
            kind: ObjectKind::Pack,
            hash: hash.parse().unwrap(),
            size_bytes: u64::try_from(live.try_get::<i64>("", "size_bytes").unwrap()).unwrap(),
        },
        content_md5: live.try_get("", "md5").unwrap(),
    };
    let of_snapshot = UploadsRequest {
        objects: vec![of_snapshot],
    };
    let ask_live = || async { client.uploads(run, &of_snapshot).await.unwrap().remove(0) };
    assert_eq!(ask_live().await, UploadTicket::Stored);
    delete(&stack, &site, "/packs/").await;
    assert!(matches!(ask().await, UploadTicket::Put { .. }));
    // What a snapshot needs and counts as gone is no more stored than what was never committed.
    let gone = format!("UPDATE objects SET missing_since = now() WHERE hash = decode('{hash}', 'hex')");
    stack.change(&gone).await;
    assert!(matches!(ask_live().await, UploadTicket::Put { .. }));
}
