//! A lockbox and a client of it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bucket::{Config, Endpoint, Retries, Route, S3Client, Timeouts, WallClock};
use jiff::Timestamp;
use lockbox::{Clock, Config as Lockbox, Credentials, Running};
use tempfile::TempDir;

const ACCESS_KEY: &str = "key";
const SECRET_KEY: &str = "secret";

/// A lockbox of the system's time, and a client as the server has it.
pub struct Lab {
    pub lockbox: Running,
    pub store: S3Client,
    _folder: TempDir,
}

impl Lab {
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let lockbox = Running::start(Lockbox {
            data: folder.path().join("lockbox"),
            credentials: vec![Credentials {
                access_key: ACCESS_KEY.into(),
                secret_key: SECRET_KEY.into(),
            }],
            clock: Clock::system(),
            domains: Vec::new(),
        });
        let lockbox = lockbox.await.unwrap();
        Self {
            store: client(lockbox.endpoint(), 1),
            lockbox,
            _folder: folder,
        }
    }
}

/// A client that reads a body so many times.
pub fn client(url: &str, bodies: u32) -> S3Client {
    S3Client::new(Config {
        endpoint: Endpoint {
            url: Some(url.to_owned()),
            region: "us-east-1".into(),
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.to_owned().into(),
            session_token: None,
            path_style: true,
        },
        route: Route::Direct,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            read: None,
            attempt: Some(Duration::from_secs(30)),
            stalled: Duration::from_secs(20),
        },
        retries: Retries {
            requests: 3,
            backoff: Duration::from_millis(20),
            bodies,
            pause: |_| Duration::from_millis(10),
        },
        compare_etags: true,
        clock: Some(Arc::new(SystemWallClock)),
        throttle: None,
    })
}

/// A clock that no store changes, as the server's is.
#[derive(Debug)]
struct SystemWallClock;

impl WallClock for SystemWallClock {
    fn now(&self) -> SystemTime {
        Clock::system().now()
    }
}

/// The system's time.
pub fn now() -> Timestamp {
    Clock::system().now().try_into().unwrap()
}
