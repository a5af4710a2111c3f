//! Requests that set locks: what they must bring, and what they get.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
};

use crate::support::lab::{DAY, LOCKED, Lab, PLAIN, code, md5_base64, refused, retain, set_default};
use crate::support::sign::Raw;

#[tokio::test]
async fn lock_headers_need_a_lock_bucket() {
    let lab = Lab::start().await;
    let put = || {
        lab.s3
            .put_object()
            .bucket(PLAIN)
            .key("k")
            .body(ByteStream::from_static(b"x"))
    };
    let locked = put()
        .object_lock_mode(ObjectLockMode::Compliance)
        .object_lock_retain_until_date(lab.ahead(DAY));
    assert_eq!(code(&locked.send().await.unwrap_err()), "InvalidRequest");
    let held = put().object_lock_legal_hold_status(ObjectLockLegalHoldStatus::On);
    assert_eq!(code(&held.send().await.unwrap_err()), "InvalidRequest");
    let upload = lab.s3.create_multipart_upload().bucket(PLAIN).key("k");
    let upload = upload
        .object_lock_mode(ObjectLockMode::Compliance)
        .object_lock_retain_until_date(lab.ahead(DAY));
    assert_eq!(code(&upload.send().await.unwrap_err()), "InvalidRequest");
    assert!(lab.everything(PLAIN).await.is_empty());
    lab.put(PLAIN, "source", b"x").await;
    let copy = lab
        .s3
        .copy_object()
        .bucket(PLAIN)
        .key("copy")
        .copy_source(format!("{PLAIN}/source"));
    let copy = copy
        .object_lock_mode(ObjectLockMode::Compliance)
        .object_lock_retain_until_date(lab.ahead(DAY));
    assert_eq!(code(&copy.send().await.unwrap_err()), "InvalidRequest");
}

#[tokio::test]
async fn half_a_retention_and_a_past_date_are_refused() {
    let lab = Lab::start().await;
    let put = || {
        lab.s3
            .put_object()
            .bucket(LOCKED)
            .key("k")
            .body(ByteStream::from_static(b"x"))
    };
    let mode_only = put().object_lock_mode(ObjectLockMode::Compliance);
    assert_eq!(code(&mode_only.send().await.unwrap_err()), "InvalidArgument");
    let date_only = put().object_lock_retain_until_date(lab.ahead(DAY));
    assert_eq!(code(&date_only.send().await.unwrap_err()), "InvalidArgument");
    let now = lab.ahead(std::time::Duration::ZERO);
    let past = put()
        .object_lock_mode(ObjectLockMode::Compliance)
        .object_lock_retain_until_date(now);
    assert_eq!(code(&past.send().await.unwrap_err()), "InvalidArgument");
    let odd = put()
        .object_lock_mode("FOREVER".into())
        .object_lock_retain_until_date(lab.ahead(DAY));
    assert_eq!(code(&odd.send().await.unwrap_err()), "InvalidArgument");
    assert!(lab.everything(LOCKED).await.is_empty());
    lab.put(LOCKED, "k", b"x").await;
    let mode = ObjectLockRetention::builder()
        .mode(ObjectLockRetentionMode::Compliance)
        .build();
    let half = lab
        .s3
        .put_object_retention()
        .bucket(LOCKED)
        .key("k")
        .retention(mode);
    assert_eq!(code(&half.send().await.unwrap_err()), "MalformedXML");
    let past = Some((ObjectLockRetentionMode::Compliance, now));
    assert_eq!(retain(&lab, "k", past, false).await, refused("InvalidArgument"));
}

#[tokio::test]
async fn a_locked_put_without_any_checksum_is_refused() {
    let lab = Lab::start().await;
    let until = lab.iso_ahead(DAY);
    let raw = |key: &str| {
        Raw::put(&lab, &format!("/{LOCKED}/{key}"), b"body")
            .header("x-amz-object-lock-mode", "COMPLIANCE")
            .header("x-amz-object-lock-retain-until-date", &until)
    };
    let response = raw("k").sign().send().await;
    assert_eq!(response.status(), 400);
    let text = response.text().await.unwrap();
    assert!(text.contains("Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"), "{text}");
    // The same with a digest.
    let with_md5 = raw("k").header("content-md5", "hBotaJrYa9lvGnxyIQ8RTA==").sign();
    let text = with_md5.send().await.text().await.unwrap();
    assert!(text.contains("BadDigest"), "{text}");
    let with_md5 = raw("k").header("content-md5", &md5_base64(b"body")).sign();
    assert_eq!(with_md5.outcome().await, (200, String::new()));
    // A default retention asks for one as well.
    set_default(&lab, LOCKED, 1).await.unwrap();
    let plain = Raw::put(&lab, &format!("/{LOCKED}/k2"), b"body").sign();
    assert_eq!(plain.outcome().await, (400, "InvalidRequest".into()));
    assert_eq!(lab.everything(LOCKED).await.len(), 1);
}

#[tokio::test]
async fn default_retention_applies_to_plain_puts_copies_and_multipart() {
    let lab = Lab::start().await;
    set_default(&lab, LOCKED, 5).await.unwrap();
    lab.put(LOCKED, "plain", b"x").await;
    let copy = lab
        .s3
        .copy_object()
        .bucket(LOCKED)
        .key("copy")
        .copy_source(format!("{LOCKED}/plain"));
    copy.send().await.unwrap();
    let upload = lab
        .s3
        .create_multipart_upload()
        .bucket(LOCKED)
        .key("multi")
        .send()
        .await
        .unwrap();
    let upload_id = upload.upload_id.unwrap();
    let part = lab
        .s3
        .upload_part()
        .bucket(LOCKED)
        .key("multi")
        .upload_id(&upload_id)
        .part_number(1);
    let part = part.body(ByteStream::from_static(b"part")).send().await.unwrap();
    let named = aws_sdk_s3::types::CompletedPart::builder()
        .part_number(1)
        .set_e_tag(part.e_tag)
        .set_checksum_crc32(part.checksum_crc32)
        .build();
    let parts = aws_sdk_s3::types::CompletedMultipartUpload::builder()
        .parts(named)
        .build();
    let complete = lab
        .s3
        .complete_multipart_upload()
        .bucket(LOCKED)
        .key("multi")
        .upload_id(upload_id);
    complete.multipart_upload(parts).send().await.unwrap();
    for key in ["plain", "copy", "multi"] {
        let head = lab.s3.head_object().bucket(LOCKED).key(key).send().await.unwrap();
        assert_eq!(head.object_lock_mode, Some(ObjectLockMode::Compliance), "{key}");
        let until = head.object_lock_retain_until_date.unwrap();
        assert!(until.secs() - lab.ahead(DAY * 5).secs() <= 1, "{key}");
        assert!(until >= lab.ahead(DAY * 5), "{key}");
        let id = head.version_id.unwrap();
        assert_eq!(
            lab.delete_version(key, &id, true).await,
            refused("AccessDenied"),
            "{key}"
        );
    }
    for days in [0, -1, 36_501] {
        assert_eq!(set_default(&lab, LOCKED, days).await, refused("InvalidArgument"));
    }
}

#[tokio::test]
async fn multipart_and_copy_keep_the_lock_they_ask_for() {
    let lab = Lab::start().await;
    lab.put(LOCKED, "source", b"x").await;
    let copy = lab
        .s3
        .copy_object()
        .bucket(LOCKED)
        .key("copy")
        .copy_source(format!("{LOCKED}/source"));
    let copy = copy
        .object_lock_mode(ObjectLockMode::Governance)
        .object_lock_retain_until_date(lab.ahead(DAY))
        .object_lock_legal_hold_status(ObjectLockLegalHoldStatus::On);
    copy.send().await.unwrap();
    let head = lab
        .s3
        .head_object()
        .bucket(LOCKED)
        .key("copy")
        .send()
        .await
        .unwrap();
    assert_eq!(head.object_lock_mode, Some(ObjectLockMode::Governance));
    assert_eq!(
        head.object_lock_legal_hold_status,
        Some(ObjectLockLegalHoldStatus::On)
    );
    // The source has no lock, and the copy of a locked version does not inherit one.
    let again = lab
        .s3
        .copy_object()
        .bucket(LOCKED)
        .key("again")
        .copy_source(format!("{LOCKED}/copy"));
    again.send().await.unwrap();
    let head = lab
        .s3
        .head_object()
        .bucket(LOCKED)
        .key("again")
        .send()
        .await
        .unwrap();
    assert_eq!(head.object_lock_mode, None);
}

#[tokio::test]
async fn dates_are_kept_in_whole_seconds() {
    let lab = Lab::start().await;
    let until = lab.iso_ahead(DAY).replace('Z', ".987654Z");
    let raw = Raw::put(&lab, &format!("/{LOCKED}/k"), b"body")
        .header("content-md5", &md5_base64(b"body"))
        .header("x-amz-object-lock-mode", "COMPLIANCE")
        .header("x-amz-object-lock-retain-until-date", &until)
        .sign();
    assert_eq!(raw.outcome().await.0, 200);
    let retention = lab
        .s3
        .get_object_retention()
        .bucket(LOCKED)
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        retention.retention.unwrap().retain_until_date,
        Some(lab.ahead(DAY))
    );
}
