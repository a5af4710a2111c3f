//! A proxy in front of the S3 endpoint that answers wrongly when it is told to: the same faults for every store.
//!
//! Each connection carries one request: `Connection: close` is added to its head, which no S3 client signs, and to the head of the
//! answer, since not every store repeats it. The rest passes in both directions as it is.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::clock;

/// The head of a request, at most, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// What it does to requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// HEAD requests are answered with 404, so many of them.
    NotFound(u32),
    /// GET requests of packs are answered with S3's 404, so many of them.
    PackNotFound(u32),
    /// Connections are closed without an answer.
    Away,
}

#[derive(Debug, Default)]
struct ProxyState {
    fault: Fault,
    hits: u32,
}

/// It serves until it is dropped.
pub struct Proxy {
    address: String,
    state: Arc<Mutex<ProxyState>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts on a port of its own, in front of the loopback port `upstream`.
    pub async fn start(upstream: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let state = Arc::<Mutex<ProxyState>>::default();
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move {
                    // A connection that breaks is the client's affair.
                    let _ = pass(client, upstream, &state).await;
                });
            }
        });
        Ok(Self { address, state, task })
    }

    /// Its address, as an S3 endpoint.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on.
    pub fn set(&self, fault: Fault) {
        *lock(&self.state) = ProxyState { fault, hits: 0 };
    }

    /// How many requests the fault has met.
    pub fn hits(&self) -> u32 {
        lock(&self.state).hits
    }

    /// Waits until the fault has met a request; `false` after a minute.
    pub async fn was_met(&self) -> Result<bool> {
        let met = clock::poll(Duration::from_secs(60), Duration::from_millis(20), async || {
            Ok((self.hits() > 0).then_some(()))
        });
        Ok(met.await?.is_some())
    }
}

fn lock(state: &Mutex<ProxyState>) -> std::sync::MutexGuard<'_, ProxyState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a request with this head.
fn judge(state: &Mutex<ProxyState>, head: &[u8]) -> Fault {
    let mut state = lock(state);
    let fault = match state.fault {
        Fault::None => Fault::None,
        Fault::NotFound(0) => Fault::None,
        Fault::NotFound(_) if !head.starts_with(b"HEAD ") => Fault::None,
        Fault::NotFound(left) => {
            state.fault = Fault::NotFound(left - 1);
            Fault::NotFound(left)
        }
        Fault::PackNotFound(0) => Fault::None,
        Fault::PackNotFound(_) if !is_read_of_pack(head) => Fault::None,
        Fault::PackNotFound(left) => {
            state.fault = Fault::PackNotFound(left - 1);
            Fault::PackNotFound(left)
        }
        Fault::Away => Fault::Away,
    };
    state.hits += u32::from(fault != Fault::None);
    fault
}

/// Whether it reads a pack of files: the path of its first line is a pack's.
fn is_read_of_pack(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.starts_with(b"GET ") && line.windows(7).any(|part| part == b"/packs/")
}

async fn pass(mut client: TcpStream, upstream: u16, state: &Mutex<ProxyState>) -> Result<()> {
    let mut read = Vec::new();
    let Some(head_end) = read_head(&mut client, &mut read).await? else {
        return Ok(());
    };
    match judge(state, &read[..head_end]) {
        Fault::Away => return Ok(()),
        Fault::NotFound(_) => {
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return Ok(client.write_all(answer).await?);
        }
        Fault::PackNotFound(_) => {
            let body = "<Error><Code>NoSuchKey</Code></Error>";
            let answer = format!(
                "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            return Ok(client.write_all(answer.as_bytes()).await?);
        }
        Fault::None => {}
    }
    let mut store = TcpStream::connect(("127.0.0.1", upstream)).await?;
    write_closing(&mut store, &read, head_end).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_store, mut to_store) = store.into_split();
    let sent = async {
        copy(&mut from_client, &mut to_store).await?;
        // The answer is still to come.
        std::future::pending::<Result<()>>().await
    };
    let answered = async {
        let mut answer = Vec::new();
        while let Some(head_end) = read_head(&mut from_store, &mut answer).await? {
            if !answer.starts_with(b"HTTP/1.1 1") {
                write_closing(&mut to_client, &answer, head_end).await?;
                break;
            }
            // "Continue": the answer itself comes behind it.
            let rest = answer.split_off(head_end + 2);
            to_client.write_all(&answer).await?;
            answer = rest;
        }
        copy(&mut from_store, &mut to_client).await?;
        Ok(())
    };
    tokio::select! {
        done = answered => done,
        done = sent => done,
    }
}

/// Reads up to the end of a head. Gives where the empty line begins that ends it; `None` when there is none.
async fn read_head(from: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Result<Option<usize>> {
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            return Ok(Some(end + 2));
        }
        if read.len() > MAX_HEAD_BYTES || from.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// Writes a head, and what was read behind it, with the word that nothing follows on this connection.
async fn write_closing(to: &mut (impl AsyncWrite + Unpin), read: &[u8], head_end: usize) -> Result<()> {
    to.write_all(&read[..head_end]).await?;
    to.write_all(b"Connection: close\r\n").await?;
    Ok(to.write_all(&read[head_end..]).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heads_are_not_found_and_only_so_often() {
        let state = Mutex::new(ProxyState {
            fault: Fault::NotFound(2),
            hits: 0,
        });
        assert_eq!(judge(&state, b"PUT /a HTTP/1.1"), Fault::None);
        assert_eq!(judge(&state, b"HEAD /a HTTP/1.1"), Fault::NotFound(2));
        assert_eq!(judge(&state, b"HEAD /a HTTP/1.1"), Fault::NotFound(1));
        assert_eq!(judge(&state, b"HEAD /a HTTP/1.1"), Fault::None);
        assert_eq!(lock(&state).hits, 2);
    }
}
