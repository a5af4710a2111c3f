//! Signed addresses, used as agents use them: by a plain HTTP client without credentials.

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_http_client::{
    ConnectorBuilder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use shared::{api::reads::range_header, retention::LockMode};

use super::{
    fixture::{Breach, Fixture, must},
    reads::content,
};
use crate::sign::Signed;

const VALID: SignedDuration = SignedDuration::from_mins(10);
const LOCK_HEADERS: [&str; 2] = ["x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"];

pub(super) async fn upload_carries_its_lock(f: &Fixture) -> Result<(), Breach> {
    let (key, lock) = ("signed/put", f.lock(LockMode::Compliance));
    let signed = f.store.sign_put(f.sign(key, b"content", lock), VALID).await?;
    for name in LOCK_HEADERS {
        let mut without = signed.clone();
        without
            .headers
            .retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        must(without.headers.len() + 1 == signed.headers.len(), || {
            format!("{name} is no signed header")
        })?;
        refused(
            &format!("an upload without {name}"),
            &put(&without, b"content").await?,
            403,
        )?;
    }
    let mut weaker = signed.clone();
    for (name, value) in &mut weaker.headers {
        if name.eq_ignore_ascii_case(LOCK_HEADERS[0]) {
            "GOVERNANCE".clone_into(value);
        }
    }
    refused(
        "an upload with another mode",
        &put(&weaker, b"content").await?,
        403,
    )?;
    let listed = f.versions(key).await?;
    must(listed.is_empty(), || {
        format!("refused, and {} versions are there", listed.len())
    })?;
    let answer = put(&signed, b"content").await?;
    must(answer.status == 200, || {
        format!("the upload as it was signed: {answer:?}")
    })?;
    let head = f.head(key, None).await?;
    must(head.lock == Some(lock), || {
        format!("the lock {:?} instead of {lock:?}", head.lock)
    })
}

pub(super) async fn upload_of_other_content_is_refused(f: &Fixture) -> Result<(), Breach> {
    let (key, lock) = ("signed/other", f.lock(LockMode::Governance));
    let signed = f.store.sign_put(f.sign(key, b"content", lock), VALID).await?;
    let other = put(&signed, b"CONTENT").await?;
    refused("an upload of other content", &other, 400)?;
    let longer = Signed {
        headers: signed
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
            .cloned()
            .chain([("content-length".to_owned(), "8".to_owned())])
            .collect(),
        ..signed
    };
    refused(
        "an upload of another length",
        &put(&longer, b"content!").await?,
        403,
    )?;
    let listed = f.versions(key).await?;
    must(listed.is_empty(), || {
        format!("refused, and {} versions are there", listed.len())
    })
}

pub(super) async fn read_gives_its_range(f: &Fixture) -> Result<(), Breach> {
    let (key, content) = ("signed/get", content());
    let version = f
        .put(key, &content, f.lock(LockMode::Governance))
        .await?
        .version_id;
    let range = 100..200;
    let url = f
        .store
        .sign_get(&f.bucket, key, &version, range.clone(), VALID)
        .await?;
    let answer = get(&url, Some(&range_header(&range))).await?;
    let named = format!("bytes 100-199/{}", content.len());
    must(
        answer.status == 206 && answer.body == content[100..200] && answer.content_range == Some(named),
        || format!("the range as it was signed: {answer:?}"),
    )?;
    for other in [
        None,
        Some("bytes=100-200"),
        Some("bytes=0-"),
        Some("bytes=100-199,300-400"),
    ] {
        let what = format!("a read of {}", other.unwrap_or("no range"));
        refused(&what, &get(&url, other).await?, 403)?;
    }
    Ok(())
}

/// An answer to a plain client.
#[derive(Debug)]
struct Answer {
    status: u16,
    content_range: Option<String>,
    body: Vec<u8>,
}

fn refused(what: &str, answer: &Answer, status: u16) -> Result<(), Breach> {
    must(answer.status == status, || {
        let code = code(&answer.body).unwrap_or_default();
        format!("{what}: {} {code} instead of {status}", answer.status)
    })
}

/// The code of S3's `<Error>`.
fn code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0.to_owned())
}

async fn put(signed: &Signed, content: &[u8]) -> Result<Answer, Breach> {
    let mut request = http::Request::put(&signed.url);
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    send(request.body(SdkBody::from(content))).await
}

async fn get(url: &str, range: Option<&str>) -> Result<Answer, Breach> {
    let mut request = http::Request::get(url);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    send(request.body(SdkBody::empty())).await
}

async fn send(request: http::Result<http::Request<SdkBody>>) -> Result<Answer, Breach> {
    let connector = ConnectorBuilder::default()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build();
    let request = request.map_err(|error| Breach(error.to_string()))?;
    let request = HttpRequest::try_from(request).map_err(|error| Breach(error.to_string()))?;
    let answer = connector.call(request).await;
    let mut answer = answer.map_err(|error| Breach(format!("a signed address: {error}")))?;
    let body = answer.take_body().collect().await;
    let body = body.map_err(|error| Breach(format!("a signed address: {error}")))?;
    Ok(Answer {
        status: answer.status().as_u16(),
        content_range: answer.headers().get("content-range").map(str::to_owned),
        body: body.to_bytes().to_vec(),
    })
}
