//! A small signer for AWS signature version 4, after "Authenticating Requests (AWS Signature Version
//! 4)" <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>, which
//! also sends what it signed, or something else.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, Response};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use super::lab::{ACCESS_KEY, Lab, SECRET_KEY};

pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A request that is signed as it is now; what is changed after that is not what was signed.
#[derive(Clone, Debug)]
pub struct Raw {
    pub method: Method,
    pub endpoint: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: SystemTime,
    pub access_key: String,
    pub secret_key: String,
    /// The signature of the last [`Raw::sign`], the seed of signed chunks.
    pub seed: String,
}

impl Raw {
    pub fn new(lab: &Lab, method: Method, path: &str) -> Self {
        Self {
            method,
            endpoint: lab.running.endpoint().to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            at: lab.clock.now(),
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.into(),
            seed: String::new(),
        }
    }

    pub fn put(lab: &Lab, path: &str, body: &[u8]) -> Self {
        let mut this = Self::new(lab, Method::PUT, path);
        this.body = body.to_vec();
        this
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_lowercase(), value.to_owned()));
        self
    }

    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self
    }

    pub fn replaced(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    fn host(&self) -> String {
        let given = self
            .headers
            .iter()
            .find(|(n, _)| n == "host")
            .map(|(_, v)| v.clone());
        given.unwrap_or_else(|| self.endpoint.trim_start_matches("http://").to_owned())
    }

    pub fn amz_date(&self) -> String {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        OffsetDateTime::from(self.at).format(format).unwrap()
    }

    pub fn scope(&self) -> String {
        format!("{}/us-east-1/s3/aws4_request", &self.amz_date()[..8])
    }

    /// Signs with an Authorization header over the body's SHA-256.
    pub fn sign(self) -> Self {
        let hash = hex(&Sha256::digest(&self.body));
        self.sign_as(&hash)
    }

    /// Signs with an Authorization header over any payload hash.
    pub fn sign_as(self, payload: &str) -> Self {
        let date = self.amz_date();
        let mut this = self
            .header("x-amz-date", &date)
            .header("x-amz-content-sha256", payload);
        let (signed, signature) = this.signature(payload);
        let (key, scope) = (this.access_key.clone(), this.scope());
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        );
        this.seed = signature;
        this.header("authorization", &value)
    }

    /// Signs into the query: a presigned URL with all present headers signed.
    pub fn presign(mut self, expires_seconds: i64) -> Self {
        let mut names: Vec<&str> = self.headers.iter().map(|(n, _)| n.as_str()).collect();
        names.extend((!names.contains(&"host")).then_some("host"));
        names.sort_unstable();
        let names = names.join(";");
        let (date, credential) = (self.amz_date(), format!("{}/{}", self.access_key, self.scope()));
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &*credential),
            ("X-Amz-Date", &*date),
            ("X-Amz-Expires", &*expires_seconds.to_string()),
            ("X-Amz-SignedHeaders", &*names),
        ] {
            self = self.query(name, value);
        }
        let (_, signature) = self.signature(UNSIGNED);
        self.query("X-Amz-Signature", &signature)
    }

    fn signature(&self, payload: &str) -> (String, String) {
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| name != "host");
        headers.push(("host".into(), self.host()));
        headers.sort();
        let canonical_headers: String = headers
            .iter()
            .map(|(n, v)| format!("{n}:{}\n", v.trim()))
            .collect();
        let signed = headers
            .iter()
            .map(|(n, _)| n.as_str())
            .collect::<Vec<_>>()
            .join(";");
        let mut query: Vec<String> = self.query_pairs();
        query.sort();
        let canonical = format!(
            "{}\n{}\n{}\n{canonical_headers}\n{signed}\n{payload}",
            self.method,
            encode(&self.path, true),
            query.join("&")
        );
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.amz_date(),
            self.scope(),
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        (signed, hex(&mac(&self.key(), to_sign.as_bytes())))
    }

    fn key(&self) -> Vec<u8> {
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for part in [&self.amz_date()[..8], "us-east-1", "s3", "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        key
    }

    fn query_pairs(&self) -> Vec<String> {
        self.query
            .iter()
            .map(|(n, v)| format!("{}={}", encode(n, false), encode(v, false)))
            .collect()
    }

    /// Sends the request as it stands.
    pub async fn send(&self) -> Response {
        let query = self.query_pairs().join("&");
        let url = format!("{}{}?{query}", self.endpoint, encode(&self.path, true));
        let mut request = reqwest::Client::new()
            .request(self.method.clone(), url)
            .body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send().await.unwrap()
    }

    /// Sends, and gives status and error code (empty when there is none).
    pub async fn outcome(&self) -> (u16, String) {
        let response = self.send().await;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, between(&text, "<Code>", "</Code>").to_owned())
    }

    /// An aws-chunked body of `chunks` with signatures, and with signed trailers when there are any.
    pub fn chunk_signed(&mut self, chunks: &[&[u8]], trailers: &[(&str, &str)]) {
        let empty = hex(&Sha256::digest(b""));
        let (date, scope, key) = (self.amz_date(), self.scope(), self.key());
        let mut previous = self.seed.clone();
        let mut body = Vec::new();
        for chunk in chunks.iter().chain([&&b""[..]]) {
            let to_sign = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{empty}\n{}",
                hex(&Sha256::digest(chunk))
            );
            previous = hex(&mac(&key, to_sign.as_bytes()));
            body.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).bytes());
            body.extend_from_slice(chunk);
            if !chunk.is_empty() {
                body.extend(b"\r\n");
            }
        }
        if !trailers.is_empty() {
            let text: String = trailers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
            let to_sign = format!(
                "AWS4-HMAC-SHA256-TRAILER\n{date}\n{scope}\n{previous}\n{}",
                hex(&Sha256::digest(text.as_bytes()))
            );
            for (name, value) in trailers {
                body.extend(format!("{name}:{value}\r\n").bytes());
            }
            let signature = hex(&mac(&key, to_sign.as_bytes()));
            body.extend(format!("x-amz-trailer-signature:{signature}\r\n").bytes());
        }
        body.extend(b"\r\n");
        self.body = body;
    }
}

/// An unsigned aws-chunked body.
pub fn chunk_unsigned(chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks {
        body.extend(format!("{:x}\r\n", chunk.len()).bytes());
        body.extend_from_slice(chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n");
    for (name, value) in trailers {
        body.extend(format!("{name}:{value}\r\n").bytes());
    }
    body.extend(b"\r\n");
    body
}

pub fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    text.split_once(start)
        .and_then(|(_, rest)| rest.split_once(end))
        .map_or("", |(inner, _)| inner)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn encode(text: &str, path: bool) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || (path && b == b'/');
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
