//! Faults on purpose, for tests of what uses a store: answers that a store, a proxy or an attacker might give instead of
//! the right one.
//!
//! A [`Rule`] is a value: which requests ([`On`]), how many of them or for how long, and what happens to them
//! ([`Action`]). Rules are added and removed while the server runs; without any, requests pass as they are. Every rule
//! that matches a request counts it as a hit. What they do is put together in the order in which they were added:
//! delays and pauses, then the first rule that answers instead of the store, then the changes to the answer.
//!
//! The layer stands in front of everything else, so an answer of a rule needs no valid signature, and what a rule answers
//! the store never sees, unless the action says so.
//!
//! ```
//! use std::time::Duration;
//! use lockbox::faults::{Action, On, Rule};
//! # use lockbox::{Clock, Config, Credentials, Running};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let dir = tempfile::tempdir().unwrap();
//! # let pair = Credentials { access_key: "a".into(), secret_key: "b".into() };
//! # let running = Running::start(Config {
//! #     data: dir.path().join("data"), credentials: vec![pair], clock: Clock::system(), domains: Vec::new(),
//! # }).await.unwrap();
//! let faults = running.faults();
//! // The first four HEADs of packs are answered with 404, though the packs are there.
//! let lie = faults.add(Rule::new(On::operation("HeadObject").key("*/packs/*"), Action::NotThere).times(4));
//! // For 20 s every request is answered with 503, and with a date five years off.
//! faults.add(Rule::new(On::any(), Action::status(503, "SlowDown")).lasting(Duration::from_secs(20)));
//! faults.add(Rule::new(On::any(), Action::date_ahead(Duration::from_secs(5 * 365 * 86_400))));
//! assert_eq!(lie.hits(), 0);
//! faults.clear();
//! # });
//! ```
//!
//! The binary takes rules from a file in JSON when it is started with `--faults FILE`; see [`file`].

mod action;
mod answer;
pub mod file;
mod layer;
mod listing;
mod request;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use action::{Action, Answer, Listing, Rewrite};
pub(crate) use layer::{Layer, RangeFault, RowFaults};
pub use request::{On, Seen};

use crate::clock::monotonic;

/// Which requests, how many of them or for how long, and what happens to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests.
    #[serde(default)]
    pub on: On,
    /// So many matching requests pass before the rule begins.
    #[serde(default)]
    pub skip: u64,
    /// It ends after so many hits; without a number it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// It ends so many seconds after it was added; without a number it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<f64>,
    /// What happens.
    pub action: Action,
}

impl Rule {
    /// A rule without end.
    #[must_use]
    pub fn new(on: On, action: Action) -> Self {
        Self {
            on,
            skip: 0,
            times: None,
            for_seconds: None,
            action,
        }
    }

    /// Ends after `times` hits.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Ends so long after it was added, by the machine's steady clock.
    #[must_use]
    pub fn lasting(mut self, span: Duration) -> Self {
        self.for_seconds = Some(span.as_secs_f64());
        self
    }

    /// Lets the first `skip` matching requests pass.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }
}

/// The rules of one lockbox. Clones are the same rules.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<Vec<Arc<Entry>>>,
    /// Raised whenever rules go, so that stalled requests look again.
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    added: Instant,
    counts: Mutex<Counts>,
    /// The page that [`Listing::SamePage`] repeats.
    page: Mutex<Option<Bytes>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    seen: u64,
    hits: u64,
}

/// A rule that was added: its count, and the means to remove it. Dropping this leaves the rule in force.
#[derive(Clone, Debug)]
pub struct Placed {
    faults: Faults,
    entry: Arc<Entry>,
}

impl Placed {
    /// How many requests the rule was applied to.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.entry.counts().hits
    }

    /// Ends the rule. Requests that it stalls are dropped.
    pub fn remove(&self) {
        self.faults.keep(|entry| !Arc::ptr_eq(entry, &self.entry));
    }
}

impl Faults {
    /// Puts a rule in force, behind those that are there.
    pub fn add(&self, rule: Rule) -> Placed {
        let entry = Arc::new(Entry {
            rule,
            added: monotonic(),
            counts: Mutex::default(),
            page: Mutex::default(),
        });
        self.entries().push(Arc::clone(&entry));
        Placed {
            faults: self.clone(),
            entry,
        }
    }

    /// Ends all rules.
    pub fn clear(&self) {
        self.keep(|_| false);
    }

    /// Replaces all rules.
    pub fn set(&self, rules: Vec<Rule>) {
        self.clear();
        for rule in rules {
            self.add(rule);
        }
    }

    /// The hits of each rule that is in force or has run out, in the order of the rules.
    #[must_use]
    pub fn hits(&self) -> Vec<u64> {
        self.entries().iter().map(|entry| entry.counts().hits).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, which: impl FnMut(&Arc<Entry>) -> bool) {
        self.entries().retain(which);
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// Every rule that applies to a request; each is counted.
    fn apply(&self, seen: &Seen) -> Vec<Arc<Entry>> {
        let entries = self.entries().clone();
        entries.into_iter().filter(|entry| entry.hit(seen)).collect()
    }

    /// Waits until a rule is removed or its time is over.
    async fn ended(&self, entry: &Arc<Entry>) {
        let mut changed = self.0.changed.subscribe();
        while self.entries().iter().any(|other| Arc::ptr_eq(other, entry)) {
            let left = entry.left().unwrap_or(Duration::MAX);
            if tokio::time::timeout(left, changed.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Entry {
    fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of its time is left; `None` when it has no end.
    fn left(&self) -> Option<Duration> {
        let span = Duration::try_from_secs_f64(self.rule.for_seconds?).unwrap_or(Duration::MAX);
        Some(span.saturating_sub(monotonic().duration_since(self.added)))
    }

    fn hit(&self, seen: &Seen) -> bool {
        if self.left().is_some_and(|left| left.is_zero()) || !self.rule.on.matches(seen) {
            return false;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if self.rule.times.is_some_and(|times| counts.hits >= times) {
            return false;
        }
        counts.seen += 1;
        if counts.seen <= self.rule.skip {
            return false;
        }
        counts.hits += 1;
        true
    }

    /// The page that was answered first; later ones are forgotten.
    fn first_page(&self, page: Bytes) -> Bytes {
        let mut first = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(page).clone()
    }
}
