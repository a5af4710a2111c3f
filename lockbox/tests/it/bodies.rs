//! Bodies: every declared digest is compared, and what is wrong leaves nothing.

use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;

use crate::support::lab::{LOCKED, Lab, PLAIN};
use crate::support::sign::{Raw, UNSIGNED, chunk_unsigned};

/// Longer than what is kept inside the index, so that a file is at stake.
fn body() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// The checksum of [`body`] as lockbox computes it, with the algorithm's own known values tested in
/// `digest`; the SDK, which computes its own, is the second opinion in `sdk_checksums`.
async fn right_value(lab: &Lab, algorithm: ChecksumAlgorithm) -> String {
    let put = lab
        .s3
        .put_object()
        .bucket(PLAIN)
        .key("reference")
        .body(ByteStream::from(body()));
    let put = put.checksum_algorithm(algorithm.clone()).send().await.unwrap();
    let value = match algorithm {
        ChecksumAlgorithm::Crc32 => put.checksum_crc32,
        ChecksumAlgorithm::Crc32C => put.checksum_crc32_c,
        ChecksumAlgorithm::Crc64Nvme => put.checksum_crc64_nvme,
        ChecksumAlgorithm::Sha1 => put.checksum_sha1,
        _ => put.checksum_sha256,
    };
    value.unwrap()
}

const ALGORITHMS: [(ChecksumAlgorithm, &str, usize); 5] = [
    (ChecksumAlgorithm::Crc32, "x-amz-checksum-crc32", 4),
    (ChecksumAlgorithm::Crc32C, "x-amz-checksum-crc32c", 4),
    (ChecksumAlgorithm::Crc64Nvme, "x-amz-checksum-crc64nvme", 8),
    (ChecksumAlgorithm::Sha1, "x-amz-checksum-sha1", 20),
    (ChecksumAlgorithm::Sha256, "x-amz-checksum-sha256", 32),
];

#[tokio::test]
async fn sdk_checksums_are_verified_stored_and_given_back() {
    let lab = Lab::start().await;
    for (algorithm, ..) in ALGORITHMS {
        let value = right_value(&lab, algorithm.clone()).await;
        let head = lab.s3.head_object().bucket(PLAIN).key("reference");
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        let all = [
            head.checksum_crc32(),
            head.checksum_crc32_c(),
            head.checksum_crc64_nvme(),
            head.checksum_sha1(),
            head.checksum_sha256(),
        ];
        assert_eq!(all.into_iter().flatten().collect::<Vec<_>>(), [value.as_str()]);
        let silent = lab
            .s3
            .head_object()
            .bucket(PLAIN)
            .key("reference")
            .send()
            .await
            .unwrap();
        assert!(silent.checksum_sha256().is_none() && silent.checksum_crc32().is_none());
    }
}

#[tokio::test]
async fn every_wrong_digest_is_refused_and_leaves_nothing() {
    let lab = Lab::start().await;
    let path = format!("/{LOCKED}/k");
    for (algorithm, header, size) in ALGORITHMS {
        let right = right_value(&lab, algorithm).await;
        let wrong = BASE64_STANDARD.encode(vec![7; size]);
        // The reference of the round before goes a moment after the answer.
        lab.settle(1).await;
        let put = |value: &str| Raw::put(&lab, &path, &body()).header(header, value).sign();
        assert_eq!(put(&wrong).outcome().await, (400, "BadDigest".into()), "{header}");
        assert_eq!(
            put("nonsense").outcome().await,
            (400, "InvalidRequest".into()),
            "{header}"
        );
        let streamed = |value: &str| {
            let mut raw = Raw::put(&lab, &path, &chunk_unsigned(&[&body()], &[(header, value)]));
            raw = raw
                .header("x-amz-trailer", header)
                .header("content-encoding", "aws-chunked");
            raw.header("x-amz-decoded-content-length", &body().len().to_string())
                .sign_as("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        };
        assert_eq!(
            streamed(&wrong).outcome().await,
            (400, "BadDigest".into()),
            "{header} trailer"
        );
        assert!(lab.everything(LOCKED).await.is_empty(), "{header}");
        assert_eq!(lab.blob_files(), 1, "{header}");
        assert_eq!(put(&right).outcome().await.0, 200, "{header}");
        assert_eq!(streamed(&right).outcome().await.0, 200, "{header} trailer");
        for row in lab.everything(LOCKED).await {
            let id = row.split(' ').next_back().unwrap();
            lab.delete_version("k", id, false).await.unwrap();
        }
    }
    lab.settle(1).await;
    let md5 = |value: &str| Raw::put(&lab, &path, &body()).header("content-md5", value).sign();
    assert_eq!(
        md5("hBotaJrYa9lvGnxyIQ8RTA==").outcome().await,
        (400, "BadDigest".into())
    );
    assert_eq!(md5("AAAA").outcome().await, (400, "InvalidDigest".into()));
    // The payload hash in the signature.
    let other = crate::support::sign::hex(&[1; 32]);
    let hash = Raw::put(&lab, &path, &body()).sign_as(&other);
    assert_eq!(hash.outcome().await, (400, "XAmzContentSHA256Mismatch".into()));
    // Two kinds at once, and an announced one that does not come.
    let two = Raw::put(&lab, &path, b"x")
        .header("x-amz-checksum-crc32", "AAAAAA==")
        .header("x-amz-checksum-crc32c", "AAAAAA==")
        .sign();
    assert_eq!(two.outcome().await, (400, "InvalidRequest".into()));
    let announced = Raw::put(&lab, &path, b"x")
        .header("x-amz-sdk-checksum-algorithm", "CRC32")
        .sign();
    assert_eq!(announced.outcome().await, (400, "InvalidRequest".into()));
    assert!(lab.everything(LOCKED).await.is_empty());
    assert_eq!(lab.blob_files(), 1);
}

#[tokio::test]
async fn signed_chunks_work_and_are_checked() {
    let lab = Lab::start().await;
    let (first, second) = (vec![b'a'; 70_000], vec![b'b'; 3]);
    let total = (first.len() + second.len()).to_string();
    let signed = |length: &str| {
        let mut raw = Raw::new(&lab, Method::PUT, &format!("/{PLAIN}/k"))
            .header("x-amz-decoded-content-length", length)
            .header("content-encoding", "aws-chunked,gzip")
            .sign_as("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        raw.chunk_signed(&[&first, &second], &[]);
        raw
    };
    assert_eq!(signed(&total).outcome().await, (200, String::new()));
    assert_eq!(
        lab.get(PLAIN, "k").await,
        [first.clone(), second.clone()].concat()
    );
    let head = lab.s3.head_object().bucket(PLAIN).key("k").send().await.unwrap();
    assert_eq!(
        head.content_encoding(),
        Some("gzip"),
        "aws-chunked is not part of the object"
    );
    let files = lab.blob_files();
    let mut tampered = signed(&total);
    let at = tampered.body.iter().position(|b| *b == b'a').unwrap() + 200;
    tampered.body[at] = b'x';
    assert_eq!(tampered.outcome().await, (403, "SignatureDoesNotMatch".into()));
    for wrong in ["70002", "70004"] {
        assert_eq!(
            signed(wrong).outcome().await,
            (400, "IncompleteBody".into()),
            "{wrong}"
        );
    }
    // An unsigned chunk among signed ones.
    let mut unsigned = signed(&total);
    unsigned.body = chunk_unsigned(&[&first, &second], &[]);
    assert_eq!(unsigned.outcome().await.0, 400);
    // The last data chunk is missing.
    let mut short = signed(&total);
    short.chunk_signed(&[&first], &[]);
    assert_eq!(short.outcome().await, (400, "IncompleteBody".into()));
    assert_eq!(lab.blob_files(), files);
}

#[tokio::test]
async fn signed_trailers_work_and_are_checked() {
    let lab = Lab::start().await;
    let data = b"123456789";
    let crc = BASE64_STANDARD.encode(0xCBF4_3926_u32.to_be_bytes());
    let raw = |trailers: &[(&str, &str)]| {
        let mut raw = Raw::new(&lab, Method::PUT, &format!("/{LOCKED}/k"))
            .header("x-amz-decoded-content-length", "9")
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .header("content-encoding", "aws-chunked")
            .sign_as("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER");
        raw.chunk_signed(&[&data[..]], trailers);
        raw
    };
    assert_eq!(
        raw(&[("x-amz-checksum-crc32", &crc)]).outcome().await,
        (200, String::new())
    );
    let wrong = raw(&[("x-amz-checksum-crc32", "AAAAAA==")]);
    assert_eq!(wrong.outcome().await, (400, "BadDigest".into()));
    assert_eq!(
        raw(&[]).outcome().await,
        (400, "MalformedTrailerError".into()),
        "declared but missing"
    );
    let other = raw(&[("x-amz-checksum-crc32c", &crc)]);
    assert_eq!(
        other.outcome().await,
        (400, "MalformedTrailerError".into()),
        "another than declared"
    );
    let mut forged = raw(&[("x-amz-checksum-crc32", &crc)]);
    let text = String::from_utf8(forged.body.clone())
        .unwrap()
        .replace(&crc, "AAAAAA==");
    forged.body = text.into_bytes();
    assert_eq!(forged.outcome().await, (403, "SignatureDoesNotMatch".into()));
    assert_eq!(lab.everything(LOCKED).await.len(), 1);
}

#[tokio::test]
async fn unsigned_trailers_work_and_are_checked() {
    let lab = Lab::start().await;
    let crc = BASE64_STANDARD.encode(0xCBF4_3926_u32.to_be_bytes());
    let raw = |length: &str, body: Vec<u8>| {
        let mut raw = Raw::new(&lab, Method::PUT, &format!("/{LOCKED}/k"))
            .header("x-amz-decoded-content-length", length)
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .sign_as("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        raw.body = body;
        raw
    };
    let trailer = [("x-amz-checksum-crc32", crc.as_str())];
    let good = || chunk_unsigned(&[b"1234", b"56789"], &trailer);
    assert_eq!(raw("9", good()).outcome().await, (200, String::new()));
    let missing = raw("9", chunk_unsigned(&[b"123456789"], &[]));
    assert_eq!(missing.outcome().await, (400, "MalformedTrailerError".into()));
    assert_eq!(raw("8", good()).outcome().await, (400, "IncompleteBody".into()));
    assert_eq!(raw("10", good()).outcome().await, (400, "IncompleteBody".into()));
    let mut cut = good();
    cut.truncate(cut.len() - 30);
    assert_eq!(raw("9", cut).outcome().await.0, 400);
    // Without a declared trailer s3s refuses.
    let mut undeclared = Raw::new(&lab, Method::PUT, &format!("/{LOCKED}/k"))
        .header("x-amz-decoded-content-length", "9")
        .sign_as("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    undeclared.body = good();
    assert_eq!(undeclared.outcome().await.0, 400);
    assert_eq!(lab.everything(LOCKED).await.len(), 1);
}

#[tokio::test]
async fn the_sdks_default_stream_works() {
    let lab = Lab::start().await;
    let file = lab.dir.path().join("source.bin");
    std::fs::write(&file, body()).unwrap();
    let stream = ByteStream::from_path(&file).await.unwrap();
    let put = lab
        .s3
        .put_object()
        .bucket(LOCKED)
        .key("k")
        .body(stream)
        .send()
        .await;
    let put = put.unwrap_or_else(|e| panic!("{}", DisplayErrorContext(e)));
    assert!(put.checksum_crc32.is_some() || put.checksum_crc64_nvme.is_some());
    assert_eq!(lab.get(LOCKED, "k").await, body());
}

#[tokio::test]
async fn xml_bodies_are_checked_too() {
    let lab = Lab::start().await;
    let id = lab.put(LOCKED, "k", b"x").await.unwrap();
    let xml = format!("<Delete><Object><Key>k</Key><VersionId>{id}</VersionId></Object></Delete>");
    let post = || {
        let mut raw = Raw::new(&lab, Method::POST, &format!("/{LOCKED}")).query("delete", "");
        raw.body = xml.clone().into_bytes();
        raw
    };
    assert_eq!(
        post().sign().outcome().await,
        (400, "InvalidRequest".into()),
        "no digest"
    );
    let wrong = post().header("content-md5", "hBotaJrYa9lvGnxyIQ8RTA==").sign();
    assert_eq!(wrong.outcome().await, (400, "BadDigest".into()));
    let wrong = post().header("x-amz-checksum-crc32", "AAAAAA==").sign();
    assert_eq!(wrong.outcome().await, (400, "BadDigest".into()));
    let wrong = post().header("x-amz-checksum-crc32", "AAAA").sign();
    assert_eq!(wrong.outcome().await, (400, "InvalidDigest".into()));
    // The payload hash is s3s' part.
    let mut tampered = post()
        .header("content-md5", "hBotaJrYa9lvGnxyIQ8RTA==")
        .sign_as(UNSIGNED);
    tampered.body.push(b' ');
    assert_eq!(tampered.outcome().await, (400, "BadDigest".into()));
    assert_eq!(lab.everything(LOCKED).await.len(), 1);
    let retention = Raw::put(&lab, &format!("/{LOCKED}/k"), b"<Retention/>")
        .query("retention", "")
        .sign();
    assert_eq!(
        retention.outcome().await,
        (400, "InvalidRequest".into()),
        "no digest"
    );
}
