//! A circuit breaker for each storage account: a store that accepts requests and answers none is left alone for a while, so that
//! nobody waits for it.
//!
//! Silence counts: no connection, no answer in time. An answer that says no is an answer. The state is kept in memory, for
//! each process: after a restart it is learned anew within a few requests.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use shared::ids::StorageAccountId;

/// So many requests in a row without an answer open the breaker.
const SILENCES_TO_OPEN: u32 = 3;
/// How long a store is left alone at first. It doubles with each request that then has no answer either.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(10);
/// And at most.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(300);
/// A trial request that has told nothing for so long was given up by whoever sent it.
const TRIAL_TIMEOUT: SignedDuration = SignedDuration::from_secs(150);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The store answered, whatever it said.
    Answered,
    /// It did not.
    Silent,
}

/// Since when a store is silent, and when it is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// When the first of the requests ended that had no answer.
    pub since: Timestamp,
    /// Until then nothing is asked of it.
    pub until: Timestamp,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Yes.
    Given,
    /// Yes, this one: what becomes of it decides for all others.
    Trial,
    /// No.
    Refused(Silence),
}

/// The breaker of one store: a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Requests in a row without an answer.
    silences: u32,
    /// When the first of them ended.
    since: Option<Timestamp>,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    silence: Silence,
    opened_at: Timestamp,
    pause: SignedDuration,
    /// When the trial request was sent that is under way.
    trial_at: Option<Timestamp>,
}

impl Breaker {
    /// Whether a request may be sent at `now`.
    #[must_use]
    pub fn leave(&self, now: Timestamp) -> Leave {
        let Some(open) = self.open else {
            return Leave::Given;
        };
        let within = |from: Timestamp, length| from <= now && now < from + length;
        // What lies in the future was noted by a clock that was set back since.
        if within(open.opened_at, open.pause) {
            return Leave::Refused(open.silence);
        }
        match open.trial_at {
            Some(trial_at) if within(trial_at, TRIAL_TIMEOUT) => Leave::Refused(Silence {
                until: trial_at + TRIAL_TIMEOUT,
                ..open.silence
            }),
            _ => Leave::Trial,
        }
    }

    /// The breaker when a trial request was sent at `now`.
    #[must_use]
    pub fn on_trial(mut self, now: Timestamp) -> Self {
        if let Some(open) = &mut self.open {
            open.trial_at = Some(now);
        }
        self
    }

    /// The breaker when the trial request was dropped: it told nothing.
    #[must_use]
    pub fn without_trial(mut self) -> Self {
        if let Some(open) = &mut self.open {
            open.trial_at = None;
        }
        self
    }

    /// The breaker after a request that ended at `now`.
    #[must_use]
    pub fn after(self, outcome: Outcome, now: Timestamp) -> Self {
        if outcome == Outcome::Answered {
            return Self::default();
        }
        let since = self.since.unwrap_or(now);
        let silences = self.silences.saturating_add(1);
        let pause = match self.open {
            None if silences < SILENCES_TO_OPEN => None,
            None => Some(FIRST_PAUSE),
            Some(Open {
                trial_at: Some(_),
                pause,
                ..
            }) => Some((pause * 2).min(LONGEST_PAUSE)),
            // It was sent before the breaker opened.
            Some(_) => return self,
        };
        let open = pause.map(|pause| Open {
            silence: Silence {
                since,
                until: now + pause,
            },
            opened_at: now,
            pause,
            trial_at: None,
        });
        Self {
            silences,
            since: Some(since),
            open,
        }
    }

    /// The silence that the breaker is open for.
    #[must_use]
    pub fn silence(&self) -> Option<Silence> {
        self.open.map(|open| open.silence)
    }
}

/// Leave to send one request. A trial that is dropped before anything [became](Asking::told) of it frees its place.
#[derive(Debug)]
pub struct Asking<'a> {
    breakers: &'a Breakers,
    account: StorageAccountId,
    is_trial: bool,
}

impl Asking<'_> {
    /// Takes note of what became of the request.
    pub fn told(mut self, outcome: Outcome, now: Timestamp) {
        self.is_trial = false;
        self.breakers.told(self.account, outcome, now);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.breakers.give_trial_up(self.account);
        }
    }
}

/// The breakers of all storage accounts.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<StorageAccountId, Breaker>>);

impl Breakers {
    /// Leave to send a request. Whoever has it tells what [became](Self::told) of it, or gives it up.
    ///
    /// # Errors
    /// While the store is left alone.
    pub fn ask(&self, account: StorageAccountId, now: Timestamp) -> Result<Asking<'_>, Silence> {
        let mut breakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(account).or_default();
        let is_trial = match breaker.leave(now) {
            Leave::Given => false,
            Leave::Trial => {
                *breaker = breaker.on_trial(now);
                true
            }
            Leave::Refused(silence) => return Err(silence),
        };
        Ok(Asking {
            breakers: self,
            account,
            is_trial,
        })
    }

    /// The trial request was dropped before anything became of it: the next one is the trial.
    fn give_trial_up(&self, account: StorageAccountId) {
        let mut breakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = breakers.get_mut(&account) {
            *breaker = breaker.without_trial();
        }
    }

    /// Takes note of what became of a request.
    fn told(&self, account: StorageAccountId, outcome: Outcome, now: Timestamp) {
        let mut breakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(account).or_default();
        let before = *breaker;
        *breaker = before.after(outcome, now);
        match (before.silence(), breaker.silence()) {
            (before, Some(silence)) if before != Some(silence) => {
                tracing::warn!(%account, since = %silence.since, until = %silence.until, "a store is silent");
            }
            (Some(silence), None) => {
                tracing::info!(%account, since = %silence.since, "a store answers again");
            }
            _ => {}
        }
    }

    /// The silence of a storage account's store, while its breaker is open.
    #[must_use]
    pub fn silence(&self, account: StorageAccountId) -> Option<Silence> {
        let breakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.get(&account).and_then(Breaker::silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn silent(times: i64) -> Breaker {
        (0..times).fold(Breaker::default(), |breaker, second| {
            breaker.after(Outcome::Silent, at(second))
        })
    }

    #[test]
    fn three_silences_in_a_row_open_it_and_an_answer_in_between_does_not() {
        assert_eq!(silent(2).leave(at(2)), Leave::Given);
        let answered = silent(2).after(Outcome::Answered, at(2));
        assert_eq!(answered, Breaker::default());
        assert_eq!(
            answered
                .after(Outcome::Silent, at(3))
                .after(Outcome::Silent, at(4))
                .leave(at(4)),
            Leave::Given
        );
        let silence = Silence {
            since: at(0),
            until: at(12),
        };
        assert_eq!(silent(3).leave(at(3)), Leave::Refused(silence));
        assert_eq!(silent(3).leave(at(11)), Leave::Refused(silence));
        assert_eq!(silent(3).silence(), Some(silence));
    }

    /// A request that is sent side by side with others is dropped when one of them fails: it must not stand in the way of the next.
    #[test]
    fn a_trial_that_is_dropped_makes_room_for_another() {
        let breakers = Breakers::default();
        let account = StorageAccountId::from_uuid(uuid::Uuid::from_u128(1));
        for second in 0..3 {
            let asking = breakers.ask(account, at(second)).unwrap();
            asking.told(Outcome::Silent, at(second));
        }
        assert!(breakers.ask(account, at(5)).is_err());
        let trial = breakers.ask(account, at(60)).unwrap();
        assert!(breakers.ask(account, at(61)).is_err());
        drop(trial);
        let next = breakers.ask(account, at(62)).unwrap();
        next.told(Outcome::Answered, at(63));
        assert_eq!(breakers.silence(account), None);
    }

    #[test]
    fn one_request_is_let_through_after_the_pause_and_decides() {
        let open = silent(3);
        assert_eq!(open.leave(at(12)), Leave::Trial);
        let on_trial = open.on_trial(at(12));
        assert!(matches!(on_trial.leave(at(13)), Leave::Refused(_)));
        assert_eq!(on_trial.after(Outcome::Answered, at(13)), Breaker::default());
        let again = on_trial.after(Outcome::Silent, at(17));
        let silence = Silence {
            since: at(0),
            until: at(37),
        };
        assert_eq!(again.leave(at(36)), Leave::Refused(silence));
        assert_eq!(again.leave(at(37)), Leave::Trial);
        // Whoever sent the trial went away: another may try.
        assert_eq!(on_trial.leave(at(12) + TRIAL_TIMEOUT), Leave::Trial);
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut breaker = silent(3);
        let mut pauses = Vec::new();
        let mut now = at(2);
        for _ in 0..8 {
            let until = breaker.silence().unwrap().until;
            pauses.push(until.duration_since(now).as_secs());
            now = until;
            assert_eq!(breaker.leave(now), Leave::Trial);
            breaker = breaker.on_trial(now).after(Outcome::Silent, now);
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn requests_sent_before_it_opened_do_not_lengthen_the_pause() {
        let open = silent(3);
        assert_eq!(open.after(Outcome::Silent, at(9)), open);
        assert_eq!(open.after(Outcome::Answered, at(9)), Breaker::default());
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_it_open() {
        assert_eq!(silent(3).leave(at(-1_000_000)), Leave::Trial);
        let on_trial = silent(3).on_trial(at(12));
        assert_eq!(on_trial.leave(at(-1_000_000)), Leave::Trial);
    }
}
