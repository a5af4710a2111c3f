//! Multipart uploads.

use aws_sdk_s3::operation::upload_part::UploadPartOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, ObjectLockMode,
};

use crate::support::lab::{DAY, LOCKED, Lab, PLAIN, code};

const PART: usize = 5 * 1024 * 1024;

async fn start(lab: &Lab, key: &str) -> String {
    let upload = lab.s3.create_multipart_upload().bucket(LOCKED).key(key);
    upload.send().await.unwrap().upload_id.unwrap()
}

async fn send_part(lab: &Lab, key: &str, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
    let part = lab
        .s3
        .upload_part()
        .bucket(LOCKED)
        .key(key)
        .upload_id(id)
        .part_number(number);
    named(number, part.body(ByteStream::from(body)).send().await.unwrap())
}

fn named(number: i32, part: UploadPartOutput) -> CompletedPart {
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(part.e_tag)
        .set_checksum_crc32(part.checksum_crc32)
        .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
        .set_checksum_sha256(part.checksum_sha256)
        .build()
}

async fn complete(lab: &Lab, key: &str, id: &str, parts: Vec<CompletedPart>) -> Result<String, String> {
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = lab
        .s3
        .complete_multipart_upload()
        .bucket(LOCKED)
        .key(key)
        .upload_id(id);
    let done = complete
        .multipart_upload(parts)
        .send()
        .await
        .map_err(|e| code(&e))?;
    Ok(done.version_id.unwrap())
}

#[tokio::test]
async fn parts_become_one_locked_object() {
    let lab = Lab::start().await;
    let upload = lab
        .s3
        .create_multipart_upload()
        .bucket(LOCKED)
        .key("k")
        .metadata("n", "1");
    let upload = upload
        .object_lock_mode(ObjectLockMode::Compliance)
        .object_lock_retain_until_date(lab.ahead(DAY))
        .send()
        .await
        .unwrap();
    let id = upload.upload_id.unwrap();
    // Out of order, one of them twice, one too many.
    let second = send_part(&lab, "k", &id, 2, vec![2; 100]).await;
    send_part(&lab, "k", &id, 1, vec![9; PART]).await;
    let first = send_part(&lab, "k", &id, 1, vec![1; PART]).await;
    send_part(&lab, "k", &id, 7, vec![7; 50_000]).await;
    let listed = lab
        .s3
        .list_parts()
        .bucket(LOCKED)
        .key("k")
        .upload_id(&id)
        .max_parts(2)
        .send()
        .await
        .unwrap();
    let numbers: Vec<_> = listed.parts().iter().map(|p| p.part_number().unwrap()).collect();
    assert_eq!((numbers, listed.is_truncated()), (vec![1, 2], Some(true)));
    let uploads = lab
        .s3
        .list_multipart_uploads()
        .bucket(LOCKED)
        .send()
        .await
        .unwrap();
    assert_eq!(uploads.uploads()[0].upload_id(), Some(&*id));
    assert!(
        lab.everything(LOCKED).await.is_empty(),
        "nothing to see before the completion"
    );
    let version = complete(&lab, "k", &id, vec![first, second]).await.unwrap();
    let body = [vec![1; PART], vec![2; 100]].concat();
    assert_eq!(lab.get(LOCKED, "k").await, body);
    let head = lab.s3.head_object().bucket(LOCKED).key("k").send().await.unwrap();
    assert!(head.e_tag().unwrap().ends_with("-2\""));
    assert_eq!(head.object_lock_retain_until_date, Some(lab.ahead(DAY)));
    assert_eq!(head.metadata().unwrap()["n"], "1");
    assert_eq!(
        lab.delete_version("k", &version, true).await,
        Err("AccessDenied".into())
    );
    let range = format!("bytes={}-{}", PART - 1, PART);
    let across = lab
        .s3
        .get_object()
        .bucket(LOCKED)
        .key("k")
        .range(range)
        .send()
        .await
        .unwrap();
    assert_eq!(across.body.collect().await.unwrap().to_vec(), [1, 2]);
    let part = lab
        .s3
        .get_object()
        .bucket(LOCKED)
        .key("k")
        .part_number(2)
        .send()
        .await
        .unwrap();
    assert_eq!(part.parts_count(), Some(2));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), [2; 100]);
    // The large part; the small one is in the index, others go.
    lab.settle(1).await;
    assert_eq!(
        complete(&lab, "k", &id, vec![]).await.unwrap_err(),
        "NoSuchUpload"
    );
}

#[tokio::test]
async fn wrong_completions_are_refused() {
    let lab = Lab::start().await;
    let id = start(&lab, "k").await;
    let small = send_part(&lab, "k", &id, 1, vec![1; 100]).await;
    let last = send_part(&lab, "k", &id, 2, vec![2; 100]).await;
    let try_ = |parts| complete(&lab, "k", &id, parts);
    assert_eq!(
        try_(vec![small.clone(), last.clone()]).await.unwrap_err(),
        "EntityTooSmall"
    );
    assert_eq!(
        try_(vec![last.clone(), small.clone()]).await.unwrap_err(),
        "InvalidPartOrder"
    );
    assert_eq!(try_(vec![]).await.unwrap_err(), "MalformedXML");
    let missing = CompletedPart::builder().part_number(3).e_tag("\"x\"").build();
    assert_eq!(try_(vec![missing]).await.unwrap_err(), "InvalidPart");
    let wrong = CompletedPart::builder().part_number(1).e_tag("\"x\"").build();
    assert_eq!(try_(vec![wrong]).await.unwrap_err(), "InvalidPart");
    assert!(lab.everything(LOCKED).await.is_empty());
    let part = lab
        .s3
        .upload_part()
        .bucket(LOCKED)
        .key("k")
        .upload_id(&id)
        .part_number(10_001);
    assert_eq!(code(&part.send().await.unwrap_err()), "InvalidArgument");
    let part = lab
        .s3
        .upload_part()
        .bucket(LOCKED)
        .key("k")
        .upload_id("unknown")
        .part_number(1);
    assert_eq!(code(&part.send().await.unwrap_err()), "NoSuchUpload");
    let error = lab.s3.delete_bucket().bucket(LOCKED).send().await.unwrap_err();
    assert_eq!(code(&error), "BucketNotEmpty");
    try_(vec![small]).await.unwrap();
}

#[tokio::test]
async fn an_abort_leaves_nothing() {
    let lab = Lab::start().await;
    let id = start(&lab, "k").await;
    send_part(&lab, "k", &id, 1, vec![1; 100_000]).await;
    lab.s3
        .abort_multipart_upload()
        .bucket(LOCKED)
        .key("k")
        .upload_id(&id)
        .send()
        .await
        .unwrap();
    let again = lab
        .s3
        .abort_multipart_upload()
        .bucket(LOCKED)
        .key("k")
        .upload_id(&id)
        .send()
        .await;
    assert_eq!(code(&again.unwrap_err()), "NoSuchUpload");
    assert!(
        lab.s3
            .list_multipart_uploads()
            .bucket(LOCKED)
            .send()
            .await
            .unwrap()
            .uploads()
            .is_empty()
    );
    lab.settle(0).await;
}

#[tokio::test]
async fn checksums_of_parts_and_objects() {
    let lab = Lab::start().await;
    let body = [vec![1; PART], vec![2; 3]].concat();
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Crc32, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject),
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite),
        (ChecksumAlgorithm::Crc32, ChecksumType::Composite),
    ] {
        let upload = lab.s3.create_multipart_upload().bucket(LOCKED).key("k");
        let upload = upload
            .checksum_algorithm(algorithm.clone())
            .checksum_type(kind.clone());
        let id = upload.send().await.unwrap().upload_id.unwrap();
        let mut parts = Vec::new();
        for (number, bytes) in [(1, &body[..PART]), (2, &body[PART..])] {
            let part = lab
                .s3
                .upload_part()
                .bucket(LOCKED)
                .key("k")
                .upload_id(&id)
                .part_number(number);
            let part = part
                .checksum_algorithm(algorithm.clone())
                .body(ByteStream::from(bytes.to_vec()));
            parts.push(named(number, part.send().await.unwrap()));
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let done = lab
            .s3
            .complete_multipart_upload()
            .bucket(LOCKED)
            .key("k")
            .upload_id(&id);
        let done = done
            .multipart_upload(parts)
            .checksum_type(kind.clone())
            .send()
            .await
            .unwrap();
        let value = done
            .checksum_crc32()
            .or(done.checksum_crc64_nvme())
            .or(done.checksum_sha256());
        let value = value.unwrap().to_owned();
        assert_eq!(value.ends_with("-2"), kind == ChecksumType::Composite);
        // The SDK compares what it reads with a full-object checksum.
        let got = lab
            .s3
            .get_object()
            .bucket(LOCKED)
            .key("k")
            .checksum_mode(ChecksumMode::Enabled);
        let got = got.send().await.unwrap();
        assert_eq!(got.checksum_type(), Some(&kind));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), body);
        if kind == ChecksumType::FullObject {
            let put = lab
                .s3
                .put_object()
                .bucket(PLAIN)
                .key("same")
                .body(ByteStream::from(body.clone()));
            let put = put.checksum_algorithm(algorithm).send().await.unwrap();
            assert_eq!(put.checksum_crc32().or(put.checksum_crc64_nvme()), Some(&*value));
        }
    }
}

#[tokio::test]
async fn parts_can_be_copied() {
    let lab = Lab::start().await;
    lab.put(PLAIN, "source", &[[3; 1000], [4; 1000]].concat()).await;
    let id = start(&lab, "k").await;
    let copy = lab
        .s3
        .upload_part_copy()
        .bucket(LOCKED)
        .key("k")
        .upload_id(&id)
        .part_number(1);
    let copy = copy
        .copy_source(format!("{PLAIN}/source"))
        .copy_source_range("bytes=999-1000");
    let copied = copy.send().await.unwrap().copy_part_result.unwrap();
    let part = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(copied.e_tag)
        .build();
    complete(&lab, "k", &id, vec![part]).await.unwrap();
    assert_eq!(lab.get(LOCKED, "k").await, [3, 4]);
}
