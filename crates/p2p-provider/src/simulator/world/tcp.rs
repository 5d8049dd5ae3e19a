//! Byte streams as TCP has them: one stream, no idle timeout, and a reset by whoever knows nothing of the connection.

use std::{
    io,
    task::{Poll, Waker},
};

use super::{
    SideId, SocketAddr, VecDeque, World,
    connection::{Connection, Status},
    packet::{Frame, Refusal},
    remember,
};
use crate::{
    PathKind,
    simulator::{peer::SimPeerConfig, world::Nat},
};

/// Connections that wait to be accepted; further ones are refused. As many as tokio's listeners ask the system for.
const BACKLOG_MAX: usize = 1024;

/// Bytes that may be unread on one side: of the order of what systems start with.
const WINDOW: u64 = 256 << 10;

/// One listener on a port, in one life of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortKey {
    pub(crate) node: usize,
    pub(crate) port: u16,
    pub(crate) generation: u64,
}

/// What a listener has to do.
pub(super) struct TcpListening {
    generation: u64,
    ready: VecDeque<u64>,
    pub(super) wakers: Vec<Waker>,
}

impl World {
    pub(in crate::simulator) fn listen_tcp(&mut self, index: usize, port: u16) -> io::Result<PortKey> {
        let node = &mut self.nodes[index];
        if !node.up {
            return Err(io::Error::new(io::ErrorKind::NetworkDown, "the node has crashed"));
        }
        if node.tcp.contains_key(&port) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("port {port} is in use on this node")));
        }
        node.tcp_generation += 1;
        let generation = node.tcp_generation;
        node.tcp.insert(port, TcpListening { generation, ready: VecDeque::new(), wakers: Vec::new() });
        Ok(PortKey { node: index, port, generation })
    }

    /// The listener, unless its node has crashed since.
    fn listening(&mut self, key: PortKey) -> Option<&mut TcpListening> {
        self.nodes[key.node].tcp.get_mut(&key.port).filter(|listening| listening.generation == key.generation)
    }

    pub(in crate::simulator) fn stop_listening_tcp(&mut self, key: PortKey) {
        if self.listening(key).is_none() {
            return;
        }
        let Some(listening) = self.nodes[key.node].tcp.remove(&key.port) else { return };
        for connection in listening.ready {
            let side = SideId { connection, index: 1 };
            self.reset_peer(side);
            self.let_go(side);
        }
    }

    /// The next connection, and who has dialled; an error once the node has crashed.
    pub(in crate::simulator) fn poll_accept_tcp(
        &mut self,
        key: PortKey,
        waker: &Waker,
    ) -> Poll<io::Result<(SideId, SocketAddr)>> {
        let Some(listening) = self.listening(key) else {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::NetworkDown, "the node has crashed")));
        };
        let Some(connection) = listening.ready.pop_front() else {
            remember(&mut listening.wakers, waker);
            return Poll::Pending;
        };
        let side = SideId { connection, index: 1 };
        let dialler = self.node_of_side(side.other()).map(|node| self.nodes[node].address);
        // Every dial has a port of its own.
        let port = u16::try_from(49_152 + connection % 16_384).unwrap_or(u16::MAX);
        let address = SocketAddr::from((dialler.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED), port));
        Poll::Ready(Ok((side, address)))
    }

    pub(in crate::simulator) fn dial_tcp(&mut self, node: usize, to: SocketAddr) -> io::Result<SideId> {
        if !self.nodes[node].up {
            return Err(io::Error::new(io::ErrorKind::NetworkDown, "the node has crashed"));
        }
        let target = self.node_at(to).filter(|target| *target == node || self.nodes[*target].nat == Nat::Direct);
        let config = SimPeerConfig::default();
        let wanted = self.nodes[target.unwrap_or(node)].id;
        let mut connection = Connection::new(
            true,
            to.port().to_be_bytes().to_vec(),
            wanted,
            PathKind::Direct,
            [(Some(node), config.clone()), (target, config)],
            self.now,
        );
        Self::open_tcp_stream(&mut connection, WINDOW);
        connection.sides[0].held_by_user = true;
        let side = self.add_connection(connection);
        self.signal(side, Frame::Dial);
        Ok(side)
    }

    pub(super) fn receive_tcp_dial(&mut self, number: u64, node: usize) {
        let side = SideId { connection: number, index: 1 };
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let port = connection.protocol.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let listening = self.nodes[node].tcp.get_mut(&port).filter(|listening| listening.ready.len() < BACKLOG_MAX);
        let Some(listening) = listening else { return self.signal(side, Frame::Refuse(Refusal::NoListener)) };
        listening.ready.push_back(number);
        std::mem::take(&mut listening.wakers).into_iter().for_each(Waker::wake);
        let acceptor = &mut connection.sides[1];
        acceptor.status = Status::Open;
        acceptor.held_by_user = true;
        self.signal(side, Frame::Accept);
    }

    /// A packet for a connection that this side no longer has.
    pub(super) fn reset_tcp(&mut self, to: SideId, frame: &Frame) {
        if matches!(frame, Frame::Stream { bytes, .. } if !bytes.is_empty()) {
            self.reset_peer(to);
        }
    }

    pub(in crate::simulator) fn reset_peer(&mut self, side: SideId) {
        self.signal(side, Frame::Close { code: 0, reason: "connection reset by peer".to_owned() });
    }
}
