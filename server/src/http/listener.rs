//! The socket: connections with deadlines, counted by whom they are of.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::limits::Limit;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::sleep,
};
use tower::ServiceExt as _;

use super::{
    body::{Slowness, Timed, closing, held},
    deadlines::Deadlines,
    stalled::Unstalled,
};
use crate::{
    client_address::TrustedProxies,
    connections::{Connection, Connections, Phase, TooMany},
    error::ApiError,
};

/// Pause after a connection could not be accepted: there are no more files, or the client is gone already.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client address.
    pub address: IpAddr,
    /// The connection or, behind a trusted proxy, the request.
    pub connection: Arc<Connection>,
}

/// What serves connections.
#[derive(Clone)]
pub struct Listener {
    /// What answers.
    pub router: Router,
    /// Who is connected.
    pub connections: Connections,
    /// Whose word is taken where requests come from.
    pub proxies: TrustedProxies,
    /// How long connections may keep the server waiting.
    pub deadlines: Deadlines,
}

impl Listener {
    /// Serves until `shutdown` ends; requests that are under way are answered.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        // Every connection holds one end; when the other has nobody left, all have ended.
        let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (this, stopped, open) = (self.clone(), stopped.clone(), open.clone());
                    tokio::spawn(async move {
                        this.connection(stream, peer, stopped).await;
                        drop(open);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(AFTER_REFUSAL).await;
                }
            }
        }
        drop((listener, open));
        stop.send_replace(true);
        all_closed.recv().await;
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr, mut stopped: watch::Receiver<bool>) {
        // Small answers are not held back for larger ones.
        stream.set_nodelay(true).ok();
        let proxied = self.proxies.contains(peer.ip());
        let counted = if proxied {
            self.connections.uncounted()
        } else {
            match self.connections.begin(peer.ip()) {
                Ok(counted) => counted,
                // Closed without a word: words cost more than the connection.
                Err(TooMany) => return,
            }
        };
        let counted = Arc::new(counted);
        let io = TokioIo::new(Unstalled::new(stream, self.deadlines.write));
        let service = service_fn(|request| self.answer(request, peer.ip(), counted.clone(), proxied));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Told apart below for those who have signed in and those who have not.
            .header_read_timeout(None)
            .max_headers(Limit::HeaderLines.max())
            .max_buf_size(Limit::HeaderBytes.max())
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        let mut stopping = false;
        let mut over = std::pin::pin!(self.over(&counted, proxied));
        loop {
            tokio::select! {
                // What a client did wrong is its own matter.
                _ = &mut connection => return,
                () = &mut over => return,
                _ = stopped.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    /// Waits until a connection has kept the server waiting for too long, or has to make room.
    async fn over(&self, counted: &Connection, proxied: bool) {
        let mut phases = counted.phases();
        let late = async {
            loop {
                let waits = *phases.borrow_and_update() == Phase::Headers;
                let most = if proxied || counted.is_signed_in() {
                    self.deadlines.idle
                } else {
                    self.deadlines.headers
                };
                tokio::select! {
                    () = sleep(most), if waits => return,
                    changed = phases.changed() => if changed.is_err() { return },
                }
            }
        };
        if proxied {
            // Nobody is counted by it: it does not make room.
            return late.await;
        }
        tokio::select! {
            () = late => {}
            () = counted.ended() => {}
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        connection: Arc<Connection>,
        proxied: bool,
    ) -> Result<Response, Infallible> {
        let address = self.proxies.client(peer, request.headers());
        connection.enter(Phase::Working);
        let counted = if proxied {
            match self.connections.begin(address) {
                Ok(counted) => Arc::new(counted),
                Err(TooMany) => {
                    connection.enter(Phase::Headers);
                    return Ok(ApiError::TooManyRequests.into_response());
                }
            }
        } else {
            connection.clone()
        };
        counted.enter(Phase::Working);
        let client = Client {
            address,
            connection: counted.clone(),
        };
        let slowness = Slowness::default();
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(client);
        let body = Timed::new(body, counted.clone(), self.deadlines, slowness.clone());
        let request = Request::from_parts(parts, Body::new(body));
        let answered = self.router.clone().oneshot(request);
        let answer = if proxied {
            // The request makes room; the connection is the proxy's and stays.
            tokio::select! {
                answer = answered => answer?,
                () = counted.ended() => ApiError::TooManyRequests.into_response(),
            }
        } else {
            answered.await?
        };
        let answer = if slowness.was_found() {
            closing(ApiError::TooSlow)
        } else {
            answer
        };
        Ok(answer.map(|body| held(body, connection, counted)))
    }
}
