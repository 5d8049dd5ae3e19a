//! The connections that a peer has.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use iroh::endpoint::{Connection, WeakConnectionHandle};

use super::{
    connection::{IrohConnection, varint},
    path,
};
use crate::{ConnectionInfo, ConnectionState, Direction, PeerId, PeerInfo};

/// Knows every connection without keeping one open. Entries of closed ones go when the next one opens.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    by_id: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    peer: PeerId,
    direction: Direction,
    /// `None` while dialling.
    connection: Option<WeakConnectionHandle>,
}

impl Registry {
    pub(super) fn dialling(self: &Arc<Self>, peer: PeerId) -> Dialling {
        let mut entries = self.lock();
        let id = entries.add(Entry { peer, direction: Direction::Outgoing, connection: None });
        Dialling { registry: Arc::clone(self), id }
    }

    pub(super) fn open(&self, connection: Connection, direction: Direction) -> IrohConnection {
        let mut entries = self.lock();
        entries.by_id.retain(|_, entry| entry.connection.as_ref().is_none_or(is_open));
        let id = entries.add(Entry {
            peer: PeerId(*connection.remote_id().as_bytes()),
            direction,
            connection: Some(connection.weak_handle()),
        });
        IrohConnection::new(id, connection)
    }

    pub(super) fn list(&self) -> Vec<ConnectionInfo> {
        let entries = self.lock();
        let info = |(&id, entry): (&u64, &Entry)| {
            let peer = PeerInfo { id: entry.peer };
            let direction = entry.direction;
            let Some(connection) = &entry.connection else {
                return Some(ConnectionInfo { id: 0, peer, direction, state: ConnectionState::Connecting, path: None });
            };
            let connection = connection.upgrade().filter(|connection| connection.close_reason().is_none())?;
            let path = Some(path::current(&connection));
            Some(ConnectionInfo { id, peer, direction, state: ConnectionState::Open, path })
        };
        entries.by_id.iter().filter_map(info).collect()
    }

    pub(super) fn disconnect(&self, peer: PeerId, code: u64, reason: &str) -> usize {
        let entries = self.lock();
        entries
            .by_id
            .values()
            .filter(|entry| entry.peer == peer)
            .filter_map(|entry| entry.connection.as_ref()?.upgrade())
            .filter(|connection| connection.close_reason().is_none())
            .map(|connection| connection.close(varint(code), reason.as_bytes()))
            .count()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn add(&mut self, entry: Entry) -> u64 {
        self.next_id += 1;
        self.by_id.insert(self.next_id, entry);
        self.next_id
    }
}

fn is_open(connection: &WeakConnectionHandle) -> bool {
    connection.upgrade().is_some_and(|connection| connection.close_reason().is_none())
}

/// An attempt under way; dropping it removes it from the list.
#[derive(Debug)]
pub(super) struct Dialling {
    registry: Arc<Registry>,
    id: u64,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.registry.lock().by_id.remove(&self.id);
    }
}
