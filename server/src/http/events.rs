//! The live stream of a tenant: server-sent events, one for each thing that moved on. It ends with the session, and when its user
//! may no longer look at the tenant.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Query, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use shared::{api::view::LiveEvent, ids::TenantId};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Interval, MissedTickBehavior, interval, sleep},
};
use tower_sessions::{Session, session::Id};

use super::session::may_still_look;
use crate::{
    app::App,
    error::ApiError,
    live::LiveStream,
    scope::{Person, Viewer},
};

/// How often it is asked whether a stream may go on: an event is told at most so long after that was looked at. A sign-out ends
/// it at once.
const ASK_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// How often it is asked when nothing happens.
const ASK_WHEN_QUIET: Duration = Duration::from_secs(10);
/// For how long a stream goes on at most; the browser comes back by itself.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Which tenant to watch.
#[derive(Deserialize)]
pub struct Watch {
    tenant: TenantId,
}

struct Watching {
    app: App,
    session: Id,
    tenant: TenantId,
    events: broadcast::Receiver<LiveEvent>,
    stream: LiveStream,
    /// When it was last looked at whether it may go on.
    asked_at: Timestamp,
    quiet: Interval,
}

impl Watching {
    /// The next event that may still be told; `None` when the stream is over.
    async fn next(&mut self) -> Option<LiveEvent> {
        loop {
            let event = tokio::select! {
                // An ended session is told nothing more, whatever else is ready.
                biased;
                () = self.stream.ended() => return None,
                _ = self.quiet.tick() => None,
                event = self.events.recv() => match event {
                    Ok(event) => Some(event),
                    // A browser that lags behind misses events and gets the next ones: each is whole.
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return None,
                },
            };
            let now = self.app.clock.now();
            if event.is_none() || now.duration_since(self.asked_at) >= ASK_EVERY {
                // When the database does not answer, nothing is told.
                if !may_still_look(&self.app, self.session, self.tenant)
                    .await
                    .unwrap_or(false)
                {
                    return None;
                }
                self.asked_at = now;
                self.quiet.reset();
            }
            if event.is_some() {
                return event;
            }
        }
    }
}

/// `GET /console/events?tenant=…`.
pub async fn stream(
    State(app): State<App>,
    person: Person,
    session: Session,
    Query(watch): Query<Watch>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let viewer = Viewer::authorise(&app.db, person, watch.tenant).await?;
    let tenant = viewer.scope.tenant();
    let session = session.id().ok_or(ApiError::SignInNeeded)?;
    let mut quiet = interval(ASK_WHEN_QUIET);
    quiet.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watching = Watching {
        events: app.live.watch(tenant),
        stream: app.live.open(session.0),
        app,
        session,
        tenant,
        asked_at: Timestamp::MIN,
        quiet,
    };
    let events = stream::unfold(watching, |mut watching| async move {
        loop {
            let event = watching.next().await?;
            // What can not be written as JSON is nothing of ours.
            if let Ok(event) = Event::default().json_data(event) {
                return Some((Ok(event), watching));
            }
        }
    });
    let events = futures::StreamExt::take_until(events, sleep(LONGEST));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}
