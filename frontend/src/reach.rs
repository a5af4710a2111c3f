//! Whether the server can be reached, and what waits until it can: a page that has lost its server stays as it is, says so, and
//! goes on when the server is back.

use std::{future::Future, time::Duration};

use leptos::prelude::*;

use crate::error::ConsoleError;

/// The pause before the first further try; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is known of the way to the server. One for the whole page.
#[derive(Clone, Copy)]
pub struct Reach {
    lost: RwSignal<bool>,
    signed_out: RwSignal<bool>,
}

impl Reach {
    /// Makes it known to everything below.
    pub fn provide() -> Self {
        let reach = Self {
            lost: RwSignal::new(false),
            signed_out: RwSignal::new(false),
        };
        provide_context(reach);
        reach
    }

    /// Whether the last request had no usable answer.
    pub fn is_lost(self) -> bool {
        self.lost.get()
    }

    /// Whether it is worth asking for anything: the server answered last, and knows who asks.
    pub fn is_open(self) -> bool {
        !self.lost.get_untracked() && !self.signed_out.get_untracked()
    }

    /// Whether the session has ended.
    pub fn is_signed_out(self) -> bool {
        self.signed_out.get_untracked()
    }

    /// Takes in what came of a request.
    fn see<T>(self, result: &Result<T, ConsoleError>) {
        let lost = matches!(result, Err(ConsoleError::Unreachable));
        let signed_out = matches!(result, Err(ConsoleError::SignInNeeded));
        for (signal, value) in [(self.lost, lost), (self.signed_out, signed_out)] {
            if signal.get_untracked() != value {
                signal.set(value);
            }
        }
    }
}

/// What `fetch` gives. In the browser a request without a usable answer is made again until there is one: what the page shows stays
/// meanwhile. Called where the context is known, as in a resource's fetcher.
pub fn fetched<T, F>(
    fetch: impl Fn() -> F + Send + 'static,
) -> impl Future<Output = Result<T, ConsoleError>> + Send
where
    F: Future<Output = Result<T, ConsoleError>> + Send,
    T: Send,
{
    let reach = use_context::<Reach>();
    async move {
        let mut pause = FIRST_PAUSE;
        loop {
            let result = fetch().await;
            if let Some(reach) = reach {
                reach.see(&result);
            }
            if !cfg!(feature = "hydrate") || !matches!(result, Err(ConsoleError::Unreachable)) {
                return result;
            }
            wait(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn wait(pause: Duration) {
    let (done, over) = futures::channel::oneshot::channel();
    set_timeout(
        move || {
            let _ = done.send(());
        },
        pause,
    );
    let _ = over.await;
}

/// Says that the server cannot be reached, while that is so.
#[component]
pub fn ReachNote() -> impl IntoView {
    let reach = expect_context::<Reach>();
    view! {
        <p class="reach-note" role="status">
            {move || {
                reach
                    .is_lost()
                    .then_some(
                        "The server cannot be reached. What is shown may be old; this page goes on by itself when the server is \
                         back. If this lasts, reload the page.",
                    )
            }}
        </p>
    }
    .into_any()
}
