//! Objects, versions and markers.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::MetadataDirective;

use crate::support::lab::{LOCKED, Lab, PLAIN, code};
use crate::support::sign::Raw;

#[tokio::test]
async fn put_head_get_and_ranges() {
    let lab = Lab::start().await;
    for size in [0_usize, 1, 8 * 1024, 8 * 1024 + 1, 700_000] {
        let body: Vec<u8> = (0..=250).cycle().take(size).collect();
        let put = lab
            .s3
            .put_object()
            .bucket(LOCKED)
            .key("k")
            .body(ByteStream::from(body.clone()));
        let put = put
            .content_type("text/x-test")
            .metadata("Colour", "blue")
            .cache_control("no-store");
        let put = put.send().await.unwrap();
        let head = lab.s3.head_object().bucket(LOCKED).key("k").send().await.unwrap();
        assert_eq!(head.content_length(), i64::try_from(size).ok());
        assert_eq!(head.version_id, put.version_id);
        assert_eq!(head.e_tag, put.e_tag);
        assert_eq!(head.content_type(), Some("text/x-test"));
        assert_eq!(head.cache_control(), Some("no-store"));
        assert_eq!(head.metadata().unwrap()["colour"], "blue");
        assert_eq!(lab.get(LOCKED, "k").await, body);
        if size < 2 {
            continue;
        }
        for (range, from, to) in [
            ("bytes=0-0".to_owned(), 0, 1),
            (format!("bytes=1-{}", size + 100), 1, size),
            (format!("bytes={}-", size - 1), size - 1, size),
            ("bytes=-2".to_owned(), size - 2, size),
            (format!("bytes={}-{}", size / 3, size / 2), size / 3, size / 2 + 1),
        ] {
            let got = lab
                .s3
                .get_object()
                .bucket(LOCKED)
                .key("k")
                .range(&range)
                .send()
                .await
                .unwrap();
            assert_eq!(
                got.content_range(),
                Some(&*format!("bytes {from}-{}/{size}", to - 1))
            );
            assert_eq!(
                got.body.collect().await.unwrap().to_vec(),
                &body[from..to],
                "{range} of {size}"
            );
        }
        let beyond = format!("bytes={size}-");
        let error = lab
            .s3
            .get_object()
            .bucket(LOCKED)
            .key("k")
            .range(beyond)
            .send()
            .await
            .unwrap_err();
        assert_eq!(code(&error), "InvalidRange");
    }
}

#[tokio::test]
async fn if_none_match_has_one_winner_among_racing_writers() {
    let lab = Lab::start().await;
    for (bucket, key) in [(LOCKED, "small"), (LOCKED, "large"), (PLAIN, "plain")] {
        let size = if key == "large" { 600_000 } else { 10 };
        let racers = (0..16_u8).map(|i| {
            let put = lab.s3.put_object().bucket(bucket).key(key).if_none_match("*");
            put.body(ByteStream::from(vec![i; size])).send()
        });
        let results = futures::future::join_all(racers).await;
        let winner = results.iter().position(Result::is_ok).unwrap();
        for (i, result) in results.iter().enumerate() {
            match result {
                Ok(_) => assert_eq!(i, winner, "one winner"),
                Err(error) => assert_eq!(code(error), "PreconditionFailed"),
            }
        }
        assert_eq!(
            lab.get(bucket, key).await,
            vec![u8::try_from(winner).unwrap(); size]
        );
        let rows = lab.everything(bucket).await;
        assert_eq!(rows.iter().filter(|row| row.starts_with(key)).count(), 1);
    }
    // Losers leave no files.
    lab.settle(1).await;
    // Behind a delete marker the key is free again.
    lab.s3
        .delete_object()
        .bucket(LOCKED)
        .key("small")
        .send()
        .await
        .unwrap();
    let put = lab.s3.put_object().bucket(LOCKED).key("small").if_none_match("*");
    put.body(ByteStream::from_static(b"again")).send().await.unwrap();
    let put = lab
        .s3
        .put_object()
        .bucket(LOCKED)
        .key("small")
        .if_match("\"0123\"");
    let error = put.body(ByteStream::from_static(b"x")).send().await.unwrap_err();
    assert_eq!(code(&error), "PreconditionFailed");
    let etag = lab
        .s3
        .head_object()
        .bucket(LOCKED)
        .key("small")
        .send()
        .await
        .unwrap()
        .e_tag
        .unwrap();
    let put = lab.s3.put_object().bucket(LOCKED).key("small").if_match(etag);
    put.body(ByteStream::from_static(b"x")).send().await.unwrap();
}

#[tokio::test]
async fn copies() {
    let lab = Lab::start().await;
    let body = vec![42; 900_000];
    let put = lab
        .s3
        .put_object()
        .bucket(LOCKED)
        .key("a")
        .body(ByteStream::from(body.clone()));
    let first = put.metadata("n", "1").send().await.unwrap().version_id.unwrap();
    lab.put(LOCKED, "a", b"newer").await;
    let source = format!("{LOCKED}/a?versionId={first}");
    let copy = lab
        .s3
        .copy_object()
        .bucket(PLAIN)
        .key("b/ü")
        .copy_source(source)
        .send()
        .await
        .unwrap();
    assert_eq!(copy.copy_source_version_id.as_deref(), Some(&*first));
    assert_eq!(lab.get(PLAIN, "b/ü").await, body);
    let head = lab
        .s3
        .head_object()
        .bucket(PLAIN)
        .key("b/ü")
        .send()
        .await
        .unwrap();
    assert_eq!(head.metadata().unwrap()["n"], "1");
    let itself = lab
        .s3
        .copy_object()
        .bucket(LOCKED)
        .key("a")
        .copy_source(format!("{LOCKED}/a"));
    assert_eq!(code(&itself.clone().send().await.unwrap_err()), "InvalidRequest");
    let itself = itself
        .metadata_directive(MetadataDirective::Replace)
        .metadata("n", "2");
    itself.send().await.unwrap();
    let head = lab.s3.head_object().bucket(LOCKED).key("a").send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["n"], "2");
    let onto = lab
        .s3
        .copy_object()
        .bucket(PLAIN)
        .key("b/ü")
        .copy_source(format!("{LOCKED}/a"));
    assert_eq!(
        code(&onto.if_none_match("*").send().await.unwrap_err()),
        "PreconditionFailed"
    );
    let missing = lab
        .s3
        .copy_object()
        .bucket(LOCKED)
        .key("c")
        .copy_source(format!("{LOCKED}/none"));
    assert_eq!(code(&missing.send().await.unwrap_err()), "NoSuchKey");
}

#[tokio::test]
async fn conditional_reads() {
    let lab = Lab::start().await;
    lab.put(PLAIN, "k", b"x").await;
    let etag = lab
        .s3
        .head_object()
        .bucket(PLAIN)
        .key("k")
        .send()
        .await
        .unwrap()
        .e_tag
        .unwrap();
    let get = || lab.s3.get_object().bucket(PLAIN).key("k");
    assert!(get().if_match(&etag).send().await.is_ok());
    assert_eq!(
        code(&get().if_match("\"no\"").send().await.unwrap_err()),
        "PreconditionFailed"
    );
    let unchanged = get().if_none_match(&etag).send().await.unwrap_err();
    assert_eq!(unchanged.raw_response().unwrap().status().as_u16(), 304);
    assert!(get().if_none_match("\"no\"").send().await.is_ok());
}

#[tokio::test]
async fn what_is_not_supported_is_refused() {
    let lab = Lab::start().await;
    let put = |name: &str, value: &str| {
        Raw::put(&lab, &format!("/{PLAIN}/k"), b"x")
            .header(name, value)
            .sign()
    };
    for (name, value) in [
        ("x-amz-tagging", "a=b"),
        ("x-amz-acl", "public-read"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ] {
        assert_eq!(put(name, value).outcome().await.0, 501, "{name}");
    }
    assert_eq!(
        put("x-amz-storage-class", "GLACIER").outcome().await.1,
        "InvalidStorageClass"
    );
    assert!(lab.everything(PLAIN).await.is_empty());
    let lifecycle = lab
        .s3
        .get_bucket_lifecycle_configuration()
        .bucket(PLAIN)
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&lifecycle), "NoSuchLifecycleConfiguration");
    let policy = lab.s3.get_bucket_policy().bucket(PLAIN).send().await.unwrap_err();
    assert_eq!(code(&policy), "NoSuchBucketPolicy");
}
