//! Nodes: the machines of the network, and what runs on them.

use std::{net::Ipv4Addr, task::Waker};

use bytes::Bytes;

use super::{
    BTreeMap, Duration, Envelope, Event, Packet, SideId, SocketAddr, VecDeque, Verdict, World, packet::Frame, remember,
    tcp::TcpListening,
};
use crate::{
    ConnectionInfo, ConnectionState, Direction, P2PError, Path, PathKind, PeerAddr, PeerId, PeerInfo,
    simulator::{peer::SimPeerConfig, rule::PacketClass},
};

/// The UDP port of every peer.
const PEER_PORT: u16 = 17_420;

/// Datagrams that wait to be read from a socket; further ones are lost.
const SOCKET_DATAGRAMS_MAX: usize = 1024;

/// How a node can be reached. The worse of two nodes decides which path there is between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Nat {
    /// Directly.
    #[default]
    Direct,
    /// Only through the relay.
    Relayed,
    /// Not at all.
    Unreachable,
}

/// A machine.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) id: PeerId,
    pub(super) nat: Nat,
    /// Whether its process runs.
    pub(super) up: bool,
    pub(super) address: Ipv4Addr,
    /// How often its peer was opened; names the one of now.
    generation: u64,
    pub(super) peer: Option<Peer>,
    pub(super) tcp: BTreeMap<u16, TcpListening>,
    /// How many listeners it has had; names the newest one.
    pub(super) tcp_generation: u64,
    sockets: BTreeMap<u16, Socket>,
}

/// The peer that runs on a node.
pub(super) struct Peer {
    pub(super) config: SimPeerConfig,
    pub(super) closed: bool,
    pub(super) listening: Option<Listening>,
    next_id: u64,
    /// Its connections by their number at this peer: oldest first.
    by_id: BTreeMap<u64, Entry>,
}

struct Entry {
    side: SideId,
    peer: PeerId,
    direction: Direction,
}

/// What a listener has to do.
#[derive(Default)]
pub(super) struct Listening {
    pub(super) protocols: Vec<Vec<u8>>,
    pub(super) incoming: VecDeque<u64>,
    /// Handshakes that wait for the dialler's last word.
    pub(super) answered: VecDeque<u64>,
    pub(super) ready: VecDeque<u64>,
    pub(super) wakers: Vec<Waker>,
}

/// One peer, in one life of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerKey {
    pub(crate) node: usize,
    pub(crate) generation: u64,
}

#[derive(Default)]
struct Socket {
    queue: VecDeque<(SocketAddr, Bytes)>,
    wakers: Vec<Waker>,
}

impl World {
    pub(in crate::simulator) fn add_node(&mut self, name: &str) -> usize {
        let index = self.nodes.len();
        let mut random = self.random(index as u64);
        let mut id = [0; 32];
        random.fill(&mut id);
        let address = self.free_address();
        self.nodes.push(Node {
            name: name.to_owned(),
            id: PeerId(id),
            nat: Nat::Direct,
            up: true,
            address,
            generation: 0,
            peer: None,
            tcp: BTreeMap::new(),
            tcp_generation: 0,
            sockets: BTreeMap::new(),
        });
        self.record(index, &Event::Started);
        index
    }

    pub(in crate::simulator) fn node_id(&self, node: usize) -> PeerId {
        self.nodes[node].id
    }

    pub(in crate::simulator) fn node_name(&self, node: usize) -> &str {
        &self.nodes[node].name
    }

    pub(in crate::simulator) fn node_ip(&self, node: usize) -> Ipv4Addr {
        self.nodes[node].address
    }

    pub(in crate::simulator) fn set_nat(&mut self, node: usize, nat: Nat) {
        self.nodes[node].nat = nat;
    }

    /// Addresses are never used twice.
    fn free_address(&mut self) -> Ipv4Addr {
        let number = self.next_address;
        self.next_address += 1;
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number)
    }

    /// Ends the node's process. Its peers hear nothing; its TCP connections are reset by its system.
    pub(in crate::simulator) fn crash(&mut self, node: usize) {
        if !std::mem::replace(&mut self.nodes[node].up, false) {
            return;
        }
        self.record(node, &Event::Crashed);
        let sides: Vec<SideId> = self.sides_of(node).collect();
        for side in sides {
            self.kill(side);
        }
        let node = &mut self.nodes[node];
        let sockets = std::mem::take(&mut node.sockets).into_values().flat_map(|socket| socket.wakers);
        let listening =
            node.peer.take().and_then(|peer| peer.listening).into_iter().flat_map(|listening| listening.wakers);
        let tcp = std::mem::take(&mut node.tcp).into_values().flat_map(|listening| listening.wakers);
        sockets.chain(listening).chain(tcp).for_each(Waker::wake);
    }

    /// Starts the node's process again, at the same address or at a new one.
    pub(in crate::simulator) fn start(&mut self, node: usize, elsewhere: bool) {
        if elsewhere {
            self.nodes[node].address = self.free_address();
        }
        if !std::mem::replace(&mut self.nodes[node].up, true) {
            self.record(node, &Event::Started);
        }
    }

    // Peers.

    pub(in crate::simulator) fn open_peer(&mut self, node: usize, config: SimPeerConfig) -> Result<PeerKey, P2PError> {
        let entry = &mut self.nodes[node];
        if !entry.up {
            return Err(P2PError::Closed);
        }
        if entry.peer.as_ref().is_some_and(|peer| !peer.closed) {
            let addresses = SocketAddr::from((entry.address, PEER_PORT)).to_string();
            return Err(P2PError::Bind { addresses, message: "the node has a peer already".to_owned() });
        }
        entry.generation += 1;
        // Its connections go on saying goodbye.
        let next_id = entry.peer.as_ref().map_or(1, |peer| peer.next_id);
        entry.peer = Some(Peer { config, closed: false, listening: None, next_id, by_id: BTreeMap::new() });
        Ok(PeerKey { node, generation: entry.generation })
    }

    /// The peer, unless it is closed, or its node has crashed.
    pub(super) fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        let node = &mut self.nodes[key.node];
        if node.generation != key.generation || !node.up {
            return None;
        }
        node.peer.as_mut().filter(|peer| !peer.closed)
    }

    pub(in crate::simulator) fn close_peer(&mut self, key: PeerKey) {
        let Some(peer) = self.peer(key) else { return };
        peer.closed = true;
        let wakers = peer.listening.as_mut().map(|listening| std::mem::take(&mut listening.wakers));
        wakers.into_iter().flatten().for_each(Waker::wake);
        let sides: Vec<SideId> = self.sides_of(key.node).filter(|side| !self.is_tcp(*side)).collect();
        for side in sides {
            self.close(side, 0, "");
        }
    }

    pub(in crate::simulator) fn peer_addr(&self, node: usize) -> PeerAddr {
        let entry = &self.nodes[node];
        PeerAddr {
            id: entry.id,
            direct: vec![SocketAddr::from((entry.address, PEER_PORT))],
            relays: if self.relay && entry.nat != Nat::Unreachable {
                vec![super::RELAY_URL.to_owned()]
            } else {
                vec![]
            },
        }
    }

    /// The node that has this address now.
    pub(super) fn node_at(&self, address: SocketAddr) -> Option<usize> {
        self.nodes.iter().position(|node| address.ip() == node.address)
    }

    pub(super) fn peer_at(&self, address: SocketAddr) -> Option<usize> {
        self.node_at(address).filter(|_| address.port() == PEER_PORT)
    }

    pub(super) fn node_of(&self, id: PeerId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// Gives a side its number at its peer.
    pub(super) fn enlist(&mut self, side: SideId, direction: Direction) -> u64 {
        let (Some(node), Some(peer_id)) = (self.node_of_side(side), self.peer_of_side(side)) else { return 0 };
        let closed: Vec<u64> = self.nodes[node]
            .peer
            .iter()
            .flat_map(|peer| peer.by_id.iter())
            .filter_map(|(id, entry)| {
                let gone = self
                    .connections
                    .get(&entry.side.connection)
                    .is_none_or(|connection| connection.sides[entry.side.index].is_closed());
                gone.then_some(*id)
            })
            .collect();
        let Some(peer) = &mut self.nodes[node].peer else { return 0 };
        peer.by_id.retain(|id, _| !closed.contains(id));
        let id = peer.next_id;
        peer.next_id += 1;
        peer.by_id.insert(id, Entry { side, peer: peer_id, direction });
        id
    }

    pub(super) fn delist(&mut self, side: SideId) {
        if let Some(node) = self.node_of_side(side)
            && let Some(peer) = &mut self.nodes[node].peer
        {
            peer.by_id.retain(|_, entry| entry.side != side);
        }
    }

    pub(in crate::simulator) fn list(&mut self, key: PeerKey) -> Vec<ConnectionInfo> {
        if self.peer(key).is_none() {
            return Vec::new();
        }
        let Some(peer) = &self.nodes[key.node].peer else { return Vec::new() };
        let info = |(id, entry): (&u64, &Entry)| {
            let connection = self.connections.get(&entry.side.connection)?;
            let side = &connection.sides[entry.side.index];
            let state = match side.status {
                _ if side.is_closed() => return None,
                super::connection::Status::Dialling => ConnectionState::Connecting,
                _ => ConnectionState::Open,
            };
            let open = state == ConnectionState::Open;
            Some(ConnectionInfo {
                id: if open { *id } else { 0 },
                peer: PeerInfo { id: entry.peer },
                direction: entry.direction,
                state,
                path: open.then(|| self.path(entry.side)),
            })
        };
        peer.by_id.iter().filter_map(info).collect()
    }

    pub(in crate::simulator) fn disconnect(&mut self, key: PeerKey, id: PeerId, code: u64, reason: &str) -> usize {
        let Some(peer) = self.peer(key) else { return 0 };
        let sides: Vec<SideId> = peer.by_id.values().filter(|entry| entry.peer == id).map(|entry| entry.side).collect();
        let open: Vec<SideId> =
            sides.into_iter().filter(|side| self.side(*side).is_some_and(|side| side.is_open())).collect();
        for side in &open {
            self.close(*side, code, reason);
        }
        open.len()
    }

    /// The path between two nodes that is best now.
    pub(super) fn best_path(&self, one: usize, other: usize) -> PathKind {
        match self.nodes[one].nat.max(self.nodes[other].nat) {
            Nat::Direct => PathKind::Direct,
            Nat::Relayed if self.relay => PathKind::Relayed,
            _ => PathKind::Unknown,
        }
    }

    pub(super) fn path_exists(&self, one: usize, other: usize, path: PathKind) -> bool {
        match path {
            PathKind::Direct => self.best_path(one, other) == PathKind::Direct,
            PathKind::Relayed => self.relay && self.nodes[one].nat.max(self.nodes[other].nat) != Nat::Unreachable,
            PathKind::Unknown => false,
        }
    }

    pub(in crate::simulator) fn path(&self, side: SideId) -> Path {
        let unknown = Path { kind: PathKind::Unknown, remote: None, rtt: None };
        let Some(connection) = self.connections.get(&side.connection) else { return unknown };
        let (Some(near), Some(far)) = (connection.node(side), connection.node(side.other())) else { return unknown };
        let remote = match connection.path {
            PathKind::Direct => Some(SocketAddr::from((self.nodes[far].address, PEER_PORT)).to_string()),
            PathKind::Relayed => Some(super::RELAY_URL.to_owned()),
            PathKind::Unknown => None,
        };
        let rtt = (connection.path != PathKind::Unknown).then(|| self.round_trip(near, far, connection.path));
        // A round trip takes time, even where the settings say that it takes none.
        let rtt = rtt.map(|rtt| rtt.max(Duration::from_micros(1)));
        Path { kind: connection.path, remote, rtt }
    }

    // Datagrams.

    pub(in crate::simulator) fn open_socket(&mut self, node: usize, port: u16) -> bool {
        let node = &mut self.nodes[node];
        if !node.up || port == PEER_PORT || node.sockets.contains_key(&port) {
            return false;
        }
        node.sockets.insert(port, Socket::default());
        true
    }

    pub(in crate::simulator) fn close_socket(&mut self, node: usize, port: u16) {
        self.nodes[node].sockets.remove(&port);
    }

    pub(in crate::simulator) fn send_datagram(&mut self, node: usize, port: u16, to: SocketAddr, bytes: Bytes) {
        let Some(receiver) = self.node_at(to) else { return };
        if !self.nodes[node].up {
            return;
        }
        let from = SocketAddr::from((self.nodes[node].address, port));
        let size = bytes.len();
        let envelope = Envelope {
            to: SideId { connection: u64::MAX, index: 0 },
            frame: Frame::Datagram { from, to, bytes },
            bytes: size,
            path: PathKind::Direct,
        };
        self.transmit((node, receiver), envelope);
    }

    pub(super) fn pass_datagram(&mut self, envelope: Envelope, from: SocketAddr, to: SocketAddr) -> Option<Envelope> {
        let (sender, receiver) = (self.node_at(from)?, self.node_at(to)?);
        if self.nodes[receiver].nat != Nat::Direct {
            return None;
        }
        let packet = Packet {
            from: self.nodes[sender].id,
            to: self.nodes[receiver].id,
            class: PacketClass::Datagram,
            path: PathKind::Direct,
            bytes: envelope.bytes,
        };
        match self.judge(&packet) {
            Verdict::Pass => Some(envelope),
            Verdict::Delay(delay) => {
                self.after(delay, super::Timer::Arrive(envelope));
                None
            }
            Verdict::Drop | Verdict::Refuse => None,
        }
    }

    pub(super) fn deliver_datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let Some(node) = self.node_at(to) else { return };
        let size = bytes.len();
        let Some(socket) = self.nodes[node].sockets.get_mut(&to.port()) else { return };
        if socket.queue.len() >= SOCKET_DATAGRAMS_MAX {
            return;
        }
        socket.queue.push_back((from, bytes));
        std::mem::take(&mut socket.wakers).into_iter().for_each(Waker::wake);
        self.record(node, &Event::Datagram { bytes: size });
    }

    /// `Err` once the node has crashed.
    pub(in crate::simulator) fn receive_datagram(
        &mut self,
        node: usize,
        port: u16,
        waker: &Waker,
    ) -> Result<Option<(SocketAddr, Bytes)>, ()> {
        let socket = self.nodes[node].sockets.get_mut(&port).ok_or(())?;
        let datagram = socket.queue.pop_front();
        if datagram.is_none() {
            remember(&mut socket.wakers, waker);
        }
        Ok(datagram)
    }
}
