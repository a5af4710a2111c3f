//! Recovery from a real bucket, after the database is gone, the agent's state is gone, and somebody with the bucket's root
//! keys was there.

use std::{fs, os::unix::fs::symlink, path::Path};

use agent::{
    keygen::read_kit,
    progress::RestoreCounters,
    recover::{AccessKey, Endpoint, Reading, S3Bucket},
    restore::Order,
};
use aws_sdk_s3::primitives::ByteStream;
use shared::schedule::Schedule;
use tokio::runtime::Handle;

use crate::support::{Stack, versions};

fn portrait(root: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.path().symlink_metadata().unwrap();
            let content = match fs::read_link(entry.path()) {
                Ok(target) => format!("{target:?}"),
                Err(_) => format!(
                    "{:?}",
                    fs::read(entry.path()).ok().map(|bytes| repository::hash(&bytes))
                ),
            };
            let looks = format!(
                "{content} {:?} {:?}",
                metadata.permissions(),
                metadata.modified().unwrap()
            );
            (
                entry.path().strip_prefix(root).unwrap().display().to_string(),
                looks,
            )
        })
        .collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_comes_back_without_server_and_database() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    fs::create_dir(site.data.join("folder")).unwrap();
    fs::write(site.data.join("folder/text"), b"first").unwrap();
    fs::write(site.data.join("large"), vec![7; 9 << 20]).unwrap();
    symlink("folder/text", site.data.join("link")).unwrap();
    let mut looks = vec![portrait(&site.data)];
    site.backup().await.unwrap();
    fs::write(site.data.join("folder/text"), b"second").unwrap();
    looks.push(portrait(&site.data));
    site.backup().await.unwrap();

    // Server, database and agent are no more.
    stack.lose_database().await;
    fs::remove_dir_all(&site.state).unwrap();
    fs::remove_dir_all(&site.data).unwrap();
    // The attacker cannot delete what is locked; writes over it, and hides it.
    let (root, bucket) = (stack.root(), site.set.bucket.clone());
    for (key, _) in versions(&root, &bucket).await {
        let len = root
            .head_object()
            .bucket(&bucket)
            .key(&key)
            .send()
            .await
            .unwrap()
            .content_length()
            .unwrap();
        let garbage = vec![0; usize::try_from(len).unwrap()];
        root.put_object()
            .bucket(&bucket)
            .key(&key)
            .body(ByteStream::from(garbage))
            .send()
            .await
            .unwrap();
        root.delete_object()
            .bucket(&bucket)
            .key(&key)
            .send()
            .await
            .unwrap();
    }

    let endpoint = Endpoint {
        url: Some(stack.lockbox.endpoint().to_owned()),
        region: "us-east-1".into(),
        bucket,
        path_style: true,
    };
    let key = AccessKey {
        id: crate::support::ACCESS_KEY.into(),
        secret: crate::support::SECRET_KEY.to_owned().into(),
        session_token: None,
    };
    let (kit, to, data) = (
        site.kit.clone(),
        stack.folder.path().join("recovered"),
        site.data.clone(),
    );
    let handle = Handle::current();
    let recovered = tokio::task::spawn_blocking(move || {
        let bucket = S3Bucket::new(&endpoint, &key, None, handle);
        let secret = read_kit(&kit).unwrap().secret();
        let reading = Reading {
            bucket: &bucket,
            prefix: "holdfast/",
            secret: Some(&secret),
            commit_key: None,
            signers: &[],
        };
        let sources = reading.all().unwrap();
        assert_eq!(sources.len(), 1);
        assert_eq!(sources[0].snapshots.len(), 2);
        (1..=2)
            .map(|seq| {
                let order = Order {
                    target: to.join(seq.to_string()),
                    verify: true,
                    ..Order::default()
                };
                let found = reading.choose(Some("files"), &seq.to_string()).unwrap();
                let outcome = reading
                    .restore(&found, &[], &order, &RestoreCounters::default())
                    .unwrap();
                assert_eq!(outcome.losses, []);
                portrait(&order.target.join(data.strip_prefix("/").unwrap()))
            })
            .collect::<Vec<_>>()
    })
    .await
    .unwrap();
    assert_eq!(recovered, looks);
}
