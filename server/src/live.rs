//! The live streams of what moved on: a channel for each tenant that somebody watches, and few streams for each session.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::{api::view::LiveEvent, ids::TenantId, limits::Limit};
use tokio::sync::{Notify, broadcast};

/// Events that a slow browser may lag behind; what is older it misses.
const BUFFER: usize = 256;

/// What moved on, for browsers that watch.
#[derive(Debug, Default)]
pub struct Live {
    tenants: Mutex<HashMap<TenantId, broadcast::Sender<LiveEvent>>>,
    sessions: Mutex<HashMap<i128, VecDeque<Arc<Notify>>>>,
}

impl Live {
    /// Tells the browsers that watch the tenant. Nobody watching is fine.
    pub fn send(&self, tenant: TenantId, event: LiveEvent) {
        let mut tenants = lock(&self.tenants);
        // Nobody is left who watches.
        if tenants
            .get(&tenant)
            .is_some_and(|sender| sender.send(event).is_err())
        {
            tenants.remove(&tenant);
        }
    }

    /// Watches a tenant, from now on.
    #[must_use]
    pub fn watch(&self, tenant: TenantId) -> broadcast::Receiver<LiveEvent> {
        lock(&self.tenants)
            .entry(tenant)
            .or_insert_with(|| broadcast::channel(BUFFER).0)
            .subscribe()
    }

    /// Opens a stream of a session. When it has too many, the oldest ends.
    pub fn open(self: &Arc<Self>, session: i128) -> LiveStream {
        let ended = Arc::new(Notify::new());
        let mut sessions = lock(&self.sessions);
        let streams = sessions.entry(session).or_default();
        streams.push_back(ended.clone());
        if streams.len() > Limit::StreamsPerSession.max()
            && let Some(oldest) = streams.pop_front()
        {
            oldest.notify_one();
        }
        LiveStream {
            live: self.clone(),
            session,
            ended,
        }
    }

    /// The session has ended: so do its streams.
    pub fn end_session(&self, session: i128) {
        for stream in lock(&self.sessions).remove(&session).unwrap_or_default() {
            stream.notify_one();
        }
    }

    /// How many streams a session has.
    #[must_use]
    pub fn streams_of(&self, session: i128) -> usize {
        lock(&self.sessions).get(&session).map_or(0, VecDeque::len)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream of a session. It is closed when this is dropped.
#[derive(Debug)]
pub struct LiveStream {
    live: Arc<Live>,
    session: i128,
    ended: Arc<Notify>,
}

impl LiveStream {
    /// Waits until the session has ended, or another stream of it needs the place.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        let mut sessions = lock(&self.live.sessions);
        if let Some(streams) = sessions.get_mut(&self.session) {
            streams.retain(|stream| !Arc::ptr_eq(stream, &self.ended));
            if streams.is_empty() {
                sessions.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn has_ended(stream: &LiveStream) -> bool {
        stream.ended().now_or_never().is_some()
    }

    #[test]
    fn a_session_has_few_streams_and_they_end_with_it() {
        let live = Arc::new(Live::default());
        let most = Limit::StreamsPerSession.max();
        let streams: Vec<LiveStream> = (0..=most).map(|_| live.open(1)).collect();
        let other = live.open(2);
        assert_eq!(live.streams_of(1), most);
        assert!(has_ended(&streams[0]) && !has_ended(&streams[1]));
        live.end_session(1);
        assert!(streams[1..].iter().all(has_ended));
        assert!(!has_ended(&other));
        drop((streams, other));
        assert!(lock(&live.sessions).is_empty());
    }

    #[test]
    fn a_tenants_events_reach_its_watchers_only() {
        let live = Live::default();
        let tenant = |of: u128| TenantId::from_uuid(Uuid::from_u128(of));
        let event = || LiveEvent::Sweep {
            source: shared::ids::SourceId::from_uuid(Uuid::from_u128(7)),
        };
        let (mut one, mut other) = (live.watch(tenant(1)), live.watch(tenant(2)));
        live.send(tenant(1), event());
        live.send(tenant(3), event());
        assert!(one.try_recv().is_ok());
        assert!(other.try_recv().is_err());
        drop(one);
        live.send(tenant(1), event());
        assert_eq!(lock(&live.tenants).len(), 1, "whom nobody watches is forgotten");
    }
}
