//! What signing for uploads costs, whatever an agent asks for.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::{SignedDuration, Timestamp};
use lockbox::faults::{Action, On, Rule};
use shared::{
    api::{
        agent::{AbortRequest, OBJECTS_PER_CALL, UploadRequest, UploadTicket, UploadsRequest},
        request::PolicyOptions,
        view::SnapshotPage,
    },
    ids::RunId,
    object::{ObjectKind, ObjectRef},
    retention::{LockAhead, LockMode, Period, Tier},
    schedule::Schedule,
};

use crate::{
    check::{check, page},
    support::{Stack, versions},
};

/// An address works for an hour, as often as somebody puts to it. Each time is a version with a lock, and the ledger knows them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_three_times_is_entered_three_times() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    fs::write(site.data.join("file"), vec![7; 20_000]).unwrap();
    site.backup().await.unwrap();
    stack.hold_rounds().await;
    let root = stack.root();
    let all = versions(&root, &site.set.bucket).await;
    let (key, version) = all.iter().find(|(key, _)| key.contains("/packs/")).unwrap();
    let first = root
        .get_object()
        .bucket(&site.set.bucket)
        .key(key)
        .version_id(version);
    let first = first.send().await.unwrap();
    let until = *first.object_lock_retain_until_date().unwrap();
    let bytes = first.body.collect().await.unwrap().into_bytes();
    for _ in 0..2 {
        let put = root
            .put_object()
            .bucket(&site.set.bucket)
            .key(key)
            .body(bytes.clone().into());
        let put = put.object_lock_mode(aws_sdk_s3::types::ObjectLockMode::Compliance);
        put.object_lock_retain_until_date(until).send().await.unwrap();
    }
    // A stranger's version of other bytes is not the ledger's.
    let other = root.put_object().bucket(&site.set.bucket).key(key);
    other.body(vec![0; bytes.len()].into()).send().await.unwrap();
    fs::write(site.data.join("new"), b"new").unwrap();
    site.backup().await.unwrap();
    let spares = format!(
        "SELECT 1 FROM spare_versions WHERE key = '{key}' AND size_bytes = {}",
        bytes.len()
    );
    assert_eq!(stack.query(&spares).await.len(), 2);
    check(&stack).await;
    assert_eq!(page(&stack, &site).await.1.report.unknown_versions, 1);
}

/// What was signed a minute ago and has not come is asked for by its name, and not in listings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_again_for_what_was_just_signed_lists_nothing() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let client = site.client();
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    let objects = (0..OBJECTS_PER_CALL).map(|nth| {
        let content = nth.to_be_bytes();
        UploadRequest {
            object: ObjectRef {
                kind: ObjectKind::Pack,
                hash: repository::hash(&content),
                size_bytes: content.len() as u64,
            },
            content_md5: BASE64.encode(holdfast_server::s3::content_md5(&content)),
        }
    });
    let request = UploadsRequest {
        objects: objects.collect(),
    };
    let faults = stack.lockbox.faults();
    let heads = faults.add(Rule::new(On::operation("HeadObject"), Action::Count));
    let lists = faults.add(Rule::new(On::operation("ListObjectVersions"), Action::Count));
    let calls = || (heads.hits(), lists.hits());
    for expected in [(0, 0), (OBJECTS_PER_CALL as u64, 0)] {
        let before = calls();
        let tickets = client.uploads(run, &request).await.unwrap();
        assert!(
            tickets
                .iter()
                .all(|ticket| matches!(ticket, UploadTicket::Put { .. }))
        );
        let after = calls();
        assert_eq!((after.0 - before.0, after.1 - before.1), expected);
    }
    // Later on somebody may have written over it: then its earlier versions are looked for.
    stack.advance(SignedDuration::from_mins(2)).await;
    let before = calls();
    client.uploads(run, &request).await.unwrap();
    assert_eq!(calls().1 - before.1, OBJECTS_PER_CALL as u64);
}

/// A lock can not be taken back: of runs that end without a snapshot only the first locks what it sends for the tier of its period.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_fail_lock_for_a_tier_once() {
    const TIER: SignedDuration = SignedDuration::from_hours(24 * 90);
    let stack = Stack::start().await;
    let options = PolicyOptions {
        tiers: vec![Tier {
            every: Period::Month,
            retention_days: 90,
        }],
        lock_ahead: LockAhead::Days(10),
        ..PolicyOptions::default()
    };
    let site = stack
        .site_with("acme", Schedule::manual(), LockMode::Compliance, options)
        .await;
    let is_for_tier = async |run: RunId, content: &[u8]| {
        let (_, ticket) = site.upload_pack(run, content).await;
        lock_of(&ticket) >= stack.clock.now() + TIER
    };
    let mut tiered = Vec::new();
    for nth in 0..4u8 {
        let run = site.client().start_run(site.source.id).await.unwrap().run_id;
        tiered.push(is_for_tier(run, &[nth; 3_000]).await);
        let reason = AbortRequest {
            reason: "the disk is away".into(),
            may_pass: false,
        };
        site.client().abort(run, &reason).await.unwrap();
    }
    assert_eq!(tiered, [true, false, false, false]);
    // The run that succeeds gives its snapshot the tier all the same, and the next period's first run is signed for it again.
    fs::write(site.data.join("file"), vec![9; 20_000]).unwrap();
    let snapshot = site.backup().await.unwrap();
    stack.settle().await;
    let path = format!("/tenants/{}/snapshots/{}", site.tenant, snapshot.id);
    let shown: SnapshotPage = stack.operator.get(&path).await.unwrap();
    assert_eq!(shown.snapshot.tiers, [Period::Month]);
    assert!(shown.snapshot.protected_until >= snapshot.received_at + TIER);
    assert!(shown.earliest_lock.unwrap() >= shown.snapshot.protected_until);
    stack.advance(SignedDuration::from_hours(24 * 32)).await;
    let run = site.client().start_run(site.source.id).await.unwrap().run_id;
    assert!(is_for_tier(run, b"next month").await);
}

/// The date that an upload is locked until.
fn lock_of(ticket: &UploadTicket) -> Timestamp {
    let UploadTicket::Put { headers, .. } = ticket else {
        panic!("not signed: {ticket:?}");
    };
    let lock = headers
        .iter()
        .find(|(name, _)| name.ends_with("retain-until-date"));
    lock.unwrap().1.parse().unwrap()
}
