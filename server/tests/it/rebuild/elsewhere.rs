//! Another server, which never knew any of it.

use std::collections::BTreeSet;

use agent::keygen::read_kit;
use holdfast_server::rebuild::{Kind, Options};
use shared::{
    api::{
        request::{NewBackupSet, NewStorageAccount, NewTenant, PolicyOptions},
        view::{BackupSetView, SnapshotState, StorageAccountView, TenantSummary},
    },
    retention::{LockAhead, LockMode},
};

use super::{apply, five, named, rows, run};
use crate::{
    support::{Site, Stack},
    sweep::{Ground, days},
};

/// The tenant, the storage account and the backup set, made by hand on another server.
async fn recreate(stack: &Stack, site: &Site, name: &str) -> Site {
    let tenant: TenantSummary = stack
        .operator
        .post("/tenants", &NewTenant { name: name.into() })
        .await
        .unwrap();
    let base = format!("/tenants/{}", tenant.id);
    let account: StorageAccountView = stack
        .operator
        .post::<StorageAccountView>(
            &format!("{base}/storage-accounts"),
            &NewStorageAccount {
                name: "found again".into(),
                ..stack.storage_account()
            },
        )
        .await
        .unwrap();
    let set: BackupSetView = stack
        .operator
        .post(
            &format!("{base}/backup-sets"),
            &NewBackupSet {
                name: "found again".into(),
                storage_account_id: account.id,
                bucket: site.set.bucket.clone(),
                prefix: "holdfast".into(),
                create_bucket: false,
                immutable_retention: true,
                retention_days: 30,
                mode: LockMode::Governance,
                recovery_key: read_kit(&site.kit).unwrap().secret().public().to_string(),
                options: PolicyOptions {
                    lock_ahead: LockAhead::Days(14),
                    ..PolicyOptions::default()
                },
            },
        )
        .await
        .unwrap();
    Site {
        tenant: tenant.id,
        set,
        source: site.source.clone(),
        state: site.state.clone(),
        kit: site.kit.clone(),
        data: site.data.clone(),
    }
}

/// Server, database and master key are gone. What is left is the bucket, the recovery public key, and the old server's key
/// for commit records from its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_takes_over_what_it_never_knew() {
    let mut stack = Stack::start().await;
    let site = five(&stack).await;
    let before = rows(&stack).await;
    let old_key = stack.app.commit_key.verifying_key();
    stack.lose_server().await;
    let site = recreate(&stack, &site, "again").await;
    assert!(rows(&stack).await.is_empty());

    // Nothing counts that its own key has not signed: a forger's records would not either.
    let report = apply(&stack, &site).await;
    assert_eq!(report.sources[0].snapshots, 0);
    assert!(report.sources[0].refused.is_some(), "{report:?}");
    let unverified = named(&report)
        .into_iter()
        .filter(|(kind, _)| *kind == Kind::UnverifiedRecord);
    assert_eq!(unverified.count(), 5);
    assert!(rows(&stack).await.is_empty());
    // Without the key there is a way too, at the operator's word; with it there is certainty.
    let lenient = Options {
        any_commit_key: true,
        ..Options::default()
    };
    assert_eq!(run(&stack, &site, lenient).await.sources[0].snapshots, 5);
    let options = Options {
        apply: true,
        commit_keys: vec![old_key],
        read_all: true,
        ..Options::default()
    };
    let report = run(&stack, &site, options.clone()).await;
    let kinds: BTreeSet<Kind> = named(&report).into_iter().map(|(kind, _)| kind).collect();
    let expected = [
        Kind::UnknownSource,
        Kind::UnknownAgent,
        Kind::SnapshotMissingInLedger,
        Kind::MissingInLedger,
    ];
    assert_eq!(kinds, BTreeSet::from(expected));
    assert_eq!(rows(&stack).await, before);
    let dry = Options {
        apply: false,
        ..options
    };
    assert!(run(&stack, &site, dry.clone()).await.is_clean());
    let unclaimed = stack
        .query(
            "SELECT 1 FROM sources WHERE name LIKE 'unclaimed %' AND retired_at IS NULL AND next_due IS NULL",
        )
        .await;
    assert_eq!(unclaimed.len(), 1);

    // Nothing expires before its promise, and the newest never lapses, whoever the source belongs to.
    for day in 0..8 {
        stack.sweep().await;
        let ground = Ground::of(&stack, &site).await;
        for snapshot in &ground.snapshots {
            if snapshot.protected_until > ground.now {
                assert_eq!(snapshot.state, SnapshotState::Complete, "day {day}: {snapshot:?}");
                assert!(ground.lock_of(&site, snapshot.seq) >= snapshot.protected_until);
            }
        }
        assert_eq!(ground.newest().seq, 5);
        assert!(ground.lock_of(&site, 5) > ground.now + days(29));
        stack.advance(days(7)).await;
    }
    // Ledger and bucket agree, whatever has expired and gone meanwhile.
    let report = run(&stack, &site, dry).await;
    assert!(report.is_clean(), "{report:?}");
    let expired = stack
        .query("SELECT 1 FROM snapshots WHERE state = 'expired'")
        .await;
    assert_eq!(expired.len(), 4);
    // Another tenant cannot take it a second time.
    let thief = recreate(&stack, &site, "thief").await;
    let report = run(
        &stack,
        &thief,
        Options {
            apply: true,
            commit_keys: vec![old_key],
            ..Options::default()
        },
    )
    .await;
    assert!(
        report.sources[0]
            .refused
            .as_ref()
            .unwrap()
            .contains("another tenant"),
        "{report:?}"
    );
}
