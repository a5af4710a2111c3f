//! Agents that wait for work: one call each, woken only by what is for them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use shared::ids::AgentId;
use tokio::sync::Notify;

/// For how long a call goes on waiting, for nothing, after another one of the same agent took its place. Two machines with the
/// same state folder would otherwise take turns as fast as they can call.
pub const DISPLACED_FOR: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Waiter {
    woken: Notify,
    displaced: Notify,
}

/// The calls that wait.
#[derive(Debug, Default)]
pub struct LongPolls(Mutex<HashMap<AgentId, Arc<Waiter>>>);

impl LongPolls {
    /// Begins to wait. The call of the same agent that waits already, if any, waits for nothing from now on: its agent has
    /// gone, or asks twice.
    pub fn wait(&self, agent: AgentId) -> LongPoll<'_> {
        let waiter = Arc::new(Waiter::default());
        let before = self.waiters().insert(agent, waiter.clone());
        if let Some(before) = before {
            before.displaced.notify_one();
        }
        LongPoll {
            polls: self,
            agent,
            waiter,
        }
    }

    /// A run of this agent was queued: its call looks again.
    pub fn wake(&self, agent: AgentId) {
        if let Some(waiter) = self.waiters().get(&agent) {
            waiter.woken.notify_one();
        }
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters().len()
    }

    fn waiters(&self) -> std::sync::MutexGuard<'_, HashMap<AgentId, Arc<Waiter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits. What wakes it while it looks is not lost.
#[derive(Debug)]
pub struct LongPoll<'a> {
    polls: &'a LongPolls,
    agent: AgentId,
    waiter: Arc<Waiter>,
}

impl LongPoll<'_> {
    /// Waits until something was queued.
    pub async fn woken(&self) {
        self.waiter.woken.notified().await;
    }

    /// Waits until another call of the same agent takes its place.
    pub async fn displaced(&self) {
        self.waiter.displaced.notified().await;
    }
}

impl Drop for LongPoll<'_> {
    fn drop(&mut self) {
        let mut waiters = self.polls.waiters();
        if waiters
            .get(&self.agent)
            .is_some_and(|waiter| Arc::ptr_eq(waiter, &self.waiter))
        {
            waiters.remove(&self.agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn agent(of: u128) -> AgentId {
        AgentId::from_uuid(Uuid::from_u128(of))
    }

    #[test]
    fn only_the_agent_that_it_is_for_is_woken() {
        let polls = LongPolls::default();
        let (one, other) = (polls.wait(agent(1)), polls.wait(agent(2)));
        polls.wake(agent(1));
        polls.wake(agent(3));
        assert!(one.woken().now_or_never().is_some());
        assert!(one.woken().now_or_never().is_none(), "once");
        assert!(other.woken().now_or_never().is_none());
    }

    #[test]
    fn an_agent_waits_once() {
        let polls = LongPolls::default();
        let first = polls.wait(agent(1));
        let second = polls.wait(agent(1));
        assert!(first.displaced().now_or_never().is_some());
        assert!(second.displaced().now_or_never().is_none());
        drop(first);
        polls.wake(agent(1));
        assert!(second.woken().now_or_never().is_some());
        assert_eq!(polls.waiting(), 1);
        drop(second);
        assert_eq!(polls.waiting(), 0);
    }
}
