//! Bodies with a deadline and a length, and answers that count until they are sent.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::deadlines::Deadlines;
use crate::{
    connections::{Connection, Phase},
    error::ApiError,
};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
struct TooSlow;

/// Whether a body was too slow: whatever the handler made of that, the caller is told so.
#[derive(Debug, Clone, Default)]
pub struct Slowness(Arc<AtomicBool>);

impl Slowness {
    /// Whether it was.
    pub fn was_found(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request's body, which must come within a time, and without long pauses.
pub struct Timed<B> {
    inner: B,
    connection: Arc<Connection>,
    deadlines: Deadlines,
    whole: Option<Pin<Box<Sleep>>>,
    pause: Option<Pin<Box<Sleep>>>,
    slowness: Slowness,
}

impl<B> Timed<B> {
    pub fn new(inner: B, connection: Arc<Connection>, deadlines: Deadlines, slowness: Slowness) -> Self {
        Self {
            inner,
            connection,
            deadlines,
            whole: None,
            pause: None,
            slowness,
        }
    }
}

/// Arms a timer, and says whether its time is over.
fn is_over(timer: &mut Option<Pin<Box<Sleep>>>, after: Duration, context: &mut Context<'_>) -> bool {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(after)));
    timer.as_mut().poll(context).is_ready()
}

impl<B> HttpBody for Timed<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            this.pause = None;
            this.connection.enter(Phase::Working);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.connection.enter(Phase::Body);
        if is_over(&mut this.whole, this.deadlines.body, context)
            || is_over(&mut this.pause, this.deadlines.pause, context)
        {
            this.slowness.0.store(true, Ordering::Relaxed);
            this.connection.enter(Phase::Working);
            return Poll::Ready(Some(Err(TooSlow.into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the body is too long")]
struct TooLong;

/// A request's body, of which no more is read than a length.
struct Bounded {
    inner: Body,
    left: usize,
    exceeded: Arc<AtomicBool>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.inner).poll_frame(context));
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        let Some(left) = this.left.checked_sub(length) else {
            this.left = 0;
            this.exceeded.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(TooLong.into())));
        };
        this.left = left;
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Refuses a body of more bytes than `most`, whether it says its length before or not. Whatever the handler made of a body that
/// ended too early, the caller is told why.
pub async fn bounded(State(most): State<usize>, request: Request, next: Next) -> Response {
    let (parts, inner) = request.into_parts();
    if inner.size_hint().lower() > most as u64 {
        return closing(ApiError::TooLong);
    }
    let exceeded = Arc::<AtomicBool>::default();
    let body = Bounded {
        inner,
        left: most,
        exceeded: exceeded.clone(),
    };
    let answer = next.run(Request::from_parts(parts, Body::new(body))).await;
    if exceeded.load(Ordering::Relaxed) {
        return closing(ApiError::TooLong);
    }
    answer
}

/// An answer to a request whose body was not read to its end. The rest may still come: the connection can not be used again.
pub fn closing(error: ApiError) -> Response {
    let mut answer = error.into_response();
    answer
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The end of an answer, sent or dropped: the server waits for the next request.
struct Answered {
    connection: Arc<Connection>,
    _counted: Arc<Connection>,
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.connection.enter(Phase::Headers);
    }
}

/// Counts the request until its answer is sent.
pub fn held(body: Body, connection: Arc<Connection>, counted: Arc<Connection>) -> Body {
    let answered = Answered {
        connection,
        _counted: counted,
    };
    Body::new(body.map_frame(move |frame| {
        let _held = &answered;
        frame
    }))
}
