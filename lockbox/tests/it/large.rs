//! Large objects and many: memory and rates of the binary.

use std::io::Read as _;
use std::path::Path;

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ObjectLockMode;

use crate::support::lab::{ACCESS_KEY, LOCKED, SECRET_KEY, all_versions};
use crate::support::server::Server;

/// Put, get and copy of an object, in every way that bytes come in, with the memory that it took.
async fn stream_through(size: usize) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let s3 = server.client();
    s3.create_bucket()
        .bucket(LOCKED)
        .object_lock_enabled_for_bucket(true)
        .send()
        .await
        .unwrap();
    let source = dir.path().join("source.bin");
    std::fs::File::create(&source)
        .unwrap()
        .set_len(size as u64)
        .unwrap();
    let body = ByteStream::from_path(&source).await.unwrap();
    let put = s3.put_object().bucket(LOCKED).key("k").body(body);
    let put = put
        .object_lock_mode(ObjectLockMode::Governance)
        .object_lock_retain_until_date(DateTime::from_secs(4_000_000_000));
    put.send().await.unwrap();
    s3.copy_object()
        .bucket(LOCKED)
        .key("copy")
        .copy_source(format!("{LOCKED}/k"))
        .send()
        .await
        .unwrap();
    let mut got = s3.get_object().bucket(LOCKED).key("copy").send().await.unwrap();
    let mut read = 0;
    while let Some(bytes) = got.body.try_next().await.unwrap() {
        read += bytes.len();
    }
    assert_eq!(read, size);
    // The whole object as one unsigned chunk, as aws-sdk-go-v2 sends it.
    let one_chunk = one_chunk_put(&server.endpoint, &source, size).await;
    assert_eq!(one_chunk, 200);
    server.peak_memory_mib()
}

async fn one_chunk_put(endpoint: &str, source: &Path, size: usize) -> u16 {
    let now = lockbox::Clock::system().now();
    let raw = crate::support::sign::Raw {
        method: reqwest::Method::PUT,
        endpoint: endpoint.into(),
        path: format!("/{LOCKED}/one-chunk"),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
        at: now,
        access_key: ACCESS_KEY.into(),
        secret_key: SECRET_KEY.into(),
        seed: String::new(),
    };
    let trailer = "x-amz-checksum-crc32";
    let raw = raw
        .header("x-amz-decoded-content-length", &size.to_string())
        .header("x-amz-trailer", trailer)
        .sign_as("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let crc = {
        use s3s::crypto::Checksum as _;
        let mut crc = s3s::crypto::Crc32::new();
        let zeros = vec![0; 1024 * 1024];
        let mut left = size;
        while left > 0 {
            let here = left.min(zeros.len());
            crc.update(&zeros[..here]);
            left -= here;
        }
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, crc.finalize())
    };
    let mut file = std::fs::File::open(source).unwrap();
    let head = format!("{size:x}\r\n").into_bytes();
    let tail = format!("\r\n0\r\n{trailer}:{crc}\r\n\r\n").into_bytes();
    let length = head.len() + size + tail.len();
    let blocks = std::iter::from_fn(move || {
        let mut block = vec![0; 256 * 1024];
        let read = file.read(&mut block).unwrap();
        block.truncate(read);
        (read > 0).then_some(block)
    });
    let stream = std::iter::once(head)
        .chain(blocks)
        .chain([tail])
        .map(Ok::<_, std::io::Error>);
    let url = format!("{endpoint}{}", raw.path);
    let mut request = reqwest::Client::new().put(url).header("content-length", length);
    for (name, value) in &raw.headers {
        request = request.header(name, value);
    }
    let body = reqwest::Body::wrap_stream(futures::stream::iter(stream));
    request.body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn large_objects_do_not_sit_in_memory() {
    let peak = stream_through(256 * 1024 * 1024).await;
    assert!(peak < 100, "{peak} MiB");
}

/// The same with 1 GiB; 3 GiB of writes are too slow for every run.
#[tokio::test]
#[ignore = "writes 3 GiB"]
#[expect(clippy::print_stderr, reason = "a measurement")]
async fn a_gibibyte_does_not_sit_in_memory() {
    let peak = stream_through(1024 * 1024 * 1024).await;
    eprintln!("peak memory: {peak} MiB");
    assert!(peak < 100, "{peak} MiB");
}

/// Rates on this machine; run with `--release --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
#[expect(clippy::print_stderr, reason = "a measurement")]
async fn rates() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let s3 = server.client();
    s3.create_bucket()
        .bucket(LOCKED)
        .object_lock_enabled_for_bucket(true)
        .send()
        .await
        .unwrap();
    for (size, count) in [(1024, 4000), (20 * 1024, 2000), (4 * 1024 * 1024, 200)] {
        let start = lockbox::Clock::system().now();
        let writers: Vec<_> = (0..16)
            .map(|writer| {
                let s3 = s3.clone();
                tokio::spawn(async move {
                    for n in 0..count / 16 {
                        let put = s3.put_object().bucket(LOCKED).key(format!("{size}/{writer}/{n}"));
                        let put = put
                            .object_lock_mode(ObjectLockMode::Governance)
                            .object_lock_retain_until_date(DateTime::from_secs(4_000_000_000))
                            .body(vec![7; size].into());
                        put.send().await.unwrap();
                    }
                })
            })
            .collect();
        futures::future::join_all(writers).await;
        let seconds = lockbox::Clock::system()
            .now()
            .duration_since(start)
            .unwrap()
            .as_secs_f64();
        eprintln!("{size} bytes: {:.0} locked PUT/s", f64::from(count) / seconds);
    }
    let start = lockbox::Clock::system().now();
    let rows = all_versions(&s3, LOCKED).await.len();
    let seconds = lockbox::Clock::system()
        .now()
        .duration_since(start)
        .unwrap()
        .as_secs_f64();
    eprintln!("list versions: {:.0} rows/s", rows as f64 / seconds);
}
