//! Promise P4: what is deleted, what is not, and who has the last word.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::SignedDuration;
use sea_orm::ConnectionTrait;
use shared::{
    api::{
        agent::{AbortRequest, UploadRequest, UploadTicket, UploadsRequest},
        view::{AwaitReason, SnapshotState},
    },
    object::{ObjectKind, ObjectRef},
    schedule::Schedule,
};

use crate::{
    support::{Site, Stack, versions},
    sweep::{Ground, days, noise, reports, weekly},
};

pub fn pack(content: &[u8]) -> UploadsRequest {
    UploadsRequest {
        objects: vec![UploadRequest {
            object: ObjectRef {
                kind: ObjectKind::Pack,
                hash: repository::hash(content),
                size_bytes: content.len() as u64,
            },
            content_md5: BASE64.encode(holdfast_server::s3::content_md5(content)),
        }],
    }
}

async fn send(tickets: &[UploadTicket], content: &[u8]) {
    let UploadTicket::Put { url, headers, .. } = &tickets[0] else {
        panic!("{tickets:?}")
    };
    let put = headers
        .iter()
        .fold(reqwest::Client::new().put(url), |put, (name, value)| {
            put.header(name, value)
        });
    let answer = put.body(content.to_vec()).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// Sends one pack in a run that then breaks off.
pub async fn broken_run(site: &Site, content: &[u8]) {
    let client = site.client();
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    let tickets = client.uploads(run, &pack(content)).await.unwrap();
    send(&tickets, content).await;
    let reason = AbortRequest {
        reason: "the test says so".into(),
        may_pass: false,
    };
    client.abort(run, &reason).await.unwrap();
}

/// What a broken run sent goes when its lock has ended, though no HEAD ever saw it; not while a run is under way that may
/// still take it over; and what is being deleted is no longer offered to any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_run_holds_the_groomer_off() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let content = b"sent by a run that broke off".as_slice();
    broken_run(&site, content).await;
    stack.sweep().await;
    let (_, report) = reports(&stack, &site).await;
    assert_eq!(report.awaiting[0].reason, AwaitReason::BrokenRun);
    assert_eq!((report.awaiting[0].objects, report.deleted_versions), (1, 0));

    stack.advance(days(60)).await;
    let client = site.client();
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    stack.sweep().await;
    assert_eq!(versions(&stack.root(), &site.set.bucket).await.len(), 1);
    // The run takes the pack over: its lock has ended, so it is sent again, as a second version.
    let tickets = client.uploads(run, &pack(content)).await.unwrap();
    send(&tickets, content).await;
    stack.sweep().await;
    assert_eq!(versions(&stack.root(), &site.set.bucket).await.len(), 2);
    let reason = AbortRequest {
        reason: "and once more".into(),
        may_pass: false,
    };
    client.abort(run, &reason).await.unwrap();
    // The first version has long been unlocked and nothing needs it: it goes at once, the second when its lock ends.
    stack.sweep().await;
    assert_eq!(versions(&stack.root(), &site.set.bucket).await.len(), 1);

    // Set to `deleting` as by a server that was killed right then: no run gets it back. The sweep that would fall due in
    // these days would finish the deletion before the run asks.
    stack.hold_rounds().await;
    stack.advance(days(60)).await;
    stack
        .owner
        .execute_unprepared("UPDATE objects SET state = 'deleting'")
        .await
        .unwrap();
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    let refused = client.uploads(run, &pack(content)).await.unwrap_err().to_string();
    assert!(refused.contains("is being deleted"), "{refused}");
    // The next groom run finishes it, whatever runs.
    stack.sweep().await;
    assert_eq!(versions(&stack.root(), &site.set.bucket).await, []);
    assert!(stack.query("SELECT 1 FROM objects").await.is_empty());
    let (sum, last) = reports(&stack, &site).await;
    assert_eq!((sum.deleted_versions, last.refused), (2, vec![]));
    let events = stack
        .query("SELECT detail FROM audit_events WHERE action = 'objects.groom' ORDER BY id")
        .await;
    assert_eq!(events.len(), 2);
    // It can be sent anew.
    send(&client.uploads(run, &pack(content)).await.unwrap(), content).await;
}

/// A commit that comes while the groomer is at work: both go through the source's row, one after the other, and no snapshot
/// ever needs what was deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_and_grooming_do_not_meet() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    for round in 0..8 {
        fs::write(site.data.join("file"), noise(round, 2_000)).unwrap();
        stack
            .owner
            .execute_unprepared("UPDATE sources SET next_sweep_at = NULL")
            .await
            .unwrap();
        let (made, ()) = tokio::join!(site.backup(), stack.settle());
        made.unwrap();
        stack.advance(days(25)).await;
    }
    stack.settle().await;
    let ground = Ground::of(&stack, &site).await;
    ground.check(&site);
    let expired = ground
        .snapshots
        .iter()
        .filter(|snapshot| snapshot.state == SnapshotState::Expired);
    assert_eq!((ground.snapshots.len(), expired.count()), (8, 7));
    let (sum, _) = reports(&stack, &site).await;
    assert_eq!(sum.refused, [] as [String; 0]);
    // One at a time: no two jobs of the source ever ran together.
    let restored = stack.folder.path().join("restored");
    let newest = ground.newest().id;
    site.authorise(&stack.operator, newest).await;
    site.restore(newest, &restored).await.unwrap();
}

/// P8: a clock that is wrong, whichever it is, stops everything that cannot be taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_disagree_stop_deleting_extending_and_signing() {
    let stack = Stack::start().await;
    let site = stack.site("acme", weekly()).await;
    fs::write(site.data.join("file"), noise(0, 2_000)).unwrap();
    site.backup().await.unwrap();
    broken_run(&site, b"waits to be groomed").await;
    stack.settle().await;
    stack.advance(days(70)).await;
    let before = Ground::of(&stack, &site).await.bucket;
    let unchanged = || async {
        stack.sweep().await;
        let (_, report) = reports(&stack, &site).await;
        assert!(report.refused[0].contains("The clocks disagree"), "{report:?}");
        assert!(!report.changed_anything());
        assert_eq!(Ground::of(&stack, &site).await.bucket, before);
    };
    // The server's clock is ahead of the others, as one that would find locks ended; then behind.
    for minutes in [6, -6] {
        stack.clock.set_error(SignedDuration::from_mins(minutes));
        unchanged().await;
        let client = site.client();
        let run = client.start_run(site.source.id).await.unwrap().run_id;
        let refused = client.uploads(run, &pack(b"new")).await.unwrap_err().to_string();
        assert!(refused.contains("clocks disagree"), "{refused}");
        let reason = AbortRequest {
            reason: "x".into(),
            may_pass: false,
        };
        client.abort(run, &reason).await.unwrap();
    }
    stack.clock.set_error(SignedDuration::ZERO);
    // The bucket's clock is behind.
    let shown = stack.bucket_clock.now();
    stack
        .bucket_clock
        .set(shown - std::time::Duration::from_secs(600));
    unchanged().await;
    stack.advance(days(0)).await;
    stack.sweep().await;
    let (_, report) = reports(&stack, &site).await;
    assert_eq!((report.deleted_versions, report.refused), (1, vec![]));
    let after = Ground::of(&stack, &site).await;
    after.check(&site);
}

/// A source that was retired keeps every promise that was given, takes no new backup, and is gone from the bucket at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_source_runs_out() {
    let stack = Stack::start().await;
    let site = stack.site("acme", weekly()).await;
    for version in 0..2 {
        fs::write(site.data.join("file"), noise(version, 2_000)).unwrap();
        site.backup().await.unwrap();
    }
    broken_run(&site, b"never committed").await;
    stack.settle().await;
    let retire = format!("UPDATE sources SET retired_at = '{}'", stack.clock.now());
    stack.owner.execute_unprepared(&retire).await.unwrap();
    let refused = site.backup().await.unwrap_err();
    assert!(refused.contains("retired"), "{refused}");
    stack.advance(days(29)).await;
    stack.settle().await;
    let ground = Ground::of(&stack, &site).await;
    assert!(
        ground
            .snapshots
            .iter()
            .all(|snapshot| snapshot.state == SnapshotState::Complete)
    );
    assert!(ground.lock_of(&site, 1) >= ground.snapshots[0].protected_until);
    let (sum, _) = reports(&stack, &site).await;
    assert_eq!(sum.refreshed, 0, "nothing is kept rolling");
    stack.advance(days(2)).await;
    stack.settle().await;
    let ground = Ground::of(&stack, &site).await;
    assert!(
        ground
            .snapshots
            .iter()
            .all(|snapshot| snapshot.state == SnapshotState::Expired)
    );
    let (_, report) = reports(&stack, &site).await;
    assert_eq!(
        report.awaiting.iter().map(|waiting| waiting.objects).sum::<u64>(),
        ground.ledger.len() as u64
    );
    stack.advance(days(60)).await;
    stack.settle().await;
    assert_eq!(versions(&stack.root(), &site.set.bucket).await, []);
    assert!(stack.query("SELECT 1 FROM objects").await.is_empty());
}

/// S3 has the last word: a lock that somebody extended, or a legal hold, is respected, told of, and tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_s3_does_not_let_go_is_told_of() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let content = b"somebody extends this".as_slice();
    broken_run(&site, content).await;
    stack.sweep().await;
    let root = stack.root();
    let (key, version) = versions(&root, &site.set.bucket).await.remove(0);
    let until = stack.clock.now() + days(100);
    let retention = aws_sdk_s3::types::ObjectLockRetention::builder()
        .mode(aws_sdk_s3::types::ObjectLockRetentionMode::Compliance)
        .retain_until_date(aws_sdk_s3::primitives::DateTime::from_secs(until.as_second()))
        .build();
    root.put_object_retention()
        .bucket(&site.set.bucket)
        .key(&key)
        .version_id(&version)
        .retention(retention)
        .send()
        .await
        .unwrap();
    // And a stranger's version under the same key, without a lock: not ours to delete.
    root.put_object()
        .bucket(&site.set.bucket)
        .key(&key)
        .body(aws_sdk_s3::primitives::ByteStream::from_static(b"a stranger's"))
        .send()
        .await
        .unwrap();
    stack.advance(days(60)).await;
    stack.sweep().await;
    assert_eq!(versions(&root, &site.set.bucket).await.len(), 2);
    stack.advance(days(41)).await;
    stack.sweep().await;
    let left = versions(&root, &site.set.bucket).await;
    assert!(left.len() == 1 && left[0].1 != version, "{left:?}");
    assert!(stack.query("SELECT 1 FROM objects").await.is_empty());
}
