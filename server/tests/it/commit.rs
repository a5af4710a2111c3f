//! Promise P1 from its dark side: what is missing, unlocked, short or not ours never becomes a snapshot.

use std::{collections::BTreeMap, fs};

use aws_sdk_s3::primitives::ByteStream;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use holdfast_server::{db, scope};
use jiff::SignedDuration;
use shared::{
    api::{
        agent::{CommitRequest, RunState, SnapshotTotals, UploadRequest, UploadTicket, UploadsRequest},
        commit::PageTotals,
        view::{RunView, TenantOverview},
    },
    object::{ObjectKind, ObjectRef},
    retention::LockMode,
    schedule::{Recurrence, Schedule},
};

use crate::support::{Site, Stack, earliest_lock, versions};

fn upload(kind: ObjectKind, content: &[u8]) -> UploadRequest {
    let object = ObjectRef {
        kind,
        hash: repository::hash(content),
        size_bytes: content.len() as u64,
    };
    UploadRequest {
        object,
        content_md5: BASE64.encode(holdfast_server::s3::content_md5(content)),
    }
}

/// Starts a run and asks to commit one object as the manifest; what is under its key is the test's affair.
async fn commit_one(stack: &Stack, site: &Site, content: &[u8], put: Put) -> RunView {
    let client = site.client();
    let work = client.start_run(site.source.id).await.unwrap();
    let upload = upload(ObjectKind::Manifest, content);
    let tickets = client
        .uploads(
            work.run_id,
            &UploadsRequest {
                objects: vec![upload.clone()],
            },
        )
        .await
        .unwrap();
    let UploadTicket::Put { url, headers, .. } = &tickets[0] else {
        panic!("{tickets:?}")
    };
    match put {
        Put::Nothing => {}
        Put::Signed => {
            let request = headers
                .iter()
                .fold(reqwest::Client::new().put(url), |request, (name, value)| {
                    request.header(name, value)
                });
            assert!(
                request
                    .body(content.to_vec())
                    .send()
                    .await
                    .unwrap()
                    .status()
                    .is_success()
            );
        }
        Put::WithoutLock => {
            let key = repository::layout::object_key(
                "holdfast/",
                site.source.id,
                ObjectKind::Manifest,
                &upload.object.hash,
            );
            let body = ByteStream::from(content.to_vec());
            stack
                .root()
                .put_object()
                .bucket(&site.set.bucket)
                .key(key)
                .body(body)
                .send()
                .await
                .unwrap();
        }
    }
    let request = CommitRequest {
        paths: Vec::new(),
        parent_seq: 0,
        manifest: upload.object,
        totals: SnapshotTotals::default(),
        change: PageTotals::of_pages(&[], repository::hash),
        counted_liveness: false,
        report: None,
    };
    client.commit(work.run_id, &request).await.unwrap();
    stack
        .while_time_passes(site.ended(&stack.operator, work.run_id))
        .await
}

enum Put {
    Nothing,
    Signed,
    WithoutLock,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_unlocked_or_forged_is_not_a_snapshot() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let cases = [
        (b"never sent".as_slice(), Put::Nothing, "gone from the bucket"),
        (b"sent without its lock", Put::WithoutLock, "without the lock"),
        (b"locked, but no manifest", Put::Signed, "is not acceptable"),
    ];
    for (content, put, reason) in cases {
        let run = commit_one(&stack, &site, content, put).await;
        assert_eq!(run.state, RunState::Failed);
        assert!(run.error.as_ref().unwrap().contains(reason), "{:?}", run.error);
    }
    let page: TenantOverview = stack.of_tenant(&site, "/overview").await;
    assert_eq!(page.snapshots, []);
    // No gap: the first real snapshot is number 1.
    fs::write(site.data.join("file"), "content").unwrap();
    assert_eq!(site.backup().await.unwrap().seq, 1);
}

/// Locks taken once run out under data that does not change: 20 days on, the second backup reuses the first one's
/// packs and must not be complete before S3 shows them locked for the new promise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_packs_are_extended_before_the_snapshot_is_complete() {
    let stack = Stack::start().await;
    let daily = Schedule {
        recurrence: Recurrence::Day { hour: 1, minute: 0 },
        time_zone: "UTC".into(),
    };
    let site = stack.site("acme", daily).await;
    let random: Vec<u8> = (0..100_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::write(site.data.join("stays"), random).unwrap();
    site.backup().await.unwrap();
    let root = stack.root();
    let packs = || earliest_lock(&root, &site.set.bucket, "/packs/");
    let first_lock = packs().await;
    let keys = |versions: Vec<(String, String)>| -> BTreeMap<String, String> {
        versions
            .into_iter()
            .filter(|(key, _)| key.contains("/packs/"))
            .collect()
    };
    let before = keys(versions(&root, &site.set.bucket).await);

    // A sweep in between would ask the next run to add so small a pack again.
    stack.hold_rounds().await;
    stack.advance(SignedDuration::from_hours(20 * 24)).await;
    fs::write(site.data.join("new"), "new").unwrap();
    let second = site.backup().await.unwrap();
    assert!(
        first_lock < second.protected_until,
        "the test needs locks that fall short"
    );
    let all = packs().await;
    assert!(
        all >= second.protected_until,
        "{all} is before {}",
        second.protected_until
    );
    // P2: and so far that the upcoming run, a day later and a day of grace late, is covered too.
    let upcoming = second.received_at + SignedDuration::from_hours((30 + 1) * 24);
    assert!(all >= upcoming, "{all} is before {upcoming}");
    // Extended in place: the same versions as before.
    let after = keys(versions(&root, &site.set.bucket).await);
    for (key, version) in &before {
        assert_eq!(after.get(key), Some(version));
    }
}

/// P5: the signed address is good for one object with its lock, and an agent that was superseded can do nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_address_is_good_for_exactly_what_was_signed() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let client = site.client();
    let work = client.start_run(site.source.id).await.unwrap();
    let content = b"the content that was announced".as_slice();
    let request = UploadsRequest {
        objects: vec![upload(ObjectKind::Pack, content)],
    };
    let tickets = client.uploads(work.run_id, &request).await.unwrap();
    let UploadTicket::Put { url, headers, .. } = &tickets[0] else {
        panic!("{tickets:?}")
    };
    let send = |url: String, headers: Vec<(String, String)>, body: Vec<u8>| async move {
        let request = headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
            .fold(reqwest::Client::new().put(url), |request, (name, value)| {
                request.header(name, value)
            });
        request.body(body).send().await.unwrap().status()
    };
    let lock_header = |name: &str| name.starts_with("x-amz-object-lock");
    assert_eq!(
        headers.iter().filter(|(name, _)| lock_header(name)).count(),
        2,
        "{headers:?}"
    );
    let unlocked: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !lock_header(name))
        .cloned()
        .collect();
    let governance: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.replace("COMPLIANCE", "GOVERNANCE")))
        .collect();
    let mut held = headers.clone();
    held.push(("x-amz-object-lock-legal-hold".into(), "ON".into()));
    for (what, url, headers, body) in [
        ("no lock", url.clone(), unlocked, content.to_vec()),
        ("another mode", url.clone(), governance, content.to_vec()),
        ("a legal hold", url.clone(), held, content.to_vec()),
        (
            "another length",
            url.clone(),
            headers.clone(),
            b"something longer than what was announced".to_vec(),
        ),
        (
            "another content",
            url.clone(),
            headers.clone(),
            b"THE CONTENT THAT WAS ANNOUNCED".to_vec(),
        ),
        (
            "another key",
            url.replacen("/packs/", "/other/", 1),
            headers.clone(),
            content.to_vec(),
        ),
    ] {
        let status = send(url, headers, body).await;
        assert!(status.is_client_error(), "{what}: {status}");
    }
    assert_eq!(versions(&stack.root(), &site.set.bucket).await, []);
    assert!(
        send(url.clone(), headers.clone(), content.to_vec())
            .await
            .is_success()
    );
    // Sent once, it is not sent again.
    assert_eq!(
        client.uploads(work.run_id, &request).await.unwrap(),
        [UploadTicket::Stored]
    );

    // A newer run fences the old one off.
    let newer = client.start_run(site.source.id).await.unwrap();
    let refused = client
        .uploads(work.run_id, &request)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("no longer under way"), "{refused}");
    // ... and takes over what the old one had sent.
    assert_eq!(
        client.uploads(newer.run_id, &request).await.unwrap(),
        [UploadTicket::Stored]
    );
}

/// A pack that is gone (here by a GOVERNANCE bypass) must neither be built on nor hold the source up for ever: the run
/// that would have shared it fails before it has a number, and the next sends the data again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_from_the_bucket_enters_the_next_backup_again() {
    let stack = Stack::start().await;
    let site = stack
        .site_in("acme", Schedule::manual(), LockMode::Governance)
        .await;
    fs::write(site.data.join("stays"), "what must not be lost".repeat(1_000)).unwrap();
    site.backup().await.unwrap();
    let root = stack.root();
    for (seq, lost) in [(2, "/packs/"), (3, "/index/")] {
        // Either would find the loss before the run does.
        stack.hold_rounds().await;
        let all = versions(&root, &site.set.bucket).await;
        for (key, version) in all.iter().filter(|(key, _)| key.contains(lost)) {
            let delete = root
                .delete_object()
                .bucket(&site.set.bucket)
                .key(key)
                .version_id(version);
            delete.bypass_governance_retention(true).send().await.unwrap();
        }
        stack.advance(SignedDuration::from_hours(20 * 24)).await;
        let refused = site.backup_while_time_passes(&stack).await.unwrap_err();
        assert!(refused.contains("gone from the bucket"), "{refused}");
        let healed = site.backup().await.unwrap();
        assert_eq!(healed.seq, seq);
        site.authorise(&stack.operator, healed.id).await;
        let target = stack.folder.path().join(format!("restored {seq}"));
        site.restore(healed.id, &target).await.unwrap();
        let restored = target.join(site.data.strip_prefix("/").unwrap()).join("stays");
        assert_eq!(
            fs::read(restored).unwrap(),
            fs::read(site.data.join("stays")).unwrap()
        );
    }
}

/// Somebody with the bucket's keys writes over a pack between its upload and the commit, with the same length and a lock
/// of their own, as a multipart upload whose ETag is no MD5. The signed version is the one that counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_version_on_top_is_not_confirmed() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let client = site.client();
    let work = client.start_run(site.source.id).await.unwrap();
    let content = b"what the agent sent".as_slice();
    let request = UploadsRequest {
        objects: vec![upload(ObjectKind::Pack, content)],
    };
    let tickets = client.uploads(work.run_id, &request).await.unwrap();
    let UploadTicket::Put { url, headers, .. } = &tickets[0] else {
        panic!("{tickets:?}")
    };
    let put = headers
        .iter()
        .fold(reqwest::Client::new().put(url), |put, (name, value)| {
            put.header(name, value)
        });
    assert!(
        put.body(content.to_vec())
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    let root = stack.root();
    let (key, signed) = versions(&root, &site.set.bucket).await.remove(0);
    let until = aws_sdk_s3::primitives::DateTime::from_secs(stack.clock.now().as_second() + 90 * 86_400);
    let begun = root
        .create_multipart_upload()
        .bucket(&site.set.bucket)
        .key(&key)
        .object_lock_mode(aws_sdk_s3::types::ObjectLockMode::Compliance)
        .object_lock_retain_until_date(until)
        .send()
        .await
        .unwrap();
    let garbage = ByteStream::from_static(b"WHAT AN INTRUDER PUT");
    let part = root
        .upload_part()
        .bucket(&site.set.bucket)
        .key(&key)
        .upload_id(begun.upload_id().unwrap());
    let part = part.part_number(1).body(ByteStream::from(
        garbage.collect().await.unwrap().to_vec()[..content.len()].to_vec(),
    ));
    let etag = part.send().await.unwrap().e_tag().unwrap().to_owned();
    let parts = aws_sdk_s3::types::CompletedMultipartUpload::builder()
        .parts(
            aws_sdk_s3::types::CompletedPart::builder()
                .part_number(1)
                .e_tag(etag)
                .build(),
        )
        .build();
    root.complete_multipart_upload()
        .bucket(&site.set.bucket)
        .key(&key)
        .upload_id(begun.upload_id().unwrap())
        .multipart_upload(parts)
        .send()
        .await
        .unwrap();
    // Asked again, the server looks, and finds the agent's version beneath the stranger's.
    assert_eq!(
        client.uploads(work.run_id, &request).await.unwrap(),
        [UploadTicket::Stored]
    );
    let actor = scope::Viewer::authorise(&stack.app.db, stack.operator_user().await, site.tenant)
        .await
        .unwrap();
    let tx = stack.app.db.tenant(&actor.scope).await.unwrap();
    let rows = db::ledger::find(&tx, site.source.id, &[request.objects[0].object.hash])
        .await
        .unwrap();
    assert_eq!(rows[0].lock.as_ref().unwrap().version_id, signed);
}
