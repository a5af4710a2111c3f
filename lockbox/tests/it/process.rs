//! The binary: start, stop, errors, and what is left after it was killed in the middle of writes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ObjectLockMode;

use crate::support::lab::{LOCKED, all_versions, client_config, code};
use crate::support::server::{Server, command};

fn failure(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn missing_keys_a_taken_port_and_a_folder_in_use_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["LOCKBOX_ACCESS_KEY", "LOCKBOX_SECRET_KEY"] {
        let mut without = command(dir.path(), "127.0.0.1:0");
        without.env_remove(name);
        assert!(failure(without).contains(&format!("set {name} in the environment")));
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = failure(command(dir.path(), &address));
    assert!(
        message.contains(&format!("cannot listen on {address}")),
        "{message}"
    );
    assert!(message.contains("in use"), "{message}");
    let _server = Server::start(dir.path());
    let message = failure(command(dir.path(), "127.0.0.1:0"));
    assert!(
        message.contains("is in use by another lockbox process"),
        "{message}"
    );
}

#[tokio::test]
async fn signals_stop_it_after_open_requests() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(dir.path());
        let s3 = server.client();
        s3.create_bucket().bucket(LOCKED).send().await.unwrap();
        let body = ByteStream::from(vec![1; 20 * 1024 * 1024]);
        let put = tokio::spawn(s3.put_object().bucket(LOCKED).key("k").body(body).send());
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.signal(signal);
        // The request was open, so it is answered; or it came too late and is refused as a whole.
        let answered = put.await.unwrap().is_ok();
        assert!(server.wait().success(), "{signal}");
        let server = Server::start(dir.path());
        let head = server.client().head_object().bucket(LOCKED).key("k").send().await;
        assert!(head.is_ok() || !answered, "{signal}");
    }
}

/// The bytes of an object tell its key and size, so that every one can be checked for wholeness.
fn body_of(key: &str, size: usize) -> Vec<u8> {
    key.bytes().cycle().take(size).collect()
}

fn size_of(n: usize) -> usize {
    [100, 9_000, 70_000, 1_500_000][n % 4] + n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_writes_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // Far ahead, so that the machine's clock does not matter.
    let until = DateTime::from_secs(4_000_000_000);
    let mut acknowledged: Vec<(String, usize, String)> = Vec::new();
    let mut sent = 0;
    for round in 0..4_u64 {
        let mut server = Server::start(dir.path());
        let s3 = server.client();
        if round == 0 {
            let create = s3
                .create_bucket()
                .bucket(LOCKED)
                .object_lock_enabled_for_bucket(true);
            create.send().await.unwrap();
        }
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let s3 = s3.clone();
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    for n in 0.. {
                        let (key, size) = (format!("r{round}/w{writer}/{n}"), size_of(n));
                        let put = s3
                            .put_object()
                            .bucket(LOCKED)
                            .key(&key)
                            .body(body_of(&key, size).into());
                        let put = put
                            .object_lock_mode(ObjectLockMode::Compliance)
                            .object_lock_retain_until_date(until)
                            .if_none_match("*");
                        match put.send().await {
                            Ok(put) => done.push((key, size, put.version_id.unwrap())),
                            Err(_) => return (done, n + 1),
                        }
                    }
                    unreachable!("the server is killed");
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(700 + 170 * round)).await;
        server.signal("-KILL");
        assert!(!server.wait().success());
        for writer in writers {
            let (done, tried) = writer.await.unwrap();
            acknowledged.extend(done);
            sent += tried;
        }
    }
    assert!(acknowledged.len() > 100, "only {} writes", acknowledged.len());
    let server = Server::start(dir.path());
    let s3 = server.client();
    for (key, size, id) in &acknowledged {
        let got = s3
            .get_object()
            .bucket(LOCKED)
            .key(key)
            .version_id(id)
            .send()
            .await
            .unwrap();
        assert_eq!(got.object_lock_mode, Some(ObjectLockMode::Compliance), "{key}");
        assert_eq!(got.object_lock_retain_until_date, Some(until), "{key}");
        assert!(
            got.body.collect().await.unwrap().to_vec() == body_of(key, *size),
            "{key} is not whole"
        );
    }
    let locked = s3
        .delete_object()
        .bucket(LOCKED)
        .key(&acknowledged[0].0)
        .version_id(&acknowledged[0].2);
    assert_eq!(code(&locked.send().await.unwrap_err()), "AccessDenied");
    // Whatever else is there was sent, and is whole and locked too; no file is left over.
    let rows = all_versions(&s3, LOCKED).await;
    assert!(rows.len() >= acknowledged.len() && rows.len() <= sent);
    let mut files = 0;
    for row in &rows {
        let key = row.key().unwrap();
        let n = key.rsplit('/').next().unwrap().parse().unwrap();
        let got = s3.get_object().bucket(LOCKED).key(key).send().await.unwrap();
        assert_eq!(got.object_lock_retain_until_date, Some(until), "{key}");
        assert!(
            got.body.collect().await.unwrap().to_vec() == body_of(key, size_of(n)),
            "{key}"
        );
        files += usize::from(size_of(n) > 8 * 1024);
    }
    let found = walk(&dir.path().join("blobs"));
    assert_eq!(found, files, "one file for each object that needs one");
    assert_eq!(walk(&dir.path().join("staging")), 0);
}

fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}

/// Rules in a file are taken when it changes, are told of, and go with it.
#[tokio::test]
async fn the_binary_takes_faults_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("faults.json");
    let mut server = command(&dir.path().join("data"), "127.0.0.1:0");
    let mut server = server
        .arg("--faults")
        .arg(&rules)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut wait_for = |start: &str| {
        let found = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| Some(line.strip_prefix(start)?.to_owned()));
        found.unwrap()
    };
    let endpoint = wait_for("lockbox listening on ");
    let s3 = aws_sdk_s3::Client::from_conf(client_config(&endpoint).build());
    s3.create_bucket().bucket(LOCKED).send().await.unwrap();
    let refused = r#"[{"on": {"operation": "HeadBucket"}, "times": 1, "action": {"status": {"status": 403, "code": "AccessDenied"}}}]"#;
    std::fs::write(&rules, refused).unwrap();
    while wait_for("lockbox faults in force: ") != "1" {}
    assert!(s3.head_bucket().bucket(LOCKED).send().await.is_err());
    s3.head_bucket().bucket(LOCKED).send().await.unwrap();
    std::fs::write(&rules, refused.replace("\"times\": 1, ", "")).unwrap();
    wait_for("lockbox faults in force: ");
    assert!(s3.head_bucket().bucket(LOCKED).send().await.is_err());
    // What makes no sense changes nothing; what is gone is gone.
    std::fs::write(&rules, "[{").unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(s3.head_bucket().bucket(LOCKED).send().await.is_err());
    std::fs::remove_file(&rules).unwrap();
    while wait_for("lockbox faults in force: ") != "0" {}
    s3.head_bucket().bucket(LOCKED).send().await.unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
}
