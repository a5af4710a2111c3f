//! The live stream: one `EventSource` in each tab, and what it has told so far.

use std::{collections::BTreeMap, time::Duration};

use leptos::prelude::*;
use shared::{
    api::{
        agent::RunState,
        view::{LiveEvent, RestoreState, RestoreView, RunView},
    },
    ids::{RestoreId, RunId, SourceId, TenantId},
};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{EventSource, MessageEvent};

use crate::reach::Reach;

/// Whether the stream flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// On the server, or not open yet.
    Waiting,
    /// Events arrive.
    Open,
    /// It broke, and is opened again.
    Lost,
}

/// What the live stream has told so far, for the tenant that is on the screen.
#[derive(Clone, Copy)]
pub struct Live {
    runs: RwSignal<BTreeMap<RunId, RunView>>,
    restores: RwSignal<BTreeMap<RestoreId, RestoreView>>,
    turns: RwSignal<u64>,
    connection: RwSignal<Connection>,
    /// Raised when the stream is to be opened again.
    openings: RwSignal<u32>,
    /// Openings that failed since it last flowed.
    failures: StoredValue<u32>,
}

/// The pause before the stream is opened again; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// So often it is doubled at most.
const DOUBLED: u32 = 5;

impl Live {
    /// Opens the stream of `tenant` once the page is hydrated, another one when the tenant changes, and the same again when the
    /// browser has given it up, as it does after an answer that is no stream.
    pub fn follow(tenant: Memo<Option<TenantId>>, reach: Reach) -> Self {
        let live = Self {
            runs: RwSignal::default(),
            restores: RwSignal::default(),
            turns: RwSignal::new(0),
            connection: RwSignal::new(Connection::Waiting),
            openings: RwSignal::new(0),
            failures: StoredValue::new(0),
        };
        Effect::new(move || {
            tenant.track();
            live.runs.update(BTreeMap::clear);
            live.restores.update(BTreeMap::clear);
            live.failures.set_value(0);
        });
        Effect::new(move || {
            live.openings.track();
            if let Some(stream) = tenant.get().and_then(|tenant| Stream::open(tenant, live, reach)) {
                // Kept by this effect, and dropped with it or before it runs again. Effects run in the browser only:
                // on the server, a value that must stay on its thread would panic when another one drops it.
                StoredValue::new_local(stream);
            }
        });
        // What the page fetches shows first that the server is back: the stream need not wait for its pause then.
        Effect::new(move |was_lost: Option<bool>| {
            let is_lost = reach.is_lost();
            if was_lost == Some(true) && !is_lost && live.connection.get_untracked() == Connection::Lost {
                live.openings.update(|openings| *openings += 1);
            }
            is_lost
        });
        live
    }

    /// The browser has given the stream up: a little later it is opened again, unless the session has ended. That is told by what
    /// the page fetches, for which this is the occasion.
    fn open_again_later(self, reach: Reach) {
        let Some(failures) = self.failures.try_get_value() else {
            // The page is gone.
            return;
        };
        self.failures.set_value(failures.saturating_add(1));
        if reach.is_open() {
            self.turn();
        }
        let again = move || {
            if !reach.is_signed_out() {
                self.openings.try_update(|openings| *openings += 1);
            }
        };
        set_timeout(again, FIRST_PAUSE * 2_u32.pow(failures.min(DOUBLED)));
    }

    /// Moves on whenever something came to another state, so that lists are worth fetching again. Part of the
    /// source of the resources that hold them.
    pub fn turns(self) -> u64 {
        self.turns.get()
    }

    /// Says that something came to another state.
    pub fn turn(self) {
        self.turns.update(|turns| *turns += 1);
    }

    /// Whether the stream flows.
    pub fn connection(self) -> Connection {
        self.connection.get()
    }

    /// The newest that is known of a run: from the stream, or from the page.
    pub fn run(self, page: &RunView) -> RunView {
        self.runs.with(|runs| match runs.get(&page.id) {
            Some(told) if run_rank(told.state) >= run_rank(page.state) => told.clone(),
            _ => page.clone(),
        })
    }

    /// The run of a source that the stream told of and that is not over.
    pub fn active_run_of(self, source: SourceId) -> Option<RunView> {
        self.runs.with(|runs| {
            let mut of_source = runs.values().rev().filter(|run| run.source_id == source);
            of_source.find(|run| !run.state.is_final()).cloned()
        })
    }

    /// The newest that is known of a restore.
    pub fn restore(self, page: &RestoreView) -> RestoreView {
        self.restores.with(|restores| match restores.get(&page.id) {
            Some(told) if restore_rank(told.state) >= restore_rank(page.state) => told.clone(),
            _ => page.clone(),
        })
    }

    /// Takes in what is known of a run.
    pub fn see_run(self, run: RunView) {
        let turned = self
            .runs
            .with_untracked(|runs| runs.get(&run.id).is_none_or(|before| before.state != run.state));
        self.runs.update(|runs| {
            runs.insert(run.id, run);
        });
        if turned {
            self.turn();
        }
    }

    /// Takes in what is known of a restore.
    pub fn see_restore(self, restore: RestoreView) {
        let turned = self.restores.with_untracked(|restores| {
            restores
                .get(&restore.id)
                .is_none_or(|before| before.state != restore.state)
        });
        self.restores.update(|restores| {
            restores.insert(restore.id, restore);
        });
        if turned {
            self.turn();
        }
    }
}

const fn run_rank(state: RunState) -> u8 {
    match state {
        RunState::Queued => 0,
        RunState::Running => 1,
        RunState::Committing => 2,
        RunState::Locking => 3,
        RunState::Succeeded | RunState::Failed => 4,
    }
}

const fn restore_rank(state: RestoreState) -> u8 {
    match state {
        RestoreState::Authorised => 0,
        RestoreState::Running => 1,
        RestoreState::Succeeded | RestoreState::Failed | RestoreState::Expired | RestoreState::Ended => 2,
    }
}

/// An open `EventSource` and what it calls. Closed when dropped.
struct Stream {
    source: EventSource,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_open: Closure<dyn FnMut()>,
    _on_error: Closure<dyn FnMut()>,
}

impl Stream {
    fn open(tenant: TenantId, live: Live, reach: Reach) -> Option<Self> {
        let source = EventSource::new(&format!("/console/events?tenant={tenant}")).ok()?;
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            let event = message.data().as_string().map(|data| serde_json::from_str(&data));
            match event {
                Some(Ok(LiveEvent::Run(run))) => live.see_run(*run),
                Some(Ok(LiveEvent::Restore(restore))) => live.see_restore(*restore),
                Some(Ok(LiveEvent::Sweep { .. } | LiveEvent::Check { .. })) => live.turn(),
                // A newer server may tell of things that this page does not know.
                Some(Err(_)) | None => {}
            }
        });
        let on_open = Closure::<dyn FnMut()>::new(move || {
            // What happened while the stream was broken was not told.
            if live.connection.get_untracked() == Connection::Lost {
                live.turn();
            }
            live.connection.set(Connection::Open);
            live.failures.set_value(0);
        });
        let on_error = Closure::<dyn FnMut()>::new({
            let source = source.clone();
            move || {
                live.connection.set(Connection::Lost);
                if source.ready_state() == EventSource::CLOSED {
                    live.open_again_later(reach);
                }
            }
        });
        source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Some(Self {
            source,
            _on_message: on_message,
            _on_open: on_open,
            _on_error: on_error,
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.set_onmessage(None);
        self.source.set_onopen(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}
