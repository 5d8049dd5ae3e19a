//! The clients that are connected.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use p2p_provider::{P2PConnection, PeerId};
use tunnel_core::{Failure, FailureKind};

use super::admission::Admitted;
use crate::{pairing::AuthorizedPeers, session::Session};

/// A session is named by the client's key and the number it chose, so no client can name another's.
pub(super) type SessionKey = (PeerId, u128);

/// The sessions that there are, so that bulk connections find theirs.
pub(super) struct Sessions<C: P2PConnection>(Mutex<BTreeMap<SessionKey, Slot<C>>>);

struct Slot<C: P2PConnection> {
    admitted: Admitted,
    session: Weak<Session<C>>,
}

impl<C: P2PConnection> Default for Sessions<C> {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
}

impl<C: P2PConnection> Sessions<C> {
    /// All of them, with what their clients have presented.
    pub(super) fn all(&self) -> Vec<(Admitted, Arc<Session<C>>)> {
        let sessions = self.lock();
        sessions.values().filter_map(|slot| Some((slot.admitted, slot.session.upgrade()?))).collect()
    }

    pub(super) fn find(&self, key: SessionKey) -> Option<Arc<Session<C>>> {
        self.lock().get(&key)?.session.upgrade()
    }

    /// Takes a session into the list, until the entry is dropped.
    pub(super) fn enter<'a>(
        &'a self,
        admitted: Admitted,
        number: u128,
        session: &Arc<Session<C>>,
        peers: Option<&'a AuthorizedPeers>,
    ) -> Result<Entry<'a, C>, Failure> {
        let key = (admitted.peer, number);
        let mut sessions = self.lock();
        if sessions.contains_key(&key) {
            return Err(Failure::new(FailureKind::Protocol, "this session has a main connection already"));
        }
        sessions.insert(key, Slot { admitted, session: Arc::downgrade(session) });
        drop(sessions);
        if let Some(peers) = peers {
            peers.connected(key.0);
        }
        Ok(Entry { sessions: self, key, peers })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionKey, Slot<C>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's place in the list; dropping it takes it out.
pub(super) struct Entry<'a, C: P2PConnection> {
    sessions: &'a Sessions<C>,
    key: SessionKey,
    peers: Option<&'a AuthorizedPeers>,
}

impl<C: P2PConnection> Drop for Entry<'_, C> {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.key);
        if let Some(peers) = self.peers {
            peers.disconnected(self.key.0);
        }
    }
}
