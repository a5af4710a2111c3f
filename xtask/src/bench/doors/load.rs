//! What comes at the server's doors.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use shared::api::agent::BASE_PATH;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Half-sent requests.
pub const SLOW: u32 = 900;
/// Clients that guess passwords, each from an address of its own.
pub const GUESSERS: u32 = 250;
/// Calls for work of one agent.
pub const POLLS: u32 = 300;
/// Senders of 1 MiB bodies.
pub const BODIES: u32 = 32;

/// An address of the loopback network. Each part of the load comes from its own.
pub fn address(nth: u32) -> IpAddr {
    let [_, _, high, low] = nth.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, high, low))
}

/// The server, and what opens it.
pub struct Target {
    pub port: u16,
    pub email: String,
    pub password: String,
    pub credential: String,
    pub pause: Duration,
    pub told: Told,
}

impl Target {
    /// A connection from an address.
    async fn connect(&self, from: IpAddr) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        Ok(socket.connect(self.address()).await?)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

/// How often the load was answered with what.
#[derive(Default)]
pub struct Told(Mutex<BTreeMap<String, u64>>);

impl Told {
    fn count(&self, what: &str, answer: &[u8]) {
        let line = String::from_utf8_lossy(answer);
        let status = line.split(' ').nth(1).unwrap_or("closed").to_owned();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *told.entry(format!("{what} {status}")).or_default() += 1;
    }

    /// For people.
    pub fn summary(&self) -> String {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told: Vec<String> = told
            .iter()
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        told.join("; ")
    }
}

/// Begins all of it. It ends when the set is dropped.
pub fn everything(target: &Arc<Target>) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for _ in 0..SLOW {
        all.spawn(for_ever(target.clone(), |target| async move {
            half_sent(&target).await
        }));
    }
    for nth in 0..GUESSERS {
        all.spawn(for_ever(target.clone(), move |target| async move {
            guess(&target, nth).await
        }));
    }
    for _ in 0..POLLS {
        all.spawn(for_ever(
            target.clone(),
            |target| async move { poll(&target).await },
        ));
    }
    for nth in 0..BODIES {
        all.spawn(for_ever(target.clone(), move |target| async move {
            body(&target, nth).await
        }));
    }
    all
}

async fn for_ever<F>(target: Arc<Target>, mut once: impl FnMut(Arc<Target>) -> F)
where
    F: Future<Output = Result<()>>,
{
    loop {
        // The server may close a connection at any time: that is one of its answers.
        if once(target.clone()).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn half_sent(target: &Target) -> Result<()> {
    let mut socket = target.connect(address(1)).await?;
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: holdfast\r\nX-Slow: ")
        .await?;
    loop {
        socket.write_all(b"x").await?;
        // Nothing is ever answered; the end of the connection is.
        if let Ok(read) = timeout(Duration::from_secs(1), socket.read_u8()).await {
            read?;
        }
    }
}

/// The first bytes of an answer; the connection is given up with it.
async fn answer(target: &Target, what: &str, mut socket: TcpStream) {
    let mut start = [0; 64];
    let length = timeout(Duration::from_secs(90), socket.read(&mut start)).await;
    let length = length.unwrap_or(Ok(0)).unwrap_or(0);
    target.told.count(what, &start[..length]);
}

async fn guess(target: &Target, nth: u32) -> Result<()> {
    let mut socket = target.connect(address(256 + nth)).await?;
    let body = format!("{{\"email\":\"{}\",\"password\":\"guess {nth}\"}}", target.email);
    let request = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: holdfast\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await?;
    answer(target, "guess", socket).await;
    sleep(target.pause).await;
    Ok(())
}

async fn poll(target: &Target) -> Result<()> {
    let mut socket = target.connect(address(2)).await?;
    let request = format!(
        "GET {BASE_PATH}/work?wait_seconds=30 HTTP/1.1\r\nHost: holdfast\r\nAuthorization: Bearer {}\r\n\r\n",
        target.credential
    );
    socket.write_all(request.as_bytes()).await?;
    answer(target, "poll", socket).await;
    sleep(target.pause).await;
    Ok(())
}

async fn body(target: &Target, nth: u32) -> Result<()> {
    const LENGTH: usize = 1 << 20;
    let mut socket = target.connect(address(3)).await?;
    let path = match nth % 4 {
        0 => "/api/v1/session".to_owned(),
        1 => "/console/fn/sign_in".to_owned(),
        2 => format!("{BASE_PATH}/enrollment"),
        _ => format!("{BASE_PATH}/restores"),
    };
    let kind = if path.starts_with("/console") {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    };
    // Half of them do not say how long it is.
    let chunked = nth % 8 < 4;
    let length = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {LENGTH}")
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: holdfast\r\nContent-Type: {kind}\r\nAuthorization: Bearer {}\r\n{length}\r\n\r\n",
        target.credential
    );
    socket.write_all(head.as_bytes()).await?;
    let piece = vec![b' '; 16 << 10];
    for _ in 0..LENGTH / piece.len() {
        let sent = async {
            if chunked {
                socket
                    .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                    .await?;
            }
            socket.write_all(&piece).await?;
            if chunked {
                socket.write_all(b"\r\n").await?;
            }
            Ok::<_, std::io::Error>(())
        };
        // It was refused before all of it was sent.
        if sent.await.is_err() {
            break;
        }
    }
    answer(target, "1 MiB", socket).await;
    sleep(target.pause / 10).await;
    Ok(())
}
