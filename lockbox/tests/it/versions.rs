//! Versions, delete markers and the deletion of both.

use reqwest::Method;

use crate::support::lab::{DAY, LOCKED, Lab, PLAIN, batch, code};
use crate::support::sign::Raw;

#[tokio::test]
async fn a_delete_adds_a_marker_and_markers_can_be_removed() {
    let lab = Lab::start().await;
    let id = lab.put(LOCKED, "k", b"x").await.unwrap();
    let deleted = lab
        .s3
        .delete_object()
        .bucket(LOCKED)
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.delete_marker, Some(true));
    let marker = deleted.version_id.unwrap();
    let get = Raw::new(&lab, Method::GET, &format!("/{LOCKED}/k"));
    let response = get.clone().sign().send().await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["x-amz-delete-marker"], "true");
    assert_eq!(response.headers()["x-amz-version-id"], marker.as_str());
    let response = get.query("versionId", &marker).sign().send().await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "DELETE");
    assert!(response.text().await.unwrap().contains("MethodNotAllowed"));
    let old = lab
        .s3
        .get_object()
        .bucket(LOCKED)
        .key("k")
        .version_id(&id)
        .send()
        .await
        .unwrap();
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"x");
    // A key that never was gets a marker too.
    lab.s3
        .delete_object()
        .bucket(LOCKED)
        .key("never")
        .send()
        .await
        .unwrap();
    assert_eq!(lab.everything(LOCKED).await.len(), 3);
    let undone = lab
        .s3
        .delete_object()
        .bucket(LOCKED)
        .key("k")
        .version_id(&marker)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (undone.delete_marker, undone.version_id),
        (Some(true), Some(marker))
    );
    assert_eq!(lab.get(LOCKED, "k").await, b"x");
    // A version that is not there: fine, as in S3. An id that cannot be one: not.
    let gone = "0".repeat(32);
    assert!(lab.delete_version("k", &gone, false).await.is_ok());
    assert_eq!(
        lab.delete_version("k", "nonsense", false).await,
        Err("InvalidArgument".into())
    );
    let error = lab
        .s3
        .get_object()
        .bucket(LOCKED)
        .key("k")
        .version_id(gone)
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "NoSuchVersion");
}

#[tokio::test]
async fn unversioned_and_suspended_buckets_have_one_null_version() {
    let lab = Lab::start().await;
    assert_eq!(lab.put(PLAIN, "k", b"1").await, None);
    assert_eq!(lab.put(PLAIN, "k", b"2").await, None);
    assert_eq!(lab.everything(PLAIN).await, ["k null"]);
    lab.set_versioning(PLAIN, "Enabled").await.unwrap();
    let id = lab.put(PLAIN, "k", b"3").await.unwrap();
    assert_eq!(lab.everything(PLAIN).await, [format!("k {id}"), "k null".into()]);
    lab.set_versioning(PLAIN, "Suspended").await.unwrap();
    assert_eq!(lab.put(PLAIN, "k", b"4").await.as_deref(), Some("null"));
    assert_eq!(lab.everything(PLAIN).await, ["k null".into(), format!("k {id}")]);
    assert_eq!(lab.get(PLAIN, "k").await, b"4");
    let deleted = lab
        .s3
        .delete_object()
        .bucket(PLAIN)
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (deleted.delete_marker, deleted.version_id.as_deref()),
        (Some(true), Some("null"))
    );
    assert_eq!(lab.everything(PLAIN).await, [format!("k {id}"), "k null".into()]);
    let old = lab
        .s3
        .delete_object()
        .bucket(PLAIN)
        .key("k")
        .version_id("null")
        .send()
        .await
        .unwrap();
    assert_eq!(old.delete_marker, Some(true));
    assert_eq!(lab.get(PLAIN, "k").await, b"3");
    // Never versioned: a delete is the end of it.
    lab.s3.create_bucket().bucket("other-plain").send().await.unwrap();
    lab.put("other-plain", "k", &[0; 20_000]).await;
    assert_eq!(lab.blob_files(), 1);
    let deleted = lab
        .s3
        .delete_object()
        .bucket("other-plain")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.delete_marker, None);
    assert!(lab.everything("other-plain").await.is_empty());
    lab.settle(0).await;
}

#[tokio::test]
async fn buckets_with_anything_inside_stay() {
    let lab = Lab::start().await;
    let refused = async || code(&lab.s3.delete_bucket().bucket(LOCKED).send().await.unwrap_err());
    let id = lab.put(LOCKED, "k", b"x").await.unwrap();
    assert_eq!(refused().await, "BucketNotEmpty");
    let marker = lab
        .s3
        .delete_object()
        .bucket(LOCKED)
        .key("k")
        .send()
        .await
        .unwrap()
        .version_id
        .unwrap();
    lab.delete_version("k", &id, false).await.unwrap();
    assert_eq!(refused().await, "BucketNotEmpty", "a marker is left");
    lab.delete_version("k", &marker, false).await.unwrap();
    lab.s3.delete_bucket().bucket(LOCKED).send().await.unwrap();
    assert_eq!(
        code(&lab.s3.head_bucket().bucket(LOCKED).send().await.unwrap_err()),
        "NotFound"
    );
    let error = lab
        .s3
        .put_object()
        .bucket(LOCKED)
        .key("k")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "NoSuchBucket");
    let error = lab.s3.create_bucket().bucket(PLAIN).send().await.unwrap_err();
    assert_eq!(code(&error), "BucketAlreadyOwnedByYou");
    let names = lab.s3.list_buckets().send().await.unwrap();
    assert_eq!(
        names
            .buckets()
            .iter()
            .map(|b| b.name().unwrap())
            .collect::<Vec<_>>(),
        [PLAIN]
    );
    assert!(lab.s3.get_bucket_location().bucket(PLAIN).send().await.is_ok());
}

#[tokio::test]
async fn batch_deletes_report_each_key() {
    let lab = Lab::start().await;
    let free = lab.put(LOCKED, "free", b"x").await.unwrap();
    let held = lab
        .put_locked("held", aws_sdk_s3::types::ObjectLockMode::Compliance, DAY)
        .await;
    let governed = lab
        .put_locked("governed", aws_sdk_s3::types::ObjectLockMode::Governance, DAY)
        .await;
    let rows = [
        ("free", Some(free.as_str())),
        ("held", Some(held.as_str())),
        ("governed", Some(governed.as_str())),
        ("odd", Some("nonsense")),
        ("plain", None),
    ];
    let answer = lab
        .s3
        .delete_objects()
        .bucket(LOCKED)
        .delete(batch(&rows))
        .send()
        .await
        .unwrap();
    let errors: Vec<_> = answer
        .errors()
        .iter()
        .map(|e| (e.key().unwrap(), e.code().unwrap()))
        .collect();
    let expected = [
        ("held", "AccessDenied"),
        ("governed", "AccessDenied"),
        ("odd", "NoSuchVersion"),
    ];
    assert_eq!(errors, expected);
    let done: Vec<_> = answer
        .deleted()
        .iter()
        .map(|d| (d.key().unwrap(), d.delete_marker()))
        .collect();
    assert_eq!(done, [("free", None), ("plain", Some(true))]);
    let bypass = lab
        .s3
        .delete_objects()
        .bucket(LOCKED)
        .bypass_governance_retention(true);
    let answer = bypass.delete(batch(&rows[1..3])).send().await.unwrap();
    assert_eq!((answer.errors().len(), answer.deleted().len()), (1, 1));
    // 1,000 keys are fine, 1,001 are not.
    let keys: Vec<String> = (0..1001).map(|i| format!("n{i}")).collect();
    let many: Vec<_> = keys.iter().map(|key| (key.as_str(), Some("null"))).collect();
    let answer = lab
        .s3
        .delete_objects()
        .bucket(LOCKED)
        .delete(batch(&many[..1000]))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.deleted().len(), 1000);
    let error = lab
        .s3
        .delete_objects()
        .bucket(LOCKED)
        .delete(batch(&many))
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "MalformedXML");
}
