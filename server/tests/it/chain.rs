//! From a storage account to a restored folder, and what is refused on the way.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use shared::{
    api::{
        request::{NewBackupSet, NewStorageAccount, NewTenant, PolicyOptions},
        view::{
            BucketInspection, SnapshotPage, SnapshotState, StorageAccountView, TenantOverview, TenantSummary,
        },
    },
    retention::{LockMode, Period, Tier},
};

use crate::{
    support::{EMAIL, Session, Stack, earliest_lock, versions},
    sweep::{noise, weekly},
};

fn fill(data: &Path) {
    fs::create_dir_all(data.join("empty")).unwrap();
    fs::create_dir_all(data.join("deep/er")).unwrap();
    for i in 0..40_u32 {
        let content: Vec<u8> = (0..i * 3_000).flat_map(|n| (n ^ i).to_le_bytes()).collect();
        fs::write(data.join(format!("deep/er/{i}.bin")), content).unwrap();
    }
    fs::write(data.join("script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(data.join("script"), fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::symlink("deep/er/7.bin", data.join("link")).unwrap();
}

/// Everything that a restore must bring back: path, kind, mode, time of change, content or target.
fn describe(root: &Path) -> Vec<(String, String)> {
    use std::os::unix::fs::MetadataExt;
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else {
                format!("{:?}", repository::hash(&fs::read(&path).unwrap()))
            };
            let stat = format!(
                "{:o} {}.{} {content}",
                meta.mode(),
                meta.mtime(),
                meta.mtime_nsec()
            );
            all.push((path.strip_prefix(root).unwrap().display().to_string(), stat));
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_backups_are_incremental_locked_and_restore() {
    let stack = Stack::start().await;
    let site = stack.site("acme", weekly()).await;
    fill(&site.data);
    let first = site.backup().await.unwrap();
    assert!(first.complete);
    assert_eq!(first.seq, 1);
    assert_eq!(
        first.protected_until,
        shared::retention::ceil_to_second(first.received_at + jiff::SignedDuration::from_hours(24 * 30))
    );
    let before = describe(&site.data);

    fs::write(site.data.join("deep/er/3.bin"), "changed").unwrap();
    fs::remove_file(site.data.join("deep/er/4.bin")).unwrap();
    fs::write(site.data.join("new"), "new").unwrap();
    let after = describe(&site.data);
    let second = site.backup().await.unwrap();
    assert_eq!(second.seq, 2);
    assert!(
        second.totals.bytes_sent * 5 < first.totals.bytes_sent,
        "the second backup sent {} bytes after {}",
        second.totals.bytes_sent,
        first.totals.bytes_sent
    );

    // P1: whatever is in the bucket is locked at least until the promise, as S3 shows it to its root user.
    let root = stack.root();
    let bucket = "acme-bucket";
    assert!(earliest_lock(&root, bucket, "").await >= second.protected_until);

    // A restore takes a person's leave.
    let target = stack.folder.path().join("restored");
    let refused = site.restore(first.id, &target).await.unwrap_err();
    assert!(refused.contains("allowed a restore"), "{refused}");
    for (snapshot, wanted) in [(first.id, &before), (second.id, &after)] {
        site.authorise(&stack.operator, snapshot).await;
        let target = stack.folder.path().join(format!("restored-{snapshot}"));
        site.restore(snapshot, &target).await.unwrap();
        let restored = target.join(site.data.strip_prefix("/").unwrap());
        assert_eq!(&describe(&restored), wanted);
        // The leave is for as many as are wanted.
        let again = stack.folder.path().join(format!("again-{snapshot}"));
        site.restore(snapshot, &again).await.unwrap();
    }

    let page: SnapshotPage = stack
        .operator
        .get(&format!("/tenants/{}/snapshots/{}", site.tenant, second.id))
        .await
        .unwrap();
    assert_eq!(page.snapshot.state, SnapshotState::Complete);
    assert!(page.earliest_lock.unwrap() >= second.protected_until);
    assert!(page.restore_command.contains(&second.id.to_string()));
    let page: TenantOverview = stack.of_tenant(&site, "/overview").await;
    assert_eq!(page.snapshots.len(), 2);
    assert_eq!(page.sources[0].newest_snapshot.as_ref().unwrap().id, second.id);

    // Delete markers that somebody left are seen, and nothing else is out of order.
    let listed = versions(&root, bucket).await;
    for (key, _) in &listed {
        root.delete_object().bucket(bucket).key(key).send().await.unwrap();
    }
    let path = format!("/tenants/{}/backup-sets/{}/inspect", site.tenant, site.set.id);
    let found: BucketInspection = stack.operator.post(&path, &serde_json::json!({})).await.unwrap();
    assert_eq!(found.delete_markers, listed.len() as u64);
    assert_eq!(
        (found.versions, found.known_versions),
        (listed.len() as u64, listed.len() as u64)
    );
    assert_eq!((found.unknown_versions, found.missing_versions), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_bucket_is_refused_with_what_to_do() {
    let stack = Stack::start().await;
    let root = stack.root();
    root.create_bucket().bucket("plain").send().await.unwrap();
    root.create_bucket().bucket("versioned").send().await.unwrap();
    let on = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    root.put_bucket_versioning()
        .bucket("versioned")
        .versioning_configuration(on)
        .send()
        .await
        .unwrap();
    root.create_bucket()
        .bucket("lockable")
        .object_lock_enabled_for_bucket(true)
        .send()
        .await
        .unwrap();

    let tenant: TenantSummary = stack
        .operator
        .post("/tenants", &NewTenant { name: "acme".into() })
        .await
        .unwrap();
    let base = format!("/tenants/{}", tenant.id);
    let accounts = format!("{base}/storage-accounts");
    let good = stack.storage_account();
    let cases = [
        (
            NewStorageAccount {
                secret_key: "wrong".into(),
                ..good.clone()
            },
            "wrong_secret_key",
        ),
        (
            NewStorageAccount {
                access_key: "nobody".into(),
                ..good.clone()
            },
            "wrong_access_key",
        ),
        (
            NewStorageAccount {
                endpoint: "http://127.0.0.1:9".into(),
                ..good.clone()
            },
            "endpoint_unusable",
        ),
        (
            NewStorageAccount {
                endpoint: "s3.example.test".into(),
                ..good.clone()
            },
            "endpoint",
        ),
    ];
    for (account, code) in cases {
        let refused = stack
            .operator
            .post::<StorageAccountView>(&accounts, &account)
            .await
            .unwrap_err();
        assert_eq!(refused.code, code, "{}", refused.message);
        assert!(!refused.message.contains("test-root-secret"));
    }
    let account: StorageAccountView = stack.operator.post(&accounts, &good).await.unwrap();

    let key = agent::keygen(&stack.folder.path().join("kit")).unwrap();
    let set = |bucket: &str| NewBackupSet {
        name: bucket.into(),
        storage_account_id: account.id,
        bucket: bucket.into(),
        prefix: String::new(),
        create_bucket: false,
        immutable_retention: true,
        retention_days: 30,
        mode: LockMode::Compliance,
        recovery_key: key.to_string(),
        options: PolicyOptions::default(),
    };
    let tier = |retention_days| Tier {
        every: Period::Week,
        retention_days,
    };
    let cases = [
        (set("plain"), "bucket_not_versioned"),
        (set("versioned"), "bucket_not_lockable"),
        (set("nowhere"), "no_such_bucket"),
        (
            NewBackupSet {
                create_bucket: true,
                ..set("lockable")
            },
            "bucket_exists",
        ),
        (
            NewBackupSet {
                create_bucket: true,
                ..set("No_Name")
            },
            "bucket_name",
        ),
        (
            NewBackupSet {
                immutable_retention: false,
                ..set("lockable")
            },
            "immutable_retention",
        ),
        (
            NewBackupSet {
                retention_days: 0,
                ..set("lockable")
            },
            "retention_days",
        ),
        (
            NewBackupSet {
                recovery_key: "hfrk1nonsense".into(),
                ..set("lockable")
            },
            "recovery_key",
        ),
        (
            NewBackupSet {
                options: PolicyOptions {
                    tiers: vec![tier(400), tier(500)],
                    ..PolicyOptions::default()
                },
                ..set("lockable")
            },
            "tiers",
        ),
        (
            NewBackupSet {
                options: PolicyOptions {
                    time_zone: "Mars/Olympus".into(),
                    ..PolicyOptions::default()
                },
                ..set("lockable")
            },
            "time_zone",
        ),
        (
            NewBackupSet {
                options: PolicyOptions {
                    keep_last: 0,
                    ..PolicyOptions::default()
                },
                ..set("lockable")
            },
            "keep_last",
        ),
        (
            NewBackupSet {
                prefix: "a b".into(),
                ..set("lockable")
            },
            "prefix",
        ),
    ];
    let sets = format!("{base}/backup-sets");
    for (request, code) in cases {
        let refused = stack
            .operator
            .post::<serde_json::Value>(&sets, &request)
            .await
            .unwrap_err();
        assert_eq!(refused.code, code, "{}", refused.message);
    }
    stack
        .operator
        .post::<serde_json::Value>(&sets, &set("lockable"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_takes_the_right_password_and_few_tries() {
    let stack = Stack::start().await;
    assert_eq!(
        Session::sign_in(&stack.url, EMAIL, "wrong password")
            .await
            .err()
            .unwrap()
            .code,
        "wrong_credentials"
    );
    assert_eq!(
        Session::sign_in(&stack.url, "nobody@example.test", "wrong password")
            .await
            .err()
            .unwrap()
            .code,
        "wrong_credentials"
    );
    let mut last = String::new();
    for _ in 0..12 {
        last = Session::sign_in(&stack.url, "guess@example.test", "x")
            .await
            .err()
            .unwrap()
            .code;
    }
    assert_eq!(last, "too_many_attempts");
    stack
        .operator
        .send::<()>(reqwest::Method::DELETE, "/session", None)
        .await;
    assert_eq!(
        stack
            .operator
            .get::<serde_json::Value>("/me")
            .await
            .unwrap_err()
            .code,
        "sign_in_needed"
    );
}

/// The agent is gone in the middle of its first backup. The next run takes over the packs that are in the bucket, and sends none of
/// them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packs_of_a_run_that_broke_off_are_taken_over() {
    const MIB: usize = 1 << 20;
    let stack = Stack::start().await;
    let site = stack.site("acme", weekly()).await;
    for number in 0..80u32 {
        let noise = noise(number, 1 << 18);
        fs::write(site.data.join(number.to_string()), noise).unwrap();
    }
    let root = stack.root();
    let packs = async || {
        let mut all = versions(&root, "acme-bucket").await;
        all.retain(|(key, _)| key.contains("/packs/"));
        all
    };
    {
        let mut run = Box::pin(site.backup());
        while packs().await.len() < 2 {
            tokio::select! {
                done = &mut run => panic!("over before it could be broken off: {done:?}"),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
        }
    }
    // What was on its way may still arrive.
    let mut sent = packs().await;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let later = packs().await;
        if later.len() == sent.len() {
            break;
        }
        sent = later;
    }

    let snapshot = site.backup().await.unwrap();
    let after = packs().await;
    for (key, version) in &sent {
        let of_key: Vec<_> = after.iter().filter(|(other, _)| other == key).collect();
        assert_eq!(
            of_key,
            [&(key.clone(), version.clone())],
            "sent once, and still there"
        );
    }
    // Each pack that was there holds some 15 of the 80 MiB.
    let taken_over = (sent.len() * 14 * MIB) as u64;
    assert!(
        snapshot.totals.bytes_sent + taken_over < (80 + 16) * MIB as u64,
        "{} bytes sent after {} packs",
        snapshot.totals.bytes_sent,
        sent.len()
    );
    site.authorise(&stack.operator, snapshot.id).await;
    let target = stack.folder.path().join("restored");
    site.restore(snapshot.id, &target).await.unwrap();
    let restored = target.join(site.data.strip_prefix("/").unwrap());
    assert_eq!(describe(&restored), describe(&site.data));
}
