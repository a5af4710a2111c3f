//! A request's body, and what came of one that is XML.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::StdError;

/// So much of a refused body is still read, so that the client gets to see the answer.
const DRAIN_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// What came of an XML body; the gate decides, after the signature was found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyCheck {
    /// No digest was sent.
    Undeclared,
    Match,
    Mismatch,
    /// The digest itself is malformed.
    Invalid,
    TooLarge,
    Incomplete,
}

/// The body of a request, which is still there when s3s has dropped its side of it.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<Incoming>>);

impl Shared {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    fn with<T>(&self, f: impl FnOnce(Pin<&mut Incoming>) -> T) -> T {
        f(Pin::new(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Reads what is left, so that the client gets to see the answer; up to a limit.
    pub(crate) async fn drain(&self) {
        let mut read = 0;
        while read < DRAIN_LIMIT_BYTES && !self.is_end_stream() {
            match poll_fn(|cx| self.with(|body| body.poll_frame(cx))).await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    }
}

impl Body for Shared {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        self.with(|body| body.poll_frame(cx)).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
