//! The database and its master key belong together, and the database's role has a password that only the key tells.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use holdfast_server::{
    secrets::MasterKey,
    serve::{self, ServeError, Settings},
};
use shared::schedule::Schedule;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::Stack;

/// What Postgres keeps of the role's password.
async fn verifier(stack: &Stack) -> String {
    let sql = "SELECT rolpassword FROM pg_authid WHERE rolname = current_database() || '_app'";
    stack.query(sql).await[0].try_get("", "rolpassword").unwrap()
}

async fn refused(stack: &Stack, data: PathBuf) -> String {
    let settings = Settings {
        data,
        ..stack.settings()
    };
    match serve::start(&settings, stack.clock.clone()).await {
        Err(error @ ServeError::OtherKey(_)) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_data_folder_is_refused_before_anything_is_changed() {
    let stack = Stack::start().await;
    let before = (
        verifier(&stack).await,
        stack.query("SELECT * FROM server_epoch").await.len(),
    );
    let message = refused(&stack, stack.folder.path().join("another")).await;
    for word in ["data folder", "master.key", "Nothing was changed"] {
        assert!(message.contains(word), "{message}");
    }
    assert!(!message.contains("DATABASE_URL"), "{message}");
    let after = (
        verifier(&stack).await,
        stack.query("SELECT * FROM server_epoch").await.len(),
    );
    assert_eq!(before, after, "the role of the running server");
    // The commands that serve nobody are held to it as well.
    let other = stack.folder.path().join("another");
    let opened = serve::open(
        &stack.database_url,
        &other,
        stack.app.storage_rule.clone(),
        stack.clock.clone(),
    );
    assert!(matches!(opened.await.err(), Some(ServeError::OtherKey(_))));
    // With its own folder it starts again.
    stack.start_again().await;
    assert_ne!(verifier(&stack).await, before.0, "each start has another salt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_bound_yet_is_judged_by_what_it_keeps() {
    let stack = Stack::start().await;
    stack.site("acme", Schedule::manual()).await;
    // As a version before this one left it.
    stack
        .change("DROP TABLE server_key; DELETE FROM seaql_migrations WHERE version = 'm0010_server_key'")
        .await;
    let before = verifier(&stack).await;
    refused(&stack, stack.folder.path().join("another")).await;
    assert_eq!(verifier(&stack).await, before);
    stack.start_again().await;
    let bound = stack.query("SELECT fingerprint FROM server_key").await;
    let bound: String = bound[0].try_get("", "fingerprint").unwrap();
    let key = MasterKey::load_or_create(&stack.data.join("master.key")).unwrap();
    assert_eq!(bound, key.fingerprint());
}

/// Passes everything on to Postgres, and keeps what was sent to it.
async fn overheard(to: String) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keeps = heard.clone();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&to).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let keeps = keeps.clone();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await.ok() });
            tokio::spawn(async move {
                let mut bytes = [0; 8192];
                while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
                    keeps.lock().unwrap().extend_from_slice(&bytes[..length]);
                    if to_server.write_all(&bytes[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_password_is_in_nothing_that_postgres_is_sent() {
    let stack = Stack::start().await;
    let (head, rest) = stack.database_url.rsplit_once('@').unwrap();
    let (host, database) = rest.split_once('/').unwrap();
    let (port, heard) = overheard(host.to_owned()).await;
    let settings = Settings {
        database_url: format!("{head}@127.0.0.1:{port}/{database}"),
        ..stack.settings()
    };
    let app = serve::start(&settings, stack.clock.clone()).await.unwrap();
    app.db.ping().await.unwrap();
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    let password = MasterKey::load_or_create(&stack.data.join("master.key"))
        .unwrap()
        .database_password();
    assert!(heard.contains("ALTER ROLE"), "the statements were heard");
    assert!(!heard.contains(password.as_str()), "the password was sent");
    let verifier = verifier(&stack).await;
    assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
    assert!(heard.contains(&verifier));
}
