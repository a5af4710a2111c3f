//! A snapshot that has lost a pack is restored through the server out of packs of later ones: of the newest complete snapshot
//! of the same source and of those that followed the loss, once the agent has said what is lost, and of no others.

use std::{collections::BTreeSet, fs};

use agent::{client::ClientError, state::State};
use sea_orm::ConnectionTrait;
use shared::{
    api::agent::{LaterRequest, Part, ReadsRequest, RestorePurpose, RestoreRequest, SnapshotSummary},
    ids::RestoreId,
    object::{ObjectHash, ObjectKind},
    retention::LockMode,
    schedule::Schedule,
};

use crate::{
    support::{Site, Stack, versions},
    sweep::{Ground, noise},
};

/// What of a kind a snapshot needs.
async fn needed(stack: &Stack, site: &Site, kind: ObjectKind, seq: u64) -> BTreeSet<ObjectHash> {
    let ground = Ground::of_ledger(stack, site).await;
    let is_needed = |born: Option<u64>, dropped: Option<u64>| {
        born.is_some_and(|born| born <= seq) && dropped.is_none_or(|dropped| dropped > seq)
    };
    ground
        .ledger
        .iter()
        .filter(|row| row.object.kind == kind && is_needed(row.born, row.dropped))
        .map(|row| row.object.hash)
        .collect()
}

fn content(i: u32) -> Vec<u8> {
    noise(i, 100_000)
}

/// Two snapshots, of which the first has lost every pack of its files, as a bypass of GOVERNANCE takes them; the second
/// sent everything again.
async fn lost(stack: &Stack) -> (Site, [SnapshotSummary; 2], BTreeSet<ObjectHash>) {
    let site = stack
        .site_in("acme", Schedule::manual(), LockMode::Governance)
        .await;
    for i in 0..5 {
        fs::write(site.data.join(format!("file-{i}")), content(i)).unwrap();
    }
    let first = site.backup().await.unwrap();
    let lost = needed(stack, &site, ObjectKind::Pack, 1).await;
    let root = stack.root();
    for (key, version) in versions(&root, &site.set.bucket).await {
        if lost.iter().any(|hash| key.ends_with(&hash.to_string())) {
            let delete = root.delete_object().bucket(&site.set.bucket).key(&key);
            let delete = delete.version_id(&version).bypass_governance_retention(true);
            delete.send().await.unwrap();
        }
    }
    // As the daily check finds it.
    let missing = format!(
        "UPDATE objects SET missing_since = '{}' WHERE kind = {}",
        stack.clock.now(),
        ObjectKind::Pack.tag()
    );
    stack.owner.execute_unprepared(&missing).await.unwrap();
    fs::write(site.data.join("new"), b"new").unwrap();
    let second = site.backup().await.unwrap();
    assert!(second.totals.bytes_sent > 1_000_000);
    (site, [first, second], lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_pack_is_read_out_of_the_newest_snapshots_packs() {
    let stack = Stack::start().await;
    let (site, [first, second], _) = lost(&stack).await;
    for (snapshot, has_new) in [(&first, false), (&second, true)] {
        site.authorise(&stack.operator, snapshot.id).await;
        let target = stack.folder.path().join(format!("restored-{}", snapshot.seq));
        site.restore(snapshot.id, &target).await.unwrap();
        let restored = target.join(site.data.strip_prefix("/").unwrap());
        for i in 0..5 {
            assert!(fs::read(restored.join(format!("file-{i}"))).unwrap() == content(i));
        }
        assert_eq!(restored.join("new").exists(), has_new);
    }
    // Both commit records were verified with the key that enrollment left behind.
    let config = State::open(&site.state).unwrap().config().clone();
    assert!(config.commit_key.is_some());
    let events = "SELECT detail FROM audit_events WHERE action = 'restore.later'";
    assert_eq!(stack.query(events).await.len(), 1);
}

/// What was sent again after the loss, and is not in the newest snapshot: its files were deleted since, and nothing is left that
/// lies in a pack with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_pack_is_read_out_of_a_snapshot_in_between() {
    let stack = Stack::start().await;
    let (site, [first, _], _) = lost(&stack).await;
    for i in 0..5 {
        fs::remove_file(site.data.join(format!("file-{i}"))).unwrap();
    }
    fs::remove_file(site.data.join("new")).unwrap();
    fs::write(site.data.join("newest"), b"newest").unwrap();
    site.backup().await.unwrap();
    let between = needed(&stack, &site, ObjectKind::Pack, 2).await;
    let newest = needed(&stack, &site, ObjectKind::Pack, 3).await;
    assert!(between.is_disjoint(&newest), "the newest snapshot has it, too");
    site.authorise(&stack.operator, first.id).await;
    let target = stack.folder.path().join("restored");
    site.restore(first.id, &target).await.unwrap();
    let restored = target.join(site.data.strip_prefix("/").unwrap());
    for i in 0..5 {
        assert!(fs::read(restored.join(format!("file-{i}"))).unwrap() == content(i));
    }
}

/// What may be read, and by whom, before and after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_lost_opens_the_newest_snapshot() {
    let stack = Stack::start().await;
    let (site, [first, second], lost) = lost(&stack).await;
    let client = site.client();
    let later = needed(&stack, &site, ObjectKind::Pack, 2).await;
    let (lost, later) = (*lost.first().unwrap(), *later.difference(&lost).next().unwrap());
    site.authorise(&stack.operator, first.id).await;
    let work = client
        .start_restore(&RestoreRequest {
            snapshot_id: first.id,
            purpose: RestorePurpose::Restore,
        })
        .await
        .unwrap();
    let reads = |hash| ReadsRequest {
        parts: vec![Part::of(hash, &(0..1))],
    };
    let asks = |lost: &[ObjectHash]| LaterRequest {
        lost: lost.to_vec(),
        nth: 0,
    };
    let status = |error: ClientError| match error {
        ClientError::Refused { status, .. } => status,
        other => panic!("{other}"),
    };
    // The commit record is readable, the later pack is not.
    let record = work.record.unwrap();
    assert_eq!(record.kind, ObjectKind::Commit);
    let read = client
        .restore_reads(work.restore_id, &reads(record.hash))
        .await
        .unwrap();
    assert!(read[0].url.contains("/commits/"), "{}", read[0].url);
    let refused = client.restore_reads(work.restore_id, &reads(later)).await;
    assert_eq!(status(refused.unwrap_err()), 404);

    // Nothing lost, or something that the snapshot does not need, opens nothing.
    for wrong in [&[][..], &[later], &[lost, later]] {
        let refused = client.restore_later(work.restore_id, &asks(wrong)).await;
        assert!([404, 422, 400].contains(&status(refused.unwrap_err())));
    }
    let refused = client.restore_reads(work.restore_id, &reads(later)).await;
    assert_eq!(status(refused.unwrap_err()), 404);
    let unknown = RestoreId::from_uuid(uuid::Uuid::from_u128(1));
    let refused = client.restore_later(unknown, &asks(&[lost])).await;
    assert_eq!(status(refused.unwrap_err()), 404);

    let opened = client
        .restore_later(work.restore_id, &asks(&[lost]))
        .await
        .unwrap();
    assert_eq!(opened.seq, second.seq);
    for hash in [later, opened.manifest.hash, record.hash] {
        client.restore_reads(work.restore_id, &reads(hash)).await.unwrap();
    }
    // Another snapshot's commit record binds nothing here.
    let newest = needed(&stack, &site, ObjectKind::Commit, 2).await;
    let refused = client
        .restore_reads(work.restore_id, &reads(*newest.first().unwrap()))
        .await;
    assert_eq!(status(refused.unwrap_err()), 404);

    // The next restore begins as narrow as this one did.
    let again = client
        .start_restore(&RestoreRequest {
            snapshot_id: first.id,
            purpose: RestorePurpose::Restore,
        })
        .await
        .unwrap();
    let refused = client.restore_reads(again.restore_id, &reads(later)).await;
    assert_eq!(status(refused.unwrap_err()), 404);

    // The newest snapshot has none after it.
    site.authorise(&stack.operator, second.id).await;
    let work = client
        .start_restore(&RestoreRequest {
            snapshot_id: second.id,
            purpose: RestorePurpose::Restore,
        })
        .await
        .unwrap();
    let refused = client.restore_later(work.restore_id, &asks(&[later])).await;
    assert_eq!(status(refused.unwrap_err()), 409);
}
