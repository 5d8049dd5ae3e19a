//! The connections that a peer has.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use iroh::{
    RelayUrl, TransportAddr,
    endpoint::{Connection, VarInt, WeakConnectionHandle},
};
use tokio::time::Instant;

use super::{
    connection::{IrohConnection, varint},
    path,
};
use crate::{ConnectionInfo, ConnectionState, Direction, PathKind, PeerId, PeerInfo};

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
    /// How many relays the peer may be reached through, as far as we know.
    relays: usize,
    /// How many packets had arrived when we last looked, and when that number last grew.
    received: u64,
    heard: Instant,
    /// How many packets had left when we last looked, and the most between two looks of late.
    sent: u64,
    sent_lately: u64,
    /// The path when we last looked.
    path: PathKind,
}

/// Whether packets arrive, over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pulse {
    /// On one at least.
    pub(super) alive: bool,
    /// Some are open and have been silent for too long.
    pub(super) silent: bool,
}

/// Iroh 1.4 keeps 64 sends for each relay, each of one packet or more. The number looked at has been halved once or twice
/// since the relay was lost.
const BUSY_MIN: u64 = 32;

/// Who uses a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// A connection goes through it.
    pub(super) through: bool,
    /// ... and has just been sending more than Iroh's queue for one relay can hold.
    pub(super) busy: bool,
    /// Another one lives without it.
    pub(super) beside: bool,
}

impl Registry {
    pub(super) fn dialling(self: &Arc<Self>, peer: PeerId) -> Dialling {
        let mut entries = self.lock();
        let id = entries.add(Entry::new(peer, Direction::Outgoing, None, 0));
        Dialling { registry: Arc::clone(self), id }
    }

    /// Takes a connection to a peer that may be reached through so many relays.
    pub(super) fn open(&self, connection: Connection, direction: Direction, relays: usize) -> IrohConnection {
        let mut entries = self.lock();
        entries.by_id.retain(|_, entry| entry.connection.as_ref().is_none_or(is_open));
        let peer = PeerId(*connection.remote_id().as_bytes());
        let id = entries.add(Entry::new(peer, direction, Some(connection.weak_handle()), relays));
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
            .filter_map(Entry::open_connection)
            .map(|connection| connection.close(varint(code), reason.as_bytes()))
            .count()
    }

    /// Looks whether packets arrive. `silent_max`: how long a connection may be without any.
    pub(super) fn pulse(&self, now: Instant, silent_max: Duration) -> Pulse {
        let mut pulse = Pulse::default();
        for entry in self.lock().by_id.values_mut() {
            let Some(connection) = entry.open_connection() else { continue };
            let stats = connection.stats();
            let (received, sent) = (stats.udp_rx.datagrams, stats.udp_tx.datagrams);
            // Halved at each look, so that a burst is remembered for some seconds.
            entry.sent_lately = (entry.sent_lately / 2).max(sent - entry.sent);
            entry.sent = sent;
            if received != entry.received {
                (entry.received, entry.heard) = (received, now);
            }
            let silent = now.saturating_duration_since(entry.heard) > silent_max;
            pulse.alive |= !silent;
            pulse.silent |= silent;
        }
        pulse
    }

    /// Whether a connection has lost its direct path since we last asked.
    pub(super) fn fell_back(&self) -> bool {
        let mut fell_back = false;
        for entry in self.lock().by_id.values_mut() {
            let Some(connection) = entry.open_connection() else { continue };
            let now = path::kind(&connection);
            fell_back |= entry.path == PathKind::Direct && now == PathKind::Relayed;
            if now != PathKind::Unknown {
                entry.path = now;
            }
        }
        fell_back
    }

    /// The relays of connections that we made, that could be made through another relay, and on which nothing arrived for
    /// `quiet_min` and two round trips, as the last [`pulse`](Self::pulse) saw it; and how far the other side is.
    pub(super) fn quiet_relays(&self, now: Instant, quiet_min: Duration) -> BTreeMap<RelayUrl, Duration> {
        let entries = self.lock();
        let mine = |entry: &&Entry| entry.direction == Direction::Outgoing && entry.relays > 1;
        let quiet = |entry: &Entry| {
            let connection = entry.open_connection()?;
            let rtt = entry.quiet(now, quiet_min, &connection)?;
            Some((relay_of(&connection)?, rtt))
        };
        entries.by_id.values().filter(mine).filter_map(quiet).collect()
    }

    /// Whether connections are open, and whether nothing arrived on any of them for `quiet_min` and two round trips, as the
    /// last [`pulse`](Self::pulse) saw it.
    pub(super) fn silence(&self, now: Instant, quiet_min: Duration) -> (bool, bool) {
        let entries = self.lock();
        let open = entries.by_id.values().filter_map(|entry| Some((entry, entry.open_connection()?)));
        let quiet: Vec<_> =
            open.map(|(entry, connection)| entry.quiet(now, quiet_min, &connection).is_some()).collect();
        (!quiet.is_empty(), !quiet.is_empty() && quiet.iter().all(|quiet| *quiet))
    }

    /// Whether any connection goes through this relay, and whether packets arrive on any that does not, as the last
    /// [`pulse`](Self::pulse) saw it.
    pub(super) fn traffic(&self, url: &RelayUrl, now: Instant, quiet_max: Duration) -> Traffic {
        let mut traffic = Traffic::default();
        for entry in self.lock().by_id.values() {
            let Some(connection) = entry.open_connection() else { continue };
            if relay_of(&connection).as_ref() == Some(url) {
                traffic.through = true;
                traffic.busy |= entry.sent_lately >= BUSY_MIN;
            } else {
                traffic.beside |= now.saturating_duration_since(entry.heard) <= quiet_max;
            }
        }
        traffic
    }

    /// Closes the connections that we made through this relay and that could be made through another.
    pub(super) fn close_relayed_by(&self, url: &RelayUrl, code: VarInt, reason: &str) {
        for entry in self.lock().by_id.values() {
            if entry.direction == Direction::Outgoing && entry.relays > 1 {
                let through = |connection: &Connection| relay_of(connection).as_ref() == Some(url);
                if let Some(connection) = entry.open_connection().filter(through) {
                    connection.close(code, reason.as_bytes());
                }
            }
        }
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

impl Entry {
    fn new(peer: PeerId, direction: Direction, connection: Option<WeakConnectionHandle>, relays: usize) -> Self {
        Self {
            peer,
            direction,
            connection,
            relays,
            received: 0,
            heard: Instant::now(),
            sent: 0,
            sent_lately: 0,
            path: PathKind::Unknown,
        }
    }

    /// The round-trip time, if nothing arrived for `quiet_min` and two of them.
    fn quiet(&self, now: Instant, quiet_min: Duration, connection: &Connection) -> Option<Duration> {
        let rtt = path::rtt(connection).unwrap_or_default();
        (now.saturating_duration_since(self.heard) >= quiet_min + rtt * 2).then_some(rtt)
    }

    fn open_connection(&self) -> Option<Connection> {
        self.connection.as_ref()?.upgrade().filter(|connection| connection.close_reason().is_none())
    }
}

/// The relay of the selected path.
fn relay_of(connection: &Connection) -> Option<RelayUrl> {
    let paths = connection.paths();
    match paths.iter().find(iroh::endpoint::Path::is_selected)?.remote_addr() {
        TransportAddr::Relay(url) => Some(url.clone()),
        _ => None,
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
