//! Damage to bucket and ledger, each named.

use std::collections::BTreeSet;

use aws_sdk_s3::{
    primitives::{ByteStream, DateTime},
    types::{ObjectLockRetention, ObjectLockRetentionMode},
};
use holdfast_server::rebuild::Kind;
use sea_orm::ConnectionTrait;
use shared::{api::agent::SnapshotSummary, object::ObjectKind};

use super::{apply, dry, five, named};
use crate::{
    support::{Site, Stack},
    sweep::{Ground, days},
};

/// One object of the ledger that the newest snapshot has: its key and version.
async fn object(stack: &Stack, site: &Site, kind: ObjectKind, born: u64) -> (String, String, String) {
    let ground = Ground::of_ledger(stack, site).await;
    let row = ground
        .ledger
        .iter()
        .find(|row| row.object.kind == kind && row.born == Some(born))
        .unwrap_or_else(|| panic!("no {kind:?} is born in {born}"));
    let version = row.lock.as_ref().unwrap().version_id.clone();
    (
        row.key("holdfast/", site.source.id),
        version,
        row.object.hash.to_string(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_damage_is_named_and_nothing_else() {
    let stack = Stack::start().await;
    let site = five(&stack).await;
    let (root, bucket) = (stack.root(), site.set.bucket.clone());
    let mut expected = BTreeSet::new();
    let mut expect = |kind, subject: &str| {
        expected.insert((kind, subject.to_owned()));
    };

    // The bucket: a pack is deleted, another is hidden and written over, a stranger's key appears.
    let (gone, gone_version, _) = object(&stack, &site, ObjectKind::Pack, 5).await;
    root.delete_object()
        .bucket(&bucket)
        .key(&gone)
        .version_id(&gone_version)
        .bypass_governance_retention(true)
        .send()
        .await
        .unwrap();
    expect(Kind::MissingInBucket, &gone);
    let (hidden, ..) = object(&stack, &site, ObjectKind::TreePack, 5).await;
    root.delete_object()
        .bucket(&bucket)
        .key(&hidden)
        .send()
        .await
        .unwrap();
    expect(Kind::DeleteMarker, &hidden);
    let put = |key: &str, body: Vec<u8>| {
        let put = root.put_object().bucket(&bucket).key(key);
        put.body(ByteStream::from(body)).send()
    };
    put(&hidden, b"a stranger's".to_vec()).await.unwrap();
    expect(Kind::UnknownVersion, &hidden);
    let strange = format!(
        "holdfast/sources/{}/packs/strange",
        site.source.id.as_uuid().simple()
    );
    put(&strange, b"a stranger's".to_vec()).await.unwrap();
    expect(Kind::UnknownVersion, &strange);
    // A commit record that somebody else has signed does not count beside the right one.
    let (record, ..) = object(&stack, &site, ObjectKind::Commit, 2).await;
    put(&record, b"no record".to_vec()).await.unwrap();
    expect(Kind::UnverifiedRecord, &record);
    expect(Kind::UnknownVersion, &record);

    // Somebody who may bypass it has shortened a lock.
    let (short, version, _) = object(&stack, &site, ObjectKind::Index, 5).await;
    let until = stack.clock.now() + days(1);
    let retention = ObjectLockRetention::builder()
        .mode(ObjectLockRetentionMode::Governance)
        .retain_until_date(DateTime::from_secs(until.as_second()))
        .build();
    root.put_object_retention()
        .bucket(&bucket)
        .key(&short)
        .version_id(&version)
        .bypass_governance_retention(true)
        .retention(retention)
        .send()
        .await
        .unwrap();
    expect(Kind::OtherLock, &short);
    expect(Kind::LockedTooShort, &short);

    // The database: each row is changed in one thing.
    let change = async |hash: &str, what: &str| {
        let sql = format!("UPDATE objects SET {what} WHERE encode(hash, 'hex') = '{hash}'");
        stack.owner.execute_unprepared(&sql).await.unwrap();
    };
    let (key, _, hash) = object(&stack, &site, ObjectKind::Pack, 1).await;
    change(&hash, "version_id = 'another'").await;
    expect(Kind::OtherVersion, &key);
    let (key, _, hash) = object(&stack, &site, ObjectKind::Pack, 2).await;
    change(&hash, "locked_until = locked_until + interval '1 day'").await;
    expect(Kind::OtherLock, &key);
    let (key, _, hash) = object(&stack, &site, ObjectKind::Pack, 3).await;
    change(&hash, "dropped = NULL").await;
    expect(Kind::OtherNeed, &key);
    let (key, _, hash) = object(&stack, &site, ObjectKind::Manifest, 4).await;
    change(&hash, "dropped = 7").await;
    expect(Kind::OtherNeed, &key);
    let (key, _, hash) = object(&stack, &site, ObjectKind::Manifest, 3).await;
    change(&hash, "content_md5 = decode(repeat('00', 16), 'hex')").await;
    expect(Kind::OtherContent, &key);
    let (key, _, hash) = object(&stack, &site, ObjectKind::Pack, 4).await;
    let sql = format!("DELETE FROM objects WHERE encode(hash, 'hex') = '{hash}'");
    stack.owner.execute_unprepared(&sql).await.unwrap();
    expect(Kind::MissingInLedger, &key);
    stack
        .owner
        .execute_unprepared("UPDATE snapshots SET protected_until = received_at WHERE seq = 2")
        .await
        .unwrap();
    expect(Kind::OtherSnapshot, "snapshot 2");

    let report = dry(&stack, &site).await;
    assert_eq!(named(&report), expected, "{:#?}", report.sources[0].findings);
    let found = |kind: Kind, subject: &str| {
        let mut findings = report.sources[0].findings.iter();
        let found = findings.find(|finding| finding.kind == kind && finding.subject == subject);
        found.unwrap().clone()
    };
    assert_eq!(
        found(Kind::MissingInBucket, &gone).ledger,
        Some(format!("version {gone_version}"))
    );

    // What the bucket knows is put right; what it has lost, and what strangers left, stays to be told.
    apply(&stack, &site).await;
    let left: BTreeSet<Kind> = [
        Kind::MissingInBucket,
        Kind::LockedTooShort,
        Kind::UnknownVersion,
        Kind::UnverifiedRecord,
        Kind::DeleteMarker,
    ]
    .into();
    expected.retain(|(kind, _)| left.contains(kind));
    assert_eq!(named(&dry(&stack, &site).await), expected);
    // The next backup sends the lost data again, once the loss is believed, and nothing was deleted.
    stack.live_through(jiff::SignedDuration::from_mins(5)).await;
    let sixth: SnapshotSummary = site.backup().await.unwrap();
    assert_eq!(sixth.seq, 6);
    assert!(sixth.totals.bytes_sent > 50_000, "{:?}", sixth.totals);
    // The sweep finds the lock that it can see now, and extends it.
    stack.sweep().await;
    expected.retain(|(kind, _)| *kind != Kind::LockedTooShort);
    assert_eq!(named(&dry(&stack, &site).await), expected);
    site.authorise(&stack.operator, sixth.id).await;
    let target = stack.folder.path().join("restored");
    site.restore(sixth.id, &target).await.unwrap();
}
