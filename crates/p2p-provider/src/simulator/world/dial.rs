//! How connections begin: dial, accept, confirm.

use std::task::{Poll, Waker};

use super::{
    Duration, Event, SideId, Timer, World,
    connection::{Connection, Status},
    node::{Listening, PeerKey},
    packet::{Frame, Refusal},
    remember,
};
use crate::{CloseReason, Direction, P2PError, PathKind, PeerAddr};

/// Dials that wait for a listener; further ones are turned away.
const INCOMING_MAX: usize = 64;

/// How long an acceptor waits for the end of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How far a dial has come.
#[derive(Clone, Debug)]
pub(in crate::simulator) enum DialStatus {
    UnderWay,
    Connected,
    Refused(Refusal),
    /// The dialling node has crashed, or its peer is closed.
    Abandoned,
}

impl World {
    /// Starts to dial.
    pub(in crate::simulator) fn dial(
        &mut self,
        key: PeerKey,
        peer: &PeerAddr,
        protocol: &[u8],
    ) -> Result<SideId, P2PError> {
        let config = self.peer(key).map(|peer| peer.config.clone()).ok_or(P2PError::Closed)?;
        if peer.direct.is_empty() && peer.relays.is_empty() {
            return Err(P2PError::NoAddress { peer: peer.id });
        }
        if let Some(relay) = peer.relays.iter().find(|relay| !relay.starts_with("https://")) {
            return Err(P2PError::Config {
                field: "relay",
                message: format!("'{relay}' is not a URL; write it like {}", super::RELAY_URL),
            });
        }
        let direct = peer.direct.iter().find_map(|address| self.peer_at(*address));
        let direct = direct.filter(|node| self.best_path(key.node, *node) == PathKind::Direct);
        let relayed =
            || peer.relays.iter().any(|relay| relay == super::RELAY_URL).then(|| self.node_of(peer.id)).flatten();
        let (node, path) = match (direct, relayed()) {
            (Some(node), _) => (Some(node), PathKind::Direct),
            (None, Some(node)) => (Some(node), PathKind::Relayed),
            (None, None) => (None, PathKind::Unknown),
        };
        let remote = node.and_then(|node| self.nodes[node].peer.as_ref()).map(|peer| peer.config.clone());
        let connection = Connection::new(
            false,
            protocol.to_vec(),
            peer.id,
            path,
            [(Some(key.node), config), (node, remote.unwrap_or_default())],
            self.now,
        );
        let side = self.add_connection(connection);
        // By whoever waits for it.
        if let Some(side) = self.side(side) {
            side.held_by_user = true;
        }
        self.enlist(side, Direction::Outgoing);
        let to = node.map_or_else(|| "?".to_owned(), |node| self.nodes[node].name.clone());
        self.record(key.node, &Event::Dialled { connection: side.connection, to: &to, path });
        self.after(self.discovery_delay, Timer::Dial(side.connection));
        Ok(side)
    }

    pub(super) fn add_connection(&mut self, connection: Connection) -> SideId {
        let number = self.next_connection;
        self.next_connection += 1;
        self.connections.insert(number, connection);
        SideId { connection: number, index: 0 }
    }

    pub(super) fn send_dial(&mut self, connection: u64) {
        self.signal(SideId { connection, index: 0 }, Frame::Dial);
    }

    /// How far a dial has come, or a wake-up when it has come further.
    pub(in crate::simulator) fn poll_dial(&mut self, side: SideId, waker: &Waker) -> Poll<DialStatus> {
        let Some(connection) = self.connections.get_mut(&side.connection) else {
            return Poll::Ready(DialStatus::Abandoned);
        };
        if matches!(connection.dial, DialStatus::UnderWay) {
            remember(&mut connection.dial_wakers, waker);
            return Poll::Pending;
        }
        Poll::Ready(connection.dial.clone())
    }

    /// Hands the dialled connection over; returns its number at its peer.
    pub(in crate::simulator) fn take_dialled(&mut self, side: SideId) -> u64 {
        self.delist(side);
        self.enlist(side, Direction::Outgoing)
    }

    /// Gives a dial up.
    pub(in crate::simulator) fn give_up_dial(&mut self, side: SideId) {
        self.delist(side);
        if let Some(node) = self.node_of_side(side) {
            self.record(node, &Event::DialFailed { connection: side.connection });
        }
        self.let_go(side);
    }

    /// The dialler's side has ended; if that was before the handshake did, there will be no connection.
    pub(super) fn end_dial(&mut self, connection: u64, by_peer: bool) {
        let status = if by_peer { DialStatus::Refused(Refusal::Closed) } else { DialStatus::Abandoned };
        self.settle_dial(connection, status);
    }

    pub(super) fn abandon_dial(&mut self, connection: u64) {
        self.settle_dial(connection, DialStatus::Abandoned);
    }

    pub(super) fn fail_dial(&mut self, connection: u64, refusal: Refusal) {
        self.settle_dial(connection, DialStatus::Refused(refusal));
    }

    fn settle_dial(&mut self, connection: u64, status: DialStatus) {
        let Some(connection) = self.connections.get_mut(&connection) else { return };
        if matches!(connection.dial, DialStatus::UnderWay) {
            connection.dial = status;
            std::mem::take(&mut connection.dial_wakers).into_iter().for_each(Waker::wake);
        }
    }

    // The acceptor's side.

    /// A dial has arrived.
    pub(super) fn receive_dial(&mut self, number: u64, node: usize) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.sides[1].status != Status::Unborn || !self.nodes[node].up {
            return;
        }
        if connection.tcp {
            return self.receive_tcp_dial(number, node);
        }
        let acceptor = SideId { connection: number, index: 1 };
        let wrong_key = connection.wanted != self.nodes[node].id;
        // A peer that is closed, or does not listen, says nothing.
        let Some(peer) = self.nodes[node].peer.as_mut().filter(|peer| !peer.closed) else { return };
        let Some(listening) = &mut peer.listening else { return };
        if wrong_key {
            return self.refuse(acceptor, Refusal::WrongKey);
        }
        if listening.incoming.len() >= INCOMING_MAX {
            return self.refuse(acceptor, Refusal::Busy);
        }
        listening.incoming.push_back(number);
        std::mem::take(&mut listening.wakers).into_iter().for_each(Waker::wake);
        let config = peer.config.clone();
        let side = &mut connection.sides[1];
        side.status = Status::Handshaking;
        // When it was dialled, another peer may have run there, or none.
        side.configure(config);
        self.after(HANDSHAKE_TIMEOUT, Timer::HandshakeTimeout(number));
    }

    fn refuse(&mut self, acceptor: SideId, refusal: Refusal) {
        self.signal(acceptor, Frame::Refuse(refusal));
    }

    pub(in crate::simulator) fn listen(&mut self, key: PeerKey, protocols: &[&[u8]]) -> Result<(), P2PError> {
        let peer = self.peer(key).ok_or(P2PError::Closed)?;
        if peer.listening.is_some() {
            return Err(P2PError::AlreadyListening);
        }
        let protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        peer.listening = Some(Listening { protocols, ..Listening::default() });
        Ok(())
    }

    pub(in crate::simulator) fn stop_listening(&mut self, key: PeerKey) {
        let Some(peer) = self.peer(key) else { return };
        let Some(listening) = peer.listening.take() else { return };
        for connection in listening.incoming.into_iter().chain(listening.answered).chain(listening.ready) {
            self.close(SideId { connection, index: 1 }, 0, "");
        }
    }

    /// The next connection, handshake done; `None` once the peer is closed.
    pub(in crate::simulator) fn poll_accept(&mut self, key: PeerKey, waker: &Waker) -> Poll<Option<(SideId, u64)>> {
        loop {
            let Some(listening) = self.peer(key).and_then(|peer| peer.listening.as_mut()) else {
                return Poll::Ready(None);
            };
            if let Some(connection) = listening.ready.pop_front() {
                let side = SideId { connection, index: 1 };
                if !self.side(side).is_some_and(|side| side.is_open()) {
                    continue;
                }
                if let Some(side) = self.side(side) {
                    side.held_by_user = true;
                }
                let id = self.enlist(side, Direction::Incoming);
                return Poll::Ready(Some((side, id)));
            }
            let Some(number) = listening.incoming.pop_front() else {
                remember(&mut listening.wakers, waker);
                return Poll::Pending;
            };
            let Some(connection) = self.connections.get(&number) else { continue };
            let protocol = connection.protocol.clone();
            let acceptor = SideId { connection: number, index: 1 };
            let Some(listening) = self.peer(key).and_then(|peer| peer.listening.as_mut()) else { continue };
            if listening.protocols.contains(&protocol) {
                listening.answered.push_back(number);
                self.set_peer_limits(acceptor);
                self.signal(acceptor, Frame::Accept);
            } else {
                self.refuse(acceptor, Refusal::Protocol);
                self.end(acceptor, CloseReason::Transport("no protocol in common".to_owned()));
            }
        }
    }

    /// The acceptor has answered: the dialler's side is open.
    pub(super) fn receive_accept(&mut self, number: u64) {
        let dialler = SideId { connection: number, index: 0 };
        let Some(side) = self.side(dialler) else { return };
        if side.status != Status::Dialling || side.is_closed() {
            return;
        }
        side.status = Status::Open;
        if self.is_tcp(dialler) {
            return self.settle_dial(number, DialStatus::Connected);
        }
        self.set_peer_limits(dialler);
        self.start_timers(dialler);
        if let Some(node) = self.node_of_side(dialler) {
            self.record(node, &Event::Connected { connection: number });
        }
        self.signal(dialler, Frame::Confirm);
        self.settle_dial(number, DialStatus::Connected);
    }

    /// The dialler has confirmed: the acceptor's side is open.
    pub(super) fn finish_handshake(&mut self, number: u64) {
        let acceptor = SideId { connection: number, index: 1 };
        let Some(side) = self.side(acceptor) else { return };
        side.status = Status::Open;
        self.start_timers(acceptor);
        let Some(node) = self.node_of_side(acceptor) else { return };
        self.record(node, &Event::Connected { connection: number });
        if let Some(listening) = self.nodes[node].peer.as_mut().and_then(|peer| peer.listening.as_mut()) {
            listening.answered.retain(|answered| *answered != number);
            listening.ready.push_back(number);
            std::mem::take(&mut listening.wakers).into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn give_up_handshake(&mut self, number: u64) {
        let acceptor = SideId { connection: number, index: 1 };
        if self.side(acceptor).is_some_and(|side| side.status == Status::Handshaking && !side.is_closed()) {
            self.end(acceptor, CloseReason::TimedOut);
        }
    }

    /// A connection that has ended is not handed out.
    pub(super) fn forget_handshake(&mut self, number: u64) {
        let acceptor = SideId { connection: number, index: 1 };
        let Some(node) = self.node_of_side(acceptor) else { return };
        if let Some(listening) = self.nodes[node].peer.as_mut().and_then(|peer| peer.listening.as_mut()) {
            listening.incoming.retain(|incoming| *incoming != number);
            listening.answered.retain(|answered| *answered != number);
            listening.ready.retain(|ready| *ready != number);
        }
    }

    /// What the peer allows at the beginning is known from the handshake.
    fn set_peer_limits(&mut self, id: SideId) {
        let Some(limits) = self.side(id.other()).map(|side| side.config.initial_limits) else { return };
        if let Some(side) = self.side(id) {
            let streams = &mut side.streams;
            streams.send_max = limits.receive_window;
            streams.by_direction[0].allowed = u64::from(limits.bidi_streams);
            streams.by_direction[1].allowed = u64::from(limits.uni_streams);
        }
    }
}

/// What a refusal means to the dialler.
pub(in crate::simulator) fn refused(refusal: &Refusal, peer: &PeerAddr, protocol: &[u8]) -> P2PError {
    let message = match refusal {
        Refusal::Protocol => {
            let protocol = String::from_utf8_lossy(protocol).into_owned();
            return P2PError::ProtocolMismatch { peer: peer.id, protocol };
        }
        Refusal::WrongKey => "another peer answers at its address",
        Refusal::Busy => "the peer refused the connection: too many handshakes are under way",
        Refusal::Closed => "the peer closed the connection before it was made",
        Refusal::Rule | Refusal::NoListener => "the peer refused the connection",
    };
    P2PError::Connect { peer: peer.id, message: message.to_owned() }
}
