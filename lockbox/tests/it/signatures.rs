//! Signatures: what was signed is what is done, and nothing without a signature is.

use std::time::Duration;

use reqwest::Method;

use crate::support::lab::{ACCESS_KEY, DAY, LOCKED, Lab, PLAIN, SECRET_KEY};
use crate::support::sign::{Raw, UNSIGNED};

const BODY: &[u8] = b"a sealed pack";

/// A presigned, locked PUT as Holdfast's server gives it to an agent: all of this is signed.
fn presigned_put(lab: &Lab) -> Raw {
    Raw::put(lab, &format!("/{LOCKED}/packs/1"), BODY)
        .header("content-length", &BODY.len().to_string())
        .header("content-md5", "JHsbz0XcKO0vXb6bV0pjqQ==")
        .header("x-amz-object-lock-mode", "COMPLIANCE")
        .header("x-amz-object-lock-retain-until-date", &lab.iso_ahead(DAY))
        .header("if-none-match", "*")
}

fn with_right_md5(raw: Raw) -> Raw {
    use base64::Engine as _;
    use md5::Digest as _;
    let md5 = base64::prelude::BASE64_STANDARD.encode(md5::Md5::digest(&raw.body));
    raw.replaced("content-md5", &md5)
}

#[tokio::test]
async fn a_presigned_locked_put_does_what_was_signed() {
    let lab = Lab::start().await;
    let put = with_right_md5(presigned_put(&lab)).presign(600);
    assert_eq!(put.outcome().await, (200, String::new()));
    let head = lab
        .s3
        .head_object()
        .bucket(LOCKED)
        .key("packs/1")
        .send()
        .await
        .unwrap();
    assert_eq!(head.object_lock_retain_until_date, Some(lab.ahead(DAY)));
    // Once: the URL carries If-None-Match.
    assert_eq!(put.outcome().await, (412, "PreconditionFailed".into()));
}

#[tokio::test]
async fn dropped_and_changed_headers_are_refused() {
    let lab = Lab::start().await;
    let signed = || with_right_md5(presigned_put(&lab)).presign(600);
    let names = [
        "content-md5",
        "x-amz-object-lock-mode",
        "x-amz-object-lock-retain-until-date",
        "if-none-match",
    ];
    for name in names {
        let dropped = signed().without(name);
        assert_eq!(
            dropped.outcome().await,
            (403, "SignatureDoesNotMatch".into()),
            "without {name}"
        );
    }
    let changes = [
        ("x-amz-object-lock-mode", "GOVERNANCE".to_owned()),
        ("x-amz-object-lock-retain-until-date", lab.iso_ahead(DAY / 2)),
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==".to_owned()),
    ];
    for (name, value) in changes {
        let changed = signed().replaced(name, &value);
        assert_eq!(
            changed.outcome().await,
            (403, "SignatureDoesNotMatch".into()),
            "other {name}"
        );
    }
    let mut longer = signed().replaced("content-length", &(BODY.len() + 1).to_string());
    longer.body.push(b'!');
    assert_eq!(longer.outcome().await, (403, "SignatureDoesNotMatch".into()));
    let mut other_bytes = signed();
    other_bytes.body[0] ^= 1;
    assert_eq!(other_bytes.outcome().await, (400, "BadDigest".into()));
    let mut other_key = signed();
    other_key.path = format!("/{LOCKED}/packs/2");
    assert_eq!(other_key.outcome().await, (403, "SignatureDoesNotMatch".into()));
    let mut other_method = signed();
    other_method.method = Method::DELETE;
    assert_eq!(other_method.outcome().await.0, 403);
    let more_query = signed().query("versionId", "null");
    assert_eq!(more_query.outcome().await, (403, "SignatureDoesNotMatch".into()));
    assert!(lab.everything(LOCKED).await.is_empty());
}

#[tokio::test]
async fn unsigned_amz_headers_are_refused() {
    let lab = Lab::start().await;
    let extras = [
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-meta-note", "hello"),
        ("x-amz-copy-source", "/locked-bucket/other"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-storage-class", "GLACIER"),
    ];
    for (name, value) in extras {
        let presigned = with_right_md5(presigned_put(&lab))
            .presign(600)
            .header(name, value);
        assert_eq!(presigned.outcome().await, (403, "AccessDenied".into()), "{name}");
        let signed = with_right_md5(presigned_put(&lab)).sign().header(name, value);
        assert_eq!(signed.outcome().await, (403, "AccessDenied".into()), "{name}");
    }
    let hidden = with_right_md5(presigned_put(&lab)).query("x-amz-object-lock-legal-hold", "ON");
    assert_eq!(
        hidden.presign(600).outcome().await,
        (501, "NotImplemented".into())
    );
    assert!(lab.everything(LOCKED).await.is_empty());
}

/// A read that is signed for a range gives that range: a request without it, or with another, is not what was signed.
#[tokio::test]
async fn a_signed_range_is_the_range_that_is_read() {
    let lab = Lab::start().await;
    lab.put(PLAIN, "k", BODY).await;
    let get = Raw::new(&lab, Method::GET, &format!("/{PLAIN}/k"));
    for presigned in [true, false] {
        let signed = get.clone().header("range", "bytes=2-7");
        let signed = if presigned {
            signed.presign(60)
        } else {
            signed.sign()
        };
        let answer = signed.send().await;
        assert_eq!(answer.status(), 206);
        let named = format!("bytes 2-7/{}", BODY.len());
        assert_eq!(answer.headers()["content-range"], named.as_str());
        assert_eq!(answer.bytes().await.unwrap(), &BODY[2..8]);
        let mismatch = (403, "SignatureDoesNotMatch".to_owned());
        assert_eq!(signed.clone().without("range").outcome().await, mismatch);
        for other in [
            "bytes=2-8",
            "bytes=0-7",
            "bytes=2-",
            "bytes=2-7,9-10",
            "bytes=02-7",
        ] {
            let changed = signed.clone().replaced("range", other);
            assert_eq!(changed.outcome().await, mismatch, "{other}");
        }
        // A second line of the same header makes another value of it.
        let twice = signed.clone().header("range", "bytes=0-100").outcome().await;
        assert!(twice.0 >= 400, "{twice:?}");
    }
}

#[tokio::test]
async fn presigned_urls_expire_by_lockboxs_clock() {
    let lab = Lab::start().await;
    lab.put(PLAIN, "k", BODY).await;
    let get = Raw::new(&lab, Method::GET, &format!("/{PLAIN}/k")).presign(3600);
    assert_eq!(get.outcome().await.0, 200);
    lab.clock.advance(Duration::from_secs(3598));
    assert_eq!(get.outcome().await.0, 200);
    lab.clock.advance(Duration::from_secs(3));
    assert_eq!(get.outcome().await, (403, "AccessDenied".into()));
    // A year later, signed by that clock, all is well.
    lab.clock.advance(DAY * 365);
    let get = Raw::new(&lab, Method::GET, &format!("/{PLAIN}/k"));
    assert_eq!(get.clone().presign(60).outcome().await.0, 200);
    for seconds in [0, -1, 7 * 24 * 3600 + 1, 30 * 24 * 3600] {
        let status = get.clone().presign(seconds).outcome().await.0;
        assert!((400..404).contains(&status), "{seconds}: {status}");
    }
    assert_eq!(get.clone().presign(7 * 24 * 3600).outcome().await.0, 200);
    let mut early = get.clone();
    early.at = lab.clock.now() + Duration::from_secs(16 * 60);
    assert_eq!(early.presign(60).outcome().await, (403, "AccessDenied".into()));
}

#[tokio::test]
async fn header_signatures_age_within_fifteen_minutes() {
    let lab = Lab::start().await;
    lab.put(PLAIN, "k", BODY).await;
    let get = Raw::new(&lab, Method::GET, &format!("/{PLAIN}/k"));
    let mut late = get.clone();
    late.at = lab.clock.now() - Duration::from_secs(14 * 60);
    assert_eq!(late.clone().sign().outcome().await.0, 200);
    late.at = lab.clock.now() - Duration::from_secs(16 * 60);
    assert_eq!(late.sign().outcome().await, (403, "RequestTimeTooSkewed".into()));
    let mut early = get.clone();
    early.at = lab.clock.now() + Duration::from_secs(16 * 60);
    assert_eq!(early.sign().outcome().await, (403, "RequestTimeTooSkewed".into()));
    let response = get.sign().send().await;
    let date = response.headers()["date"].to_str().unwrap().to_owned();
    let shown =
        aws_sdk_s3::primitives::DateTime::from_str(&date, aws_sdk_s3::primitives::DateTimeFormat::HttpDate);
    assert_eq!(
        shown.unwrap().secs(),
        lab.ahead(Duration::ZERO).secs(),
        "the Date header is simulated"
    );
}

#[tokio::test]
async fn strangers_and_old_signatures_are_refused() {
    let lab = Lab::start().await;
    lab.put(PLAIN, "k", BODY).await;
    let path = format!("/{PLAIN}/k");
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::POST,
    ] {
        let outcome = Raw::new(&lab, method.clone(), &path).outcome().await;
        assert!(outcome.0 == 403 || outcome.0 == 501, "{method}: {outcome:?}");
    }
    assert_eq!(
        Raw::new(&lab, Method::GET, "/").outcome().await,
        (403, "AccessDenied".into())
    );
    let mut unknown = Raw::new(&lab, Method::GET, &path);
    unknown.access_key = "SOMEBODYELSE".into();
    assert_eq!(unknown.clone().sign().outcome().await.1, "InvalidAccessKeyId");
    assert_eq!(unknown.presign(60).outcome().await.1, "InvalidAccessKeyId");
    let mut wrong = Raw::new(&lab, Method::GET, &path);
    wrong.secret_key = "guess".into();
    assert_eq!(
        wrong.clone().sign().outcome().await,
        (403, "SignatureDoesNotMatch".into())
    );
    assert_eq!(
        wrong.presign(60).outcome().await,
        (403, "SignatureDoesNotMatch".into())
    );
    // Both ways at once.
    let both = Raw::new(&lab, Method::GET, &path).presign(60).sign_as(UNSIGNED);
    assert!(both.outcome().await.0 >= 400);
    assert_eq!(lab.get(PLAIN, "k").await, BODY);
}

/// Signature version 2 with the right key: HMAC-SHA1 over verb, date and path.
#[tokio::test]
async fn signature_version_2_is_refused() {
    use base64::Engine as _;
    let lab = Lab::start().await;
    lab.put(PLAIN, "k", BODY).await;
    let date = "Mon, 23 Nov 2026 12:00:00 GMT";
    let path = format!("/{PLAIN}/k");
    let signature = base64::prelude::BASE64_STANDARD.encode(hmac_sha1(
        SECRET_KEY.as_bytes(),
        format!("GET\n\n\n{date}\n{path}").as_bytes(),
    ));
    let header = Raw::new(&lab, Method::GET, &path)
        .header("date", date)
        .header("authorization", &format!("AWS {ACCESS_KEY}:{signature}"));
    assert_eq!(header.outcome().await, (400, "InvalidRequest".into()));
    let expires = (lab.ahead(DAY).secs()).to_string();
    let signature = base64::prelude::BASE64_STANDARD.encode(hmac_sha1(
        SECRET_KEY.as_bytes(),
        format!("GET\n\n\n{expires}\n{path}").as_bytes(),
    ));
    let query = Raw::new(&lab, Method::GET, &path)
        .query("AWSAccessKeyId", ACCESS_KEY)
        .query("Expires", &expires)
        .query("Signature", &signature);
    assert_eq!(query.outcome().await, (400, "InvalidRequest".into()));
}

/// HMAC with s3s' SHA-1, which saves a dependency for one test.
fn hmac_sha1(key: &[u8], data: &[u8]) -> [u8; 20] {
    use s3s::crypto::{Checksum as _, Sha1};
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = Sha1::checksum(&[&padded(0x36)[..], data].concat());
    Sha1::checksum(&[&padded(0x5c)[..], &inner].concat())
}

#[tokio::test]
async fn form_uploads_are_refused() {
    let lab = Lab::start().await;
    let form = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\ndata\r\n--b--\r\n";
    let mut post = Raw::new(&lab, Method::POST, &format!("/{PLAIN}"))
        .header("content-type", "multipart/form-data; boundary=b");
    post.body = form.as_bytes().to_vec();
    assert_eq!(post.outcome().await, (405, "MethodNotAllowed".into()));
    assert_eq!(post.sign().outcome().await, (405, "MethodNotAllowed".into()));
    assert!(lab.everything(PLAIN).await.is_empty());
}

#[tokio::test]
async fn virtual_hosts_and_path_style_work() {
    let lab = Lab::start().await;
    lab.put(PLAIN, "folder/k", BODY).await;
    let host = format!("{PLAIN}.s3.test");
    let by_host = Raw::new(&lab, Method::GET, "/folder/k")
        .header("host", &host)
        .sign();
    assert_eq!(by_host.send().await.bytes().await.unwrap(), BODY);
    let presigned = Raw::new(&lab, Method::GET, "/folder/k")
        .header("host", &host)
        .presign(60);
    assert_eq!(presigned.send().await.bytes().await.unwrap(), BODY);
    for host in ["localhost:9000", "s3.test", "lockbox.internal"] {
        let by_path = Raw::new(&lab, Method::GET, &format!("/{PLAIN}/folder/k")).header("host", host);
        assert_eq!(by_path.sign().outcome().await.0, 200, "{host}");
    }
}
