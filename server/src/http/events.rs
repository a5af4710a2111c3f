//! The live stream of a tenant: server-sent events, one for each thing that moved on.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Query, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use shared::ids::TenantId;
use tokio_stream::wrappers::BroadcastStream;

use super::session::SignedIn;
use crate::{
    app::App,
    error::ApiError,
    scope::{self, Access},
};

/// Which tenant to watch.
#[derive(Deserialize)]
pub struct Watch {
    tenant: TenantId,
}

/// `GET /console/events?tenant=…`. A browser that lags behind misses events and gets the next ones: each is whole.
pub async fn stream(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Query(watch): Query<Watch>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let actor = scope::authorise(&app.db, user, watch.tenant, Access::Read).await?;
    let tenant = actor.scope.tenant();
    let events = BroadcastStream::new(app.live.watch()).filter_map(move |item| async move {
        let (of, event) = item.ok()?;
        let event = (of == tenant)
            .then(|| Event::default().json_data(event))
            .and_then(Result::ok)?;
        Some(Ok(event))
    });
    // A session that has ended must not go on watching: the browser comes back by itself and is asked again.
    let events = events.take_until(tokio::time::sleep(Duration::from_secs(15 * 60)));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}
