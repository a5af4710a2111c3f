//! A proxy in front of the S3 endpoint that answers wrongly when it is told to: the same faults for every store.
//!
//! Each connection carries one request: the head is read and told `Connection: close`, which no S3 client signs, and the rest
//! passes in both directions as it is.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
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
    /// Connections are closed without an answer.
    Away,
}

#[derive(Debug, Default)]
struct State {
    fault: Fault,
    hits: u32,
}

/// It serves until it is dropped.
pub struct Proxy {
    address: String,
    state: Arc<Mutex<State>>,
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
        let state = Arc::<Mutex<State>>::default();
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
        *lock(&self.state) = State { fault, hits: 0 };
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

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a request with this head.
fn judge(state: &Mutex<State>, head: &[u8]) -> Fault {
    let mut state = lock(state);
    let fault = match state.fault {
        Fault::None => Fault::None,
        Fault::NotFound(0) => Fault::None,
        Fault::NotFound(_) if !head.starts_with(b"HEAD ") => Fault::None,
        Fault::NotFound(left) => {
            state.fault = Fault::NotFound(left - 1);
            Fault::NotFound(left)
        }
        Fault::Away => Fault::Away,
    };
    state.hits += u32::from(fault != Fault::None);
    fault
}

async fn pass(mut client: TcpStream, upstream: u16, state: &Mutex<State>) -> Result<()> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 2;
        }
        if read.len() > MAX_HEAD_BYTES || client.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    };
    match judge(state, &read[..head_end]) {
        Fault::Away => return Ok(()),
        Fault::NotFound(_) => {
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return Ok(client.write_all(answer).await?);
        }
        Fault::None => {}
    }
    let mut store = TcpStream::connect(("127.0.0.1", upstream)).await?;
    store.write_all(&read[..head_end]).await?;
    store.write_all(b"Connection: close\r\n").await?;
    store.write_all(&read[head_end..]).await?;
    copy_bidirectional(&mut client, &mut store).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heads_are_not_found_and_only_so_often() {
        let state = Mutex::new(State {
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
