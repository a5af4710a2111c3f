//! Passwords are hashed on few threads of their own. Each keeps the memory that Argon2 needs, 19 MiB, and uses it again; what
//! waits is bounded.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use argon2::Block;
use shared::limits::Limit;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::{error::ApiError, secrets};

/// Threads, at most. Half of the processors, so that requests are answered while passwords are checked.
const THREADS: usize = 4;

/// Too many passwords wait to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

struct Job {
    password: Zeroizing<String>,
    stored: String,
    answer: oneshot::Sender<bool>,
}

/// Who waits, the first ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Browsers that have signed in before.
    Known,
    /// Unknown browsers at addresses that have not guessed wrong lately.
    Newcomers,
    /// All other unknown browsers.
    Suspects,
}

#[derive(Default)]
struct Queue {
    lanes: [VecDeque<Job>; 3],
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next password to check; waits for one. `None` when the server is gone.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.lanes.iter_mut().find_map(VecDeque::pop_front) {
                return Some(job);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads, and what waits for them.
pub struct Passwords(Arc<Shared>);

impl Default for Passwords {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_threads((processors / 2).clamp(1, THREADS))
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.changed.notify_all();
    }
}

impl Passwords {
    fn with_threads(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        for _ in 0..threads {
            let shared = shared.clone();
            thread::spawn(move || check_all(&shared));
        }
        Self(shared)
    }

    /// Whether a password is the one that was hashed. Whoever is no longer waited for is not checked.
    ///
    /// # Errors
    /// [`Busy`] when too many wait already in the same lane.
    pub async fn matches(&self, password: String, stored: String, lane: Lane) -> Result<bool, Busy> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            password: Zeroizing::new(password),
            stored,
            answer,
        };
        {
            let mut queue = self.0.queue();
            let lane = &mut queue.lanes[lane as usize];
            // Who went away makes room.
            lane.retain(|job| !job.answer.is_closed());
            if lane.len() >= Limit::PasswordQueue.max() {
                return Err(Busy);
            }
            lane.push_back(job);
        }
        self.0.changed.notify_one();
        answered.await.map_err(|_| Busy)
    }
}

fn check_all(shared: &Shared) {
    let mut memory: Vec<Block> = Vec::new();
    while let Some(job) = shared.next() {
        if job.answer.is_closed() {
            continue;
        }
        let matches = secrets::password_matches(&job.password, &job.stored, &mut memory);
        // Whoever asked may have gone meanwhile.
        job.answer.send(matches).ok();
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn hash() -> String {
        secrets::hash_password("correct horse").unwrap()
    }

    #[tokio::test]
    async fn right_and_wrong_are_told_apart() {
        let passwords = Passwords::with_threads(2);
        for lane in [Lane::Known, Lane::Newcomers, Lane::Suspects] {
            for (password, expected) in [("correct horse", true), ("wrong horse", false), ("", false)] {
                let told = passwords.matches(password.into(), hash(), lane).await;
                assert_eq!(told, Ok(expected));
            }
        }
        assert_eq!(
            passwords.matches("x".into(), "no hash".into(), Lane::Known).await,
            Ok(false)
        );
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_known_browsers_go_first() {
        // Nobody checks yet: the queue alone.
        let passwords = Passwords::with_threads(0);
        let most = Limit::PasswordQueue.max();
        let stored = hash();
        let ask = || passwords.matches("wrong".into(), stored.clone(), Lane::Suspects);
        let suspects = (0..most + 40).map(|_| ask());
        let mut suspects = Box::pin(join_all(suspects));
        assert!(futures::poll!(&mut suspects).is_pending());
        assert_eq!(passwords.0.queue().lanes[2].len(), most);
        let newcomer = passwords.matches("newcomer".into(), stored.clone(), Lane::Newcomers);
        let known = passwords.matches("known".into(), stored.clone(), Lane::Known);
        let (mut newcomer, mut known) = (Box::pin(newcomer), Box::pin(known));
        assert!(futures::poll!(&mut newcomer).is_pending());
        assert!(futures::poll!(&mut known).is_pending());
        let shared = passwords.0.clone();
        for expected in ["known", "newcomer", "wrong"] {
            assert_eq!(shared.next().unwrap().password.as_str(), expected);
        }
        thread::spawn(move || check_all(&shared));
        let told = suspects.await;
        // One of those that waited was taken out above.
        assert_eq!(told.iter().filter(|told| **told == Err(Busy)).count(), 40 + 1);
        assert_eq!(told.iter().filter(|told| **told == Ok(false)).count(), most - 1);
    }

    #[tokio::test]
    async fn who_went_away_makes_room() {
        let passwords = Passwords::with_threads(0);
        for _ in 0..10 * Limit::PasswordQueue.max() {
            let mut asked = Box::pin(passwords.matches("wrong".into(), hash_once(), Lane::Suspects));
            assert!(futures::poll!(&mut asked).is_pending());
        }
    }

    fn hash_once() -> String {
        "not looked at".to_owned()
    }
}
