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
pub const DISPLACED: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Seat {
    woken: Notify,
    displaced: Notify,
}

/// The calls that wait.
#[derive(Debug, Default)]
pub struct Polls(Mutex<HashMap<AgentId, Arc<Seat>>>);

impl Polls {
    /// Begins to wait. The call of the same agent that waits already, if any, waits for nothing from now on: its agent has
    /// gone, or asks twice.
    pub fn wait(&self, agent: AgentId) -> Poll<'_> {
        let seat = Arc::new(Seat::default());
        let before = self.seats().insert(agent, seat.clone());
        if let Some(before) = before {
            before.displaced.notify_one();
        }
        Poll {
            polls: self,
            agent,
            seat,
        }
    }

    /// A run of this agent was queued: its call looks again.
    pub fn wake(&self, agent: AgentId) {
        if let Some(seat) = self.seats().get(&agent) {
            seat.woken.notify_one();
        }
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.seats().len()
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, HashMap<AgentId, Arc<Seat>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits. What wakes it while it looks is not lost.
#[derive(Debug)]
pub struct Poll<'a> {
    polls: &'a Polls,
    agent: AgentId,
    seat: Arc<Seat>,
}

impl Poll<'_> {
    /// Waits until something was queued.
    pub async fn woken(&self) {
        self.seat.woken.notified().await;
    }

    /// Waits until another call of the same agent takes its place.
    pub async fn displaced(&self) {
        self.seat.displaced.notified().await;
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let mut seats = self.polls.seats();
        if seats
            .get(&self.agent)
            .is_some_and(|seat| Arc::ptr_eq(seat, &self.seat))
        {
            seats.remove(&self.agent);
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
        let polls = Polls::default();
        let (one, other) = (polls.wait(agent(1)), polls.wait(agent(2)));
        polls.wake(agent(1));
        polls.wake(agent(3));
        assert!(one.woken().now_or_never().is_some());
        assert!(one.woken().now_or_never().is_none(), "once");
        assert!(other.woken().now_or_never().is_none());
    }

    #[test]
    fn an_agent_waits_once() {
        let polls = Polls::default();
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
