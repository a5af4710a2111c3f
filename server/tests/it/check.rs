//! The server's own look into the bucket: what is gone, changed, no longer locked or not ours is named, and nothing else.

use std::{collections::BTreeSet, fs};

use aws_sdk_s3::primitives::ByteStream;
use holdfast_server::db;
use jiff::SignedDuration;
use sea_orm::ConnectionTrait;
use shared::{
    api::view::{BackupSetPage, BucketCheckView, BucketFindingKind, Health, TenantSummary},
    object::ObjectKind,
    retention::LockMode,
    schedule::Schedule,
};

use crate::{
    support::{Site, Stack, versions},
    sweep::{Ground, days, noise},
};

/// Checks now.
pub async fn check(stack: &Stack) {
    let due = format!("UPDATE backup_sets SET next_check_at = '{}'", stack.clock.now());
    stack.owner.execute_unprepared(&due).await.unwrap();
    stack.settle().await;
}

async fn last_check(stack: &Stack, site: &Site) -> Option<BucketCheckView> {
    let path = format!("/backup-sets/{}", site.set.id);
    stack.of_tenant::<BackupSetPage>(site, &path).await.check
}

/// How the tenant is, and what the last check found.
pub async fn page(stack: &Stack, site: &Site) -> (TenantSummary, BucketCheckView) {
    let check = last_check(stack, site).await.unwrap();
    (stack.of_tenant(site, "").await, check)
}

async fn set_page(stack: &Stack, site: &Site) -> String {
    let path = format!("/tenants/{}/backup-sets/{}", site.tenant, site.set.id);
    stack.operator.html(&path).await
}

fn named(check: &BucketCheckView) -> BTreeSet<(BucketFindingKind, String, bool)> {
    let findings = check.findings.iter();
    findings
        .map(|finding| (finding.kind, finding.key.clone(), finding.needed))
        .collect()
}

/// Three snapshots, of which each drops something of the one before.
async fn three(stack: &Stack, mode: LockMode) -> Site {
    let site = stack.site_in("acme", Schedule::manual(), mode).await;
    fs::write(site.data.join("stays"), noise(0, 30_000)).unwrap();
    for run in 1..=3 {
        fs::write(site.data.join("changes"), noise(run, 20_000)).unwrap();
        site.backup().await.unwrap();
    }
    stack.settle().await;
    site
}

/// Nothing is found where nothing is wrong: also while a run is open, with versions that were replaced, and after grooming.
/// Every lock has its turn, and the first check comes by itself within a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_bucket_is_said_to_be_so() {
    let stack = Stack::start().await;
    let site = three(&stack, LockMode::Compliance).await;
    assert_eq!(last_check(&stack, &site).await, None);
    stack.advance(days(1)).await;
    stack.settle().await;
    let (page_then, first) = page(&stack, &site).await;
    assert!(first.report.is_clean(), "{first:?}");
    assert_eq!(first.report.whole_at, Some(first.ended_at));
    let reasons = &page_then.reasons;
    assert!(
        !reasons.iter().any(|reason| reason.contains("bucket")),
        "{reasons:?}"
    );
    let shown = set_page(&stack, &site).await;
    assert!(shown.contains("are there and locked"), "{shown}");
    let stored = versions(&stack.root(), &site.set.bucket).await.len() as u64;
    assert_eq!(first.report.objects, stored);

    let client = site.client();
    client.start_run(site.source.id).await.unwrap();
    let mut asked = first.report.locks_asked;
    for _ in 1..first.report.slices {
        check(&stack).await;
        let (_, next) = page(&stack, &site).await;
        assert!(next.report.is_clean(), "{next:?}");
        asked += next.report.locks_asked;
    }
    // In one round of the slices S3 was asked for each lock once.
    assert_eq!(asked, stored);
    // A day's check is due a day later, not sooner.
    let events = "SELECT 1 FROM audit_events WHERE action = 'bucket.check'";
    let before = stack.query(events).await.len();
    stack.advance(SignedDuration::from_hours(23)).await;
    stack.settle().await;
    assert_eq!(stack.query(events).await.len(), before);
    stack.advance(SignedDuration::from_hours(1)).await;
    stack.settle().await;
    assert_eq!(stack.query(events).await.len(), before + 1);

    // Snapshots expire and are groomed under the check's hands.
    stack.advance(days(70)).await;
    stack.settle().await;
    check(&stack).await;
    stack.settle().await;
    let (_, last) = page(&stack, &site).await;
    assert!(last.report.is_clean(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_finding_is_named_and_goes_when_it_is_healed() {
    let stack = Stack::start().await;
    let site = three(&stack, LockMode::Governance).await;
    let (root, bucket) = (stack.root(), site.set.bucket.clone());
    let ground = Ground::of_ledger(&stack, &site).await;
    let of = |kind: ObjectKind, born: u64| {
        let row = ground
            .ledger
            .iter()
            .find(|row| row.object.kind == kind && row.born == Some(born));
        let row = row.unwrap_or_else(|| panic!("no {kind:?} is born in {born}"));
        (
            row.key("holdfast/", site.source.id),
            row.lock.clone().unwrap(),
            row.object.hash,
        )
    };
    let mut expected = BTreeSet::new();

    // Behind the server's back: a pack is gone,
    let (gone, lock, gone_hash) = of(ObjectKind::Pack, 3);
    root.delete_object()
        .bucket(&bucket)
        .key(&gone)
        .version_id(&lock.version_id)
        .bypass_governance_retention(true)
        .send()
        .await
        .unwrap();
    expected.insert((BucketFindingKind::Missing, gone.clone(), true));
    // one's lock is taken away (S3 is asked for it in its turn only),
    let (weak, lock, _) = of(ObjectKind::TreePack, 3);
    let shorter = stack.clock.now() + days(1);
    let retention = aws_sdk_s3::types::ObjectLockRetention::builder()
        .mode(aws_sdk_s3::types::ObjectLockRetentionMode::Governance)
        .retain_until_date(aws_sdk_s3::primitives::DateTime::from_secs(shorter.as_second()))
        .build();
    root.put_object_retention()
        .bucket(&bucket)
        .key(&weak)
        .version_id(&lock.version_id)
        .bypass_governance_retention(true)
        .retention(retention)
        .send()
        .await
        .unwrap();
    expected.insert((BucketFindingKind::WeakLock, weak.clone(), true));
    // a stranger writes over a manifest and hides it,
    let (hidden, ..) = of(ObjectKind::Manifest, 1);
    root.put_object()
        .bucket(&bucket)
        .key(&hidden)
        .body(ByteStream::from_static(b"a stranger's"))
        .send()
        .await
        .unwrap();
    root.delete_object()
        .bucket(&bucket)
        .key(&hidden)
        .send()
        .await
        .unwrap();
    expected.insert((BucketFindingKind::UnknownVersion, hidden.clone(), false));
    expected.insert((BucketFindingKind::DeleteMarker, hidden.clone(), false));
    // and the ledger remembers another size of one.
    let (sized, _, sized_hash) = of(ObjectKind::Index, 3);
    let resize = |by: i64| {
        let sql = format!(
            "UPDATE objects SET size_bytes = size_bytes + {by} WHERE encode(hash, 'hex') = '{sized_hash}'"
        );
        async { stack.owner.execute_unprepared(&{ sql }).await.unwrap() }
    };
    resize(1).await;
    expected.insert((BucketFindingKind::OtherSize, sized, true));

    let before = versions(&root, &bucket).await;
    let mut seen = BTreeSet::new();
    for _ in 0..28 {
        check(&stack).await;
        let (_, check) = page(&stack, &site).await;
        assert!(named(&check).is_subset(&expected), "{check:#?}");
        seen.extend(named(&check));
    }
    assert_eq!(seen, expected);
    // Whichever check it was that found it.
    check(&stack).await;
    // The lock alone is healed by now: the check told the ledger, and a sweep extended it.
    expected.retain(|(kind, ..)| *kind != BucketFindingKind::WeakLock);
    let (shown, last) = page(&stack, &site).await;
    let report = &last.report;
    assert_eq!(
        (report.missing, report.needed_missing, report.weak_lock),
        (1, 1, 0)
    );
    assert_eq!(named(&last), expected);
    let extended = root
        .head_object()
        .bucket(&bucket)
        .key(&weak)
        .send()
        .await
        .unwrap();
    let extended = extended.object_lock_retain_until_date().unwrap().secs();
    assert!(extended > (stack.clock.now() + days(30)).as_second());
    // The healed lock is no finding any more; that it had fallen stays in the audit log, by the database's own word.
    let fell = "SELECT detail->>'version_id' AS version FROM audit_events WHERE actor = 'database' AND action = 'object.lock_fell'";
    let fell: Vec<String> = stack
        .query(fell)
        .await
        .iter()
        .map(|row| row.try_get("", "version").unwrap())
        .collect();
    assert_eq!(fell, [lock.version_id]);
    assert_eq!(
        (report.other_size, report.unknown_versions, report.delete_markers),
        (1, 1, 1)
    );
    let missing = last.findings.iter().find(|finding| finding.key == gone).unwrap();
    assert!(missing.first_seen_at < missing.last_seen_at);
    assert_eq!(shown.health, Health::Failing);
    let alert = "1 object that kept snapshots need is gone from the bucket";
    assert!(shown.reasons.iter().any(|reason| reason.contains(alert)));
    let html = set_page(&stack, &site).await;
    assert!(html.contains("Snapshots that are kept need objects that are gone"));
    assert!(html.contains(&gone) && html.contains(&hidden) && !html.contains("are there and locked"));
    // It deletes nothing, and says so in the audit log each time.
    assert_eq!(versions(&root, &bucket).await, before);

    // The next backup sends the data again; what strangers left is taken away by hand.
    resize(-1).await;
    stack.live_through(SignedDuration::from_mins(5)).await;
    let fourth = site.backup().await.unwrap();
    assert!(fourth.totals.bytes_sent > 80_000, "{:?}", fourth.totals);
    let listed = root
        .list_object_versions()
        .bucket(&bucket)
        .prefix(&hidden)
        .send()
        .await
        .unwrap();
    let marker = listed.delete_markers()[0].version_id().unwrap();
    let own = of(ObjectKind::Manifest, 1).1.version_id;
    let strange = listed
        .versions()
        .iter()
        .filter_map(|version| version.version_id());
    let strange = strange.filter(|version| *version != own);
    for version in strange.chain([marker]) {
        let delete = root.delete_object().bucket(&bucket).key(&hidden);
        delete.version_id(version).send().await.unwrap();
    }
    check(&stack).await;
    let (_, healed) = page(&stack, &site).await;
    // Snapshot 3 alone still needs what is gone.
    let left = BTreeSet::from([(BucketFindingKind::Missing, gone, true)]);
    assert_eq!(named(&healed), left);
    let tx = stack.tx(&site).await;
    let newest = db::ledger::find(&tx, site.source.id, &[gone_hash]).await.unwrap();
    assert_eq!(newest[0].dropped, Some(4));
}

/// A store that does not answer is no finding, and no clean bill either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_breaks_off_says_so_and_keeps_what_was_found() {
    let stack = Stack::start().await;
    let site = three(&stack, LockMode::Governance).await;
    let (root, bucket) = (stack.root(), site.set.bucket.clone());
    let strange = format!(
        "holdfast/sources/{}/packs/strange",
        site.source.id.as_uuid().simple()
    );
    let put = root.put_object().bucket(&bucket).key(&strange);
    put.body(ByteStream::from_static(b"a stranger's"))
        .send()
        .await
        .unwrap();
    check(&stack).await;
    let (_, before) = page(&stack, &site).await;
    assert_eq!(before.findings.len(), 1);
    stack
        .owner
        .execute_unprepared("UPDATE backup_sets SET bucket = 'no-such-bucket'")
        .await
        .unwrap();
    check(&stack).await;
    let (shown, broken) = page(&stack, &site).await;
    assert!(broken.report.refused.is_some() && !broken.report.is_clean());
    assert_eq!(broken.report.whole_at, Some(before.ended_at));
    assert_eq!(broken.findings, before.findings);
    assert!(
        shown
            .reasons
            .iter()
            .any(|reason| reason.contains("could not be compared"))
    );
    let back = format!("UPDATE backup_sets SET bucket = '{bucket}'");
    stack.owner.execute_unprepared(&back).await.unwrap();
    stack.advance(SignedDuration::from_mins(6)).await;
    check(&stack).await;
    let (_, after) = page(&stack, &site).await;
    assert_eq!((after.report.refused, after.findings.len()), (None, 1));
}
