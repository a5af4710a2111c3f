//! Who is connected, and how many connections each may hold.
//!
//! Behind a trusted proxy each request is counted as a connection. One counts for its client address until somebody has signed in
//! by it, and then for the agent or the session. Where there are too many, the oldest that the server waits for makes room: slow
//! headers, slow bodies, and connections that are kept open for nothing. One whose request is being carried out is never ended.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::{ids::AgentId, limits::Limit};
use tokio::sync::{Notify, watch};

use crate::client_address;

/// Whom a connection counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Nobody has signed in yet: the client address.
    Address(IpAddr),
    /// An agent, by its credential.
    Agent(AgentId),
    /// A browser, by its session's id.
    Session(i128),
}

impl Owner {
    fn most(self) -> usize {
        match self {
            Self::Address(_) => Limit::ConnectionsPerAddress.max(),
            Self::Agent(_) => Limit::ConnectionsPerAgent.max(),
            Self::Session(_) => Limit::ConnectionsPerSession.max(),
        }
    }
}

/// What the server does for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waits for a request, or for the rest of its headers.
    Headers,
    /// Waits for more of a body.
    Body,
    /// Carries a request out, or sends the answer.
    Working,
}

/// There are too many already, and all of them are at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

#[derive(Debug)]
struct State {
    phase: watch::Sender<Phase>,
    ended: Notify,
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Headers),
            ended: Notify::new(),
        }
    }
}

/// The number of what is not in the table.
const UNCOUNTED: u64 = u64::MAX;

#[derive(Debug)]
struct Entry {
    owner: Owner,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    by_owner: HashMap<Owner, BTreeMap<u64, Arc<State>>>,
    /// Connections by which nobody has signed in, the oldest first.
    not_signed_in: BTreeMap<u64, Arc<State>>,
}

impl Table {
    fn remove(&mut self, id: u64) -> Option<Arc<State>> {
        let Entry { owner, state } = self.entries.remove(&id)?;
        self.not_signed_in.remove(&id);
        if let Some(of_owner) = self.by_owner.get_mut(&owner) {
            of_owner.remove(&id);
            if of_owner.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
        Some(state)
    }

    fn insert(&mut self, id: u64, owner: Owner, state: Arc<State>) {
        if matches!(owner, Owner::Address(_)) {
            self.not_signed_in.insert(id, state.clone());
        }
        self.by_owner.entry(owner).or_default().insert(id, state.clone());
        self.entries.insert(id, Entry { owner, state });
    }

    /// Makes room for one more of this owner.
    fn make_room(&mut self, owner: Owner) -> Result<(), TooMany> {
        if let Some(of_owner) = self.by_owner.get(&owner)
            && of_owner.len() >= owner.most()
        {
            let oldest = oldest_waiting(of_owner).ok_or(TooMany)?;
            self.end(oldest);
        }
        if matches!(owner, Owner::Address(_)) && self.not_signed_in.len() >= Limit::UnsignedConnections.max()
        {
            let oldest = oldest_waiting(&self.not_signed_in).ok_or(TooMany)?;
            self.end(oldest);
        }
        Ok(())
    }

    fn end(&mut self, id: u64) {
        if let Some(state) = self.remove(id) {
            state.ended.notify_one();
        }
    }
}

fn oldest_waiting(connections: &BTreeMap<u64, Arc<State>>) -> Option<u64> {
    let mut connections = connections.iter();
    let waiting = connections.find(|(_, state)| *state.phase.borrow() != Phase::Working);
    waiting.map(|(id, _)| *id)
}

/// All connections of this server.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<Mutex<Table>>);

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a connection from a client address.
    ///
    /// # Errors
    /// When there are too many of that address, or of all that have not signed in, and none of them is waited for.
    pub fn begin(&self, client: IpAddr) -> Result<Connection, TooMany> {
        let owner = Owner::Address(client_address::network(client));
        let state = Arc::new(State::default());
        let mut table = self.table();
        table.make_room(owner)?;
        let id = table.next;
        table.next += 1;
        table.insert(id, owner, state.clone());
        Ok(Connection {
            id,
            state,
            connections: self.clone(),
        })
    }

    /// A connection that counts for nobody: the connection of a trusted proxy, each of whose requests is counted by itself.
    #[must_use]
    pub fn uncounted(&self) -> Connection {
        Connection {
            id: UNCOUNTED,
            state: Arc::new(State::default()),
            connections: self.clone(),
        }
    }

    /// How many connections there are by which nobody has signed in.
    #[must_use]
    pub fn not_signed_in(&self) -> usize {
        self.table().not_signed_in.len()
    }

    /// How many connections count for this owner.
    #[must_use]
    pub fn of(&self, owner: Owner) -> usize {
        self.table().by_owner.get(&owner).map_or(0, BTreeMap::len)
    }
}

/// One connection. It ends when this is dropped.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    state: Arc<State>,
    connections: Connections,
}

impl Connection {
    /// Somebody has signed in by it: it counts for them from now on.
    ///
    /// # Errors
    /// When they have too many already, and none of them is waited for.
    pub fn belongs_to(&self, owner: Owner) -> Result<(), TooMany> {
        let mut table = self.connections.table();
        // One that was ended a moment ago counts for nobody.
        let Some(before) = table.entries.get(&self.id).map(|entry| entry.owner) else {
            return Ok(());
        };
        if before == owner {
            return Ok(());
        }
        table.make_room(owner)?;
        table.remove(self.id);
        table.insert(self.id, owner, self.state.clone());
        Ok(())
    }

    /// Whether somebody has signed in by it.
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        let table = self.connections.table();
        let entry = table.entries.get(&self.id);
        entry.is_some_and(|entry| !matches!(entry.owner, Owner::Address(_)))
    }

    /// Says what the server does for it.
    pub fn enter(&self, phase: Phase) {
        self.state.phase.send_if_modified(|now| {
            let changes = *now != phase;
            *now = phase;
            changes
        });
    }

    /// Follows what the server does for it.
    #[must_use]
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.state.phase.subscribe()
    }

    /// Waits until it has to make room for another one.
    pub async fn ended(&self) {
        self.state.ended.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use shared::ids::AgentId;
    use uuid::Uuid;

    use super::*;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn agent(of: u128) -> Owner {
        Owner::Agent(AgentId::from_uuid(Uuid::from_u128(of)))
    }

    fn has_ended(connection: &Connection) -> bool {
        connection.ended().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_that_is_waited_for_makes_room() {
        let connections = Connections::default();
        let most = Limit::ConnectionsPerAddress.max();
        let held: Vec<Connection> = (0..most).map(|_| connections.begin(client(1)).unwrap()).collect();
        held[0].enter(Phase::Working);
        held[1].enter(Phase::Body);
        let next = connections.begin(client(1)).unwrap();
        assert!(!has_ended(&held[0]), "its request is carried out");
        assert!(has_ended(&held[1]));
        assert!(!has_ended(&held[2]) && !has_ended(&next));
        assert_eq!(connections.not_signed_in(), most);
        // Another address is nobody's business here.
        let other = connections.begin(client(2)).unwrap();
        assert!(!has_ended(&held[2]));
        drop((held, next, other));
        assert_eq!(connections.not_signed_in(), 0);
        assert!(connections.table().by_owner.is_empty() && connections.table().entries.is_empty());
    }

    #[test]
    fn when_all_are_at_work_one_more_is_refused() {
        let connections = Connections::default();
        let work = |connection: Connection| {
            connection.enter(Phase::Working);
            connection
        };
        let most = Limit::ConnectionsPerAddress.max();
        let _held: Vec<Connection> = (0..most)
            .map(|_| work(connections.begin(client(1)).unwrap()))
            .collect();
        assert_eq!(connections.begin(client(1)).err(), Some(TooMany));
        assert!(connections.begin(client(2)).is_ok());
    }

    #[test]
    fn who_signed_in_does_not_count_for_the_address() {
        let connections = Connections::default();
        let most = Limit::ConnectionsPerAddress.max();
        let office: Vec<Connection> = (0..most + 500)
            .map(|nth| {
                let connection = connections.begin(client(1)).unwrap();
                connection.enter(Phase::Working);
                connection.belongs_to(agent(nth as u128)).unwrap();
                connection
            })
            .collect();
        assert_eq!(connections.not_signed_in(), 0);
        assert!(office.iter().all(Connection::is_signed_in));
        // One agent has a limit of its own.
        let many: Vec<Connection> = (0..Limit::ConnectionsPerAgent.max())
            .map(|_| {
                let connection = connections.begin(client(1)).unwrap();
                connection.enter(Phase::Working);
                connection
            })
            .collect();
        let refused = many
            .iter()
            .filter(|connection| connection.belongs_to(agent(0)).is_err());
        assert_eq!(refused.count(), 1, "it had one before");
        assert_eq!(connections.of(agent(0)), Limit::ConnectionsPerAgent.max());
        // A later request by the same connection is fine.
        assert!(many[0].belongs_to(agent(0)).is_ok());
    }

    #[test]
    fn a_session_has_a_limit_of_its_own() {
        let connections = Connections::default();
        let (own, other) = (Owner::Session(1), Owner::Session(2));
        let most = Limit::ConnectionsPerSession.max();
        let connection = |of: Owner| {
            let connection = connections.begin(client(1)).unwrap();
            connection.belongs_to(of).map(|()| connection)
        };
        let beside = connection(other).unwrap();
        let held: Vec<Connection> = (0..most).map(|_| connection(own).unwrap()).collect();
        assert_eq!(connections.of(own), most);
        // The oldest that the server waits for makes room, and no other session's.
        let next = connection(own).unwrap();
        assert!(has_ended(&held[0]) && !has_ended(&held[1]) && !has_ended(&beside));
        assert_eq!(connections.of(own), most);
        for busy in held.iter().chain([&next]) {
            busy.enter(Phase::Working);
        }
        assert!(connection(own).is_err(), "all are at work");
        assert!(connection(other).is_ok());
    }

    #[test]
    fn all_that_have_not_signed_in_are_bounded_together() {
        let connections = Connections::default();
        let most = Limit::UnsignedConnections.max();
        let held: Vec<Connection> = (0..most)
            .map(|nth| {
                connections
                    .begin(client(u8::try_from(nth % 200).unwrap()))
                    .unwrap()
            })
            .collect();
        let next = connections.begin(client(250)).unwrap();
        assert!(has_ended(&held[0]) && !has_ended(&held[1]) && !has_ended(&next));
        assert_eq!(connections.not_signed_in(), most);
    }
}
