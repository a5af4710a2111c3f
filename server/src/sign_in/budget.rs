//! Budgets for guesses.
//!
//! A guess is counted before it is looked at, under all of its budgets or none; one that was right is given back, so that only
//! wrong ones count, also when many come at once. (The limiters of the `governor` crate can not give back.)

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

/// So many at once, and then one in each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Then one in each.
    pub every: SignedDuration,
}

/// By when each budget would be whole again: the generic cell rate algorithm.
#[derive(Debug)]
pub struct Budgets<K> {
    whole_at: Arc<Mutex<HashMap<K, Timestamp>>>,
}

impl<K> Default for Budgets<K> {
    fn default() -> Self {
        Self {
            whole_at: Arc::default(),
        }
    }
}

impl<K: Eq + Hash + Clone> Budgets<K> {
    /// Counts one under all of these budgets. `None`, and nothing is counted, when one of them is used up.
    ///
    /// Nothing is kept of a budget that is used up, and at most `burst` plus what `every` gives of one that is not: whoever
    /// names a budget that all guesses share bounds the table by it.
    #[must_use]
    pub fn take(&self, budgets: &[(K, Rate)], now: Timestamp) -> Option<Reservation<K>> {
        let mut whole_at = self.lock();
        let mut after = Vec::with_capacity(budgets.len());
        for (key, rate) in budgets {
            let next = whole_at.get(key).copied().unwrap_or(now).max(now) + rate.every;
            if next.duration_since(now) > rate.every * i32::try_from(rate.burst).unwrap_or(i32::MAX) {
                return None;
            }
            after.push((key.clone(), next));
        }
        whole_at.extend(after);
        drop(whole_at);
        Some(Reservation {
            whole_at: self.whole_at.clone(),
            taken: budgets.to_vec(),
        })
    }

    /// Forgets the budgets that are whole.
    pub fn tidy(&self, now: Timestamp) {
        self.lock().retain(|_, whole_at| *whole_at > now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Timestamp>> {
        self.whole_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guess that is counted. It stays counted unless it is given back, also when its request is dropped.
#[derive(Debug)]
#[must_use = "a guess that was right is given back"]
pub struct Reservation<K> {
    whole_at: Arc<Mutex<HashMap<K, Timestamp>>>,
    taken: Vec<(K, Rate)>,
}

impl<K: Eq + Hash> Reservation<K> {
    /// It does not count.
    pub fn give_back(self) {
        let mut budgets = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, rate) in &self.taken {
            if let Some(whole_at) = budgets.get_mut(key) {
                *whole_at -= rate.every;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        every: SignedDuration::from_secs(60),
    };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn takes(budgets: &Budgets<u8>, key: u8, now: Timestamp) -> bool {
        budgets.take(&[(key, RATE)], now).is_some()
    }

    #[test]
    fn so_many_at_once_and_then_one_in_each_interval() {
        let budgets = Budgets::default();
        let taken: Vec<bool> = (0..4).map(|_| takes(&budgets, 1, at(0))).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert!(takes(&budgets, 2, at(0)), "another budget");
        assert!(!takes(&budgets, 1, at(59)));
        assert!(takes(&budgets, 1, at(60)));
        assert!(!takes(&budgets, 1, at(61)));
        // Whole again, and not more than whole.
        let taken: Vec<bool> = (0..4).map(|_| takes(&budgets, 1, at(10_000))).collect();
        assert_eq!(taken, [true, true, true, false]);
    }

    #[test]
    fn what_is_given_back_does_not_count() {
        let budgets = Budgets::default();
        for _ in 0..10 {
            budgets.take(&[(1, RATE)], at(0)).unwrap().give_back();
        }
        assert!(takes(&budgets, 1, at(0)));
    }

    #[test]
    fn one_that_is_used_up_leaves_the_others_alone() {
        let budgets = Budgets::default();
        for _ in 0..3 {
            assert!(takes(&budgets, 1, at(0)));
        }
        for key in 2..100 {
            assert!(budgets.take(&[(key, RATE), (1, RATE)], at(0)).is_none());
        }
        assert_eq!(budgets.lock().len(), 1, "nothing is kept of what was refused");
        budgets.tidy(at(179));
        assert_eq!(budgets.lock().len(), 1);
        budgets.tidy(at(180));
        assert!(budgets.lock().is_empty());
    }
}
