//! The rules at work, in front of everything else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::StdError;

use super::action::{Action, Listing};
use super::answer::{Body, broken, collect, instead, send};
use super::request::{Seen, glob};
use super::{Entry, Faults, listing};
use crate::clock::Clock;
use crate::front::{Front, set_date};
use crate::host::Hosts;

/// So much of the body of a request that the store does not get is still read, so that the client sees the answer.
const DRAIN_LIMIT_BYTES: usize = 64 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// What GetObject does instead of what Range asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RangeFault {
    Whole,
    Shifted(i64),
}

/// Which rows of a DeleteObjects are refused, by patterns of keys, and with which codes.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowFaults(Vec<(String, String)>);

impl RowFaults {
    /// The code that a row is refused with.
    pub(crate) fn code(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(pattern, _)| glob(pattern, key));
        found.map(|(_, code)| code.as_str())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Layer {
    front: Front,
    faults: Faults,
    hosts: Arc<Hosts>,
    clock: Clock,
}

impl Layer {
    pub(crate) fn new(front: Front, faults: Faults, domains: &[String], clock: Clock) -> Self {
        let hosts = Arc::new(Hosts::new(domains));
        Self {
            front,
            faults,
            hosts,
            clock,
        }
    }

    /// Answers a request. An error drops the connection.
    pub(crate) async fn handle(&self, mut request: Request<Incoming>) -> Result<Response<Body>, StdError> {
        let seen = Seen::of(&request, &self.hosts);
        let entries = self.faults.apply(&seen);
        for entry in &entries {
            self.before(entry).await?;
            prepare(&entry.rule.action, &mut request);
        }
        let made_up = entries
            .iter()
            .find_map(|entry| instead(&entry.rule.action, &seen));
        let mut response = match made_up {
            None => self.pass(request).await?,
            Some(mut response) => {
                set_date(response.headers_mut(), &self.clock, 0);
                drain(request.into_body()).await;
                response
            }
        };
        for entry in &entries {
            response = self.after(entry, &seen, response).await?;
        }
        Ok(response)
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Body>, StdError> {
        let response = self.front.handle(request).await?;
        Ok(response.map(http_body_util::BodyExt::boxed_unsync))
    }

    /// What happens before the store is asked.
    async fn before(&self, entry: &Arc<Entry>) -> Result<(), StdError> {
        match &entry.rule.action {
            Action::Delay { seconds } => {
                let span = Duration::try_from_secs_f64(*seconds).unwrap_or_default();
                tokio::time::sleep(span).await;
                Ok(())
            }
            Action::Stall => {
                self.faults.ended(entry).await;
                Err(dropped())
            }
            Action::Drop => Err(dropped()),
            _ => Ok(()),
        }
    }

    /// What happens to an answer.
    async fn after(
        &self,
        entry: &Entry,
        seen: &Seen,
        mut response: Response<Body>,
    ) -> Result<Response<Body>, StdError> {
        match &entry.rule.action {
            Action::DropAfter => return Err(dropped()),
            Action::Date { ahead_seconds } => set_date(response.headers_mut(), &self.clock, *ahead_seconds),
            Action::Header { name, value } => {
                let name: HeaderName = name.parse()?;
                response.headers_mut().insert(name, HeaderValue::from_str(value)?);
            }
            Action::DropInBody { after_bytes } => {
                response = broken(collect(response).await?, *after_bytes);
            }
            Action::Cut { at_bytes } => {
                let mut answer = collect(response).await?;
                answer.body.truncate(*at_bytes);
                response = send(answer);
            }
            Action::Rewrite(rewrite) => response = send(rewrite.apply(seen, collect(response).await?)),
            Action::Listing(Listing::Endless { .. }) => {}
            Action::Listing(wrong) if response.status().is_success() => {
                let mut answer = collect(response).await?;
                answer.body = listing::change(wrong, seen, entry, &answer.body);
                response = send(answer);
            }
            _ => {}
        }
        Ok(response)
    }
}

/// Tells the operation what to do wrong.
fn prepare<B>(action: &Action, request: &mut Request<B>) {
    let extensions = request.extensions_mut();
    match action {
        Action::WholeForRange => {
            extensions.insert(RangeFault::Whole);
        }
        Action::ShiftedRange { bytes } => {
            extensions.insert(RangeFault::Shifted(*bytes));
        }
        Action::DeleteRow { key, code } => {
            let rows = extensions.get_or_insert_default::<RowFaults>();
            rows.0.push((key.clone(), code.clone()));
        }
        _ => {}
    }
}

fn dropped() -> StdError {
    io::Error::other("dropped on purpose").into()
}

async fn drain(mut body: Incoming) {
    let read = async {
        let mut read = 0;
        while read < DRAIN_LIMIT_BYTES {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    };
    // What comes later is cut off with the connection.
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}
