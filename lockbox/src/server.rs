//! The HTTP server around the store.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::calls::Calls;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::faults::{Faults, Layer};
use crate::front::Front;
use crate::gate::Gate;
use crate::host::Hosts;
use crate::keys::Keys;
use crate::service::Lockbox as Operations;
use crate::store::Store;

/// How long open requests may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// Serves S3 on a bound socket until `shutdown` is ready; then lets open requests end, for up to ten
/// seconds, and closes the data folder.
///
/// # Errors
/// When the data folder cannot be opened, or is in use by another process.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    open(config).await?.run(listener, shutdown).await;
    Ok(())
}

/// A lockbox with its data folder open, not yet listening.
#[derive(Debug)]
pub struct Opened {
    store: Arc<Store>,
    layer: Layer,
    calls: Calls,
    faults: Faults,
}

/// Opens the data folder, so that a caller can say that it is ready only when it is.
///
/// # Errors
/// When the data folder cannot be opened, or is in use by another process.
pub async fn open(config: Config) -> Result<Opened, Error> {
    if config.credentials.is_empty() {
        return Err(Error::NoCredentials);
    }
    let data = config.data.clone();
    let store = Arc::new(tokio::task::spawn_blocking(move || Store::open(&data)).await??);
    let calls = Calls::default();
    let service = s3_service(&config, Arc::clone(&store), calls.clone());
    let faults = Faults::default();
    let front = Front::new(service, config.clock.clone());
    Ok(Opened {
        store,
        layer: Layer::new(front, faults.clone(), &config.domains, config.clock),
        calls,
        faults,
    })
}

fn s3_service(config: &Config, store: Arc<Store>, calls: Calls) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Operations::new(store, config.clock.clone()));
    builder.set_auth(Keys::new(&config.credentials));
    builder.set_access(Gate::new(config.clock.clone(), calls));
    builder.set_host(Hosts::new(&config.domains));
    let mut limits = S3Config::default();
    // s3s compares with the machine's clock; the gate compares with lockbox's.
    limits.presigned_url_max_skew_time_secs = u32::MAX;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(limits))));
    builder.build()
}

impl Opened {
    /// The counts of what was let in, kept up to date.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// Faults on purpose: none until a rule is added.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Serves until `shutdown` is ready, as [`serve`] does.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let Self {
            store, layer, faults, ..
        } = self;
        let (stop, stopping) = watch::channel(());
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, layer.clone(), stopping.clone()));
                    }
                    Err(error) => {
                        // Out of file descriptors, usually: wait instead of spinning.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(listener);
        drop(layer);
        drop(stop);
        // Ends what a rule stalls.
        faults.clear();
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all_ended).await.is_err() {
            connections.shutdown().await;
        }
        close(store).await;
    }
}

/// Waits until nobody uses the store any more, so that the folder is free when this returns.
async fn close(mut store: Arc<Store>) {
    for _ in 0..500 {
        match Arc::try_unwrap(store) {
            Ok(last) => {
                if tokio::task::spawn_blocking(move || drop(last)).await.is_err() {
                    tracing::error!("the store could not be closed");
                }
                return;
            }
            Err(shared) => store = shared,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracing::warn!("a request still uses the store");
}

/// Why a request is not answered: the connection ends.
#[derive(Debug, thiserror::Error)]
#[error("not answered: {0}")]
struct NoAnswer(s3s::StdError);

async fn connection(stream: TcpStream, layer: Layer, mut stopping: watch::Receiver<()>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = service_fn(move |req| {
        let layer = layer.clone();
        async move { layer.handle(req).await.map_err(NoAnswer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(60))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // The sender is dropped to stop; nothing is ever sent.
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// A lockbox of its own on a free port of 127.0.0.1: for tests and the embedded default.
///
/// Dropped, it stops by itself; the data folder may stay locked for a moment after that. Use
/// [`Running::stop`] to wait for it.
#[derive(Debug)]
pub struct Running {
    endpoint: String,
    address: SocketAddr,
    clock: Clock,
    faults: Faults,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts on a free port.
    ///
    /// # Errors
    /// When the data folder cannot be opened, or is in use by another process.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let listen = |source: io::Error| Error::Listen {
            address: "127.0.0.1:0".into(),
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let clock = config.clock.clone();
        let opened = open(config).await?;
        let faults = opened.faults();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(opened.run(listener, async {
            // A dropped sender stops too.
            let _ = stopped.await;
        }));
        Ok(Self {
            endpoint: format!("http://{address}"),
            address,
            clock,
            faults,
            stop: Some(stop),
            task: Some(task),
        })
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The socket it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The clock it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Faults on purpose: none until a rule is added.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Stops and waits until the data folder is closed.
    pub async fn stop(mut self) {
        self.stop = None;
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the server's task failed");
        }
    }
}
