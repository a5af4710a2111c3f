//! The binary: what it refuses to take as an argument, and what it shows of strangers' words.

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use crate::support::enrolled::World;
use crate::support::server::TOKEN;

fn agent(world: &World, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast-agent"))
        .args(arguments)
        .env("HOLDFAST_AGENT_STATE", world.path("state"))
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_comes_from_standard_input_or_a_file_and_never_from_an_argument() {
    let world = World::new().await;
    let (address, fingerprint) = (world.server.lock().address.clone(), world.fingerprint.to_string());
    let enroll = ["enroll", "--server", &address, "--fingerprint", &fingerprint];
    for arguments in [
        vec!["--token", TOKEN],
        vec!["--token"],
        vec!["--token=secret-token"],
    ] {
        let said = complaint(&agent(&world, &[&enroll[..], &arguments].concat(), TOKEN));
        assert!(
            said.contains("standard input") && said.contains("--token-file"),
            "{said}"
        );
        assert!(!said.contains(TOKEN) && !said.contains("secret-token"), "{said}");
    }
    let said = complaint(&agent(&world, &enroll, ""));
    assert!(said.contains("no enrollment token"), "{said}");
    let missing = world.path("missing");
    let from_file = |path: &str| agent(&world, &[&enroll[..], &["--token-file", path]].concat(), "");
    assert!(complaint(&from_file(missing.to_str().unwrap())).contains("missing"));
    assert_eq!(world.server.lock().enrolled.len(), 0);

    // As the console's command gives it.
    let enrolled = agent(&world, &enroll, &format!("{TOKEN}\n"));
    assert!(enrolled.status.success(), "{enrolled:?}");
    fs::remove_dir_all(world.path("state")).unwrap();
    let file = world.path("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    assert!(from_file(file.to_str().unwrap()).status.success());
    assert_eq!(world.server.lock().enrolled.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_bucket_is_no_argument_and_its_endpoint_no_stranger() {
    let world = World::new().await;
    let kit = world.path("kit");
    let list = [
        "recover",
        "list",
        "--kit",
        kit.to_str().unwrap(),
        "--bucket",
        "b",
        "--access-key-id",
        "id",
    ];
    for flag in ["--secret-access-key", "--session-token"] {
        let said = complaint(&agent(&world, &[&list[..], &[flag, "hush-hush"]].concat(), ""));
        assert!(
            said.contains("AWS_SECRET_ACCESS_KEY") && !said.contains("hush-hush"),
            "{said}"
        );
    }
    let credentials = world.path("credentials");
    fs::write(&credentials, "aws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
    let http = [
        "--endpoint",
        "http://s3.example.com",
        "--credentials",
        credentials.to_str().unwrap(),
    ];
    let said = complaint(&agent(&world, &[&list[..], &http].concat(), ""));
    assert!(
        said.contains("use https") && said.contains("--allow-http"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_confirmed_shown_and_forgotten() {
    let world = World::new().await;
    world.enroll().await;
    let told = |arguments: &[&str]| {
        let output = agent(&world, arguments, "");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let host = "https://s3.example.com";
    assert!(told(&["trust-host", host]).contains("known from now on"));
    assert!(told(&["trust-host", "S3.example.com"]).contains("known already"));
    assert!(told(&["status"]).contains(&format!("storage:      {host}\n")));
    assert!(told(&["trust-host", "--forget", host]).contains("no longer known"));
    assert!(told(&["trust-host", "--forget", host]).contains("was not known"));
    assert!(!told(&["status"]).contains(host));
    let said = complaint(&agent(&world, &["trust-host", "http://s3.example.com"], ""));
    assert!(said.contains("use https"), "{said}");
}

/// Names and sentences that a server made up.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_strangers_are_shown_escaped() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", b"a");
    world.backup().await.unwrap();
    let name = "docu\u{202e}stnem\0\x1b]0;x\x07\nsnapshot";
    world.server.lock().words.snapshots = Some(Box::new(move |all| all[0].source_name = name.to_owned()));
    let table = agent(&world, &["snapshots"], "");
    let text = String::from_utf8(table.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(shared::text::hidden(text.trim_end_matches('\n')), None, "{text}");
    assert!(text.contains("docu\\u{202e}stnem\\u{0}\\u{1b}"), "{text}");
    let json = agent(&world, &["snapshots", "--json"], "");
    let text = String::from_utf8(json.stdout).unwrap();
    assert_eq!(shared::text::hidden(text.trim_end_matches('\n')), None, "{text}");
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read[0]["source_name"], name);
}
