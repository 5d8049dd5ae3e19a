//! A connection between two nodes: its two sides, its life and its end.

use std::{sync::Arc, task::Waker};

use tokio::sync::SetOnce;

use super::{
    BTreeMap, Duration, Envelope, Event, Packet, Timer, VecDeque, Verdict, World,
    dial::DialStatus,
    packet::Frame,
    stream::{Receiving, Sending},
};
use crate::{
    CloseReason, ConnectionLimits, PathKind, PeerId,
    simulator::{news::News, peer::SimPeerConfig, rule::PacketClass},
};

/// A relayed connection looks for a direct path this often.
const UPGRADE_INTERVAL: Duration = Duration::from_mins(1);

/// One side of a connection: 0 has dialled, 1 has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SideId {
    pub(crate) connection: u64,
    pub(crate) index: usize,
}

impl SideId {
    pub(super) const fn other(self) -> Self {
        Self { index: 1 - self.index, ..self }
    }
}

/// How far a side has come. Whether it is closed is said by its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Side 1, before the dial has reached its node.
    Unborn,
    /// Side 0, until the acceptor has answered.
    Dialling,
    /// Side 1, until the dialler has confirmed.
    Handshaking,
    Open,
}

pub(super) struct Connection {
    pub(super) tcp: bool,
    pub(super) protocol: Vec<u8>,
    /// Whom the dialler wants.
    pub(super) wanted: PeerId,
    pub(super) path: PathKind,
    pub(super) sides: [Side; 2],
    pub(super) dial: DialStatus,
    pub(super) dial_wakers: Vec<Waker>,
    /// When the connection last looked for a direct path.
    last_upgrade: Option<Duration>,
}

pub(super) struct Side {
    pub(super) node: Option<usize>,
    pub(super) status: Status,
    pub(super) config: SimPeerConfig,
    closed: Arc<SetOnce<CloseReason>>,
    /// The code and reason of our own close.
    pub(super) farewell: (u64, String),
    /// The node's process has ended.
    pub(super) dead: bool,
    /// Somebody can still use this side.
    pub(super) held_by_user: bool,
    pub(super) heard: Duration,
    path_changes: Arc<News>,
    /// What could not arrive, in order.
    pub(super) held: VecDeque<Envelope>,
    pub(super) retrying: bool,
    pub(super) retries: u32,
    pub(super) streams: Streams,
}

/// The streams of a side, and its share of flow control.
pub(super) struct Streams {
    pub(super) sending: BTreeMap<u64, Sending>,
    pub(super) receiving: BTreeMap<u64, Receiving>,
    /// By direction: bidirectional, unidirectional.
    pub(super) by_direction: [Opening; 2],
    pub(super) limits: ConnectionLimits,
    /// Bytes sent, and the most that the peer allows.
    pub(super) sent: u64,
    pub(super) send_max: u64,
    /// Bytes consumed, and the most that we have allowed.
    pub(super) consumed: u64,
    pub(super) receive_max: u64,
}

/// The streams of one direction.
#[derive(Default)]
pub(super) struct Opening {
    /// Streams that we have opened, and the most that the peer allows.
    pub(super) opened: u64,
    pub(super) allowed: u64,
    pub(super) open_wakers: Vec<Waker>,
    /// Streams that the peer has opened, those of them that have ended, and the most that we have allowed.
    pub(super) seen: u64,
    pub(super) ended: u64,
    pub(super) announced: u64,
    pub(super) acceptable: VecDeque<u64>,
    pub(super) accept_wakers: Vec<Waker>,
}

impl Connection {
    pub(super) fn new(
        tcp: bool,
        protocol: Vec<u8>,
        wanted: PeerId,
        path: PathKind,
        sides: [(Option<usize>, SimPeerConfig); 2],
        now: Duration,
    ) -> Self {
        let [dialler, acceptor] = sides;
        Self {
            tcp,
            protocol,
            wanted,
            path,
            sides: [
                Side::new(dialler.0, Status::Dialling, dialler.1, now),
                Side::new(acceptor.0, Status::Unborn, acceptor.1, now),
            ],
            dial: DialStatus::UnderWay,
            dial_wakers: Vec::new(),
            last_upgrade: None,
        }
    }

    pub(super) const fn node(&self, side: SideId) -> Option<usize> {
        self.sides[side.index].node
    }
}

impl Side {
    fn new(node: Option<usize>, status: Status, config: SimPeerConfig, now: Duration) -> Self {
        let limits = config.initial_limits;
        let announced = [u64::from(limits.bidi_streams), u64::from(limits.uni_streams)];
        Self {
            node,
            status,
            config,
            closed: Arc::default(),
            farewell: (0, String::new()),
            dead: false,
            held_by_user: false,
            heard: now,
            path_changes: Arc::default(),
            held: VecDeque::new(),
            retrying: false,
            retries: 0,
            streams: Streams {
                sending: BTreeMap::new(),
                receiving: BTreeMap::new(),
                by_direction: announced.map(|announced| Opening { announced, ..Opening::default() }),
                limits,
                sent: 0,
                send_max: 0,
                consumed: 0,
                receive_max: limits.receive_window,
            },
        }
    }

    /// The settings of the peer whose side it turns out to be.
    pub(super) fn configure(&mut self, config: SimPeerConfig) {
        let limits = config.initial_limits;
        let streams = &mut self.streams;
        streams.limits = limits;
        streams.receive_max = limits.receive_window;
        streams.by_direction[0].announced = u64::from(limits.bidi_streams);
        streams.by_direction[1].announced = u64::from(limits.uni_streams);
        self.config = config;
    }

    pub(super) fn closed_reason(&self) -> Option<CloseReason> {
        self.closed.get().cloned()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.initialized()
    }

    pub(super) fn is_open(&self) -> bool {
        self.status == Status::Open && !self.is_closed()
    }

    fn wake_all(&mut self) {
        let streams = &mut self.streams;
        let mut wakers = Vec::new();
        for opening in &mut streams.by_direction {
            wakers.append(&mut opening.open_wakers);
            wakers.append(&mut opening.accept_wakers);
        }
        streams.sending.values_mut().for_each(|sending| sending.take_wakers(&mut wakers));
        streams.receiving.values_mut().for_each(|receiving| wakers.extend(receiving.waker.take()));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl World {
    pub(super) fn side(&mut self, id: SideId) -> Option<&mut Side> {
        self.connections.get_mut(&id.connection).map(|connection| &mut connection.sides[id.index])
    }

    pub(super) fn is_tcp(&self, id: SideId) -> bool {
        self.connections.get(&id.connection).is_some_and(|connection| connection.tcp)
    }

    pub(super) fn node_of_side(&self, id: SideId) -> Option<usize> {
        self.connections.get(&id.connection)?.node(id)
    }

    pub(super) fn peer_of_side(&self, id: SideId) -> Option<PeerId> {
        let connection = self.connections.get(&id.connection)?;
        if id.index == 0 {
            return Some(connection.wanted);
        }
        connection.node(id.other()).map(|node| self.nodes[node].id)
    }

    pub(super) fn sides_of(&self, node: usize) -> impl Iterator<Item = SideId> + use<'_> {
        self.connections.iter().flat_map(move |(&connection, entry)| {
            (0..2)
                .filter(move |&index| entry.sides[index].node == Some(node))
                .map(move |index| SideId { connection, index })
        })
    }

    /// Resolves with the reason when the side is closed.
    pub(in crate::simulator) fn closed(&mut self, id: SideId) -> Option<Arc<SetOnce<CloseReason>>> {
        self.side(id).map(|side| Arc::clone(&side.closed))
    }

    /// Changes with the path; ends with the connection.
    pub(in crate::simulator) fn path_changes(&mut self, id: SideId) -> Option<Arc<News>> {
        self.side(id).map(|side| Arc::clone(&side.path_changes))
    }

    pub(in crate::simulator) fn peer_id_of(&self, id: SideId) -> Option<PeerId> {
        self.peer_of_side(id)
    }

    /// Closes a side by its own wish, and tells the peer.
    pub(in crate::simulator) fn close(&mut self, id: SideId, code: u64, reason: &str) {
        let Some(side) = self.side(id) else { return };
        if side.is_closed() {
            return;
        }
        side.farewell = (code, reason.to_owned());
        self.signal(id, Frame::Close { code, reason: reason.to_owned() });
        self.end(id, CloseReason::Local);
    }

    /// Gives up a side because something is wrong with the transport; the peer hears of it.
    pub(super) fn break_off(&mut self, id: SideId, message: &str) {
        let reason = CloseReason::Transport(message.to_owned());
        self.end(id.other(), reason.clone());
        self.end(id, reason);
    }

    /// A side has ended.
    pub(super) fn end(&mut self, id: SideId, reason: CloseReason) {
        let now = self.now;
        let Some(side) = self.side(id) else { return };
        if side.is_closed() {
            return;
        }
        if !self.is_tcp(id)
            && let Some(node) = self.node_of_side(id)
        {
            let event = Event::Closed { connection: id.connection, reason: &reason };
            self.trace.record(now, &self.nodes[node].name, &event);
        }
        let Some(side) = self.side(id) else { return };
        side.path_changes.end();
        side.held.clear();
        // It is not set yet: that was asked for above.
        let by_peer = matches!(reason, CloseReason::Peer { .. });
        side.closed.set(reason).ok();
        side.wake_all();
        if id.index == 1 {
            self.forget_handshake(id.connection);
        } else if !self.is_tcp(id) {
            self.end_dial(id.connection, by_peer);
        }
        self.collect(id.connection);
    }

    /// The process of a side has ended.
    pub(super) fn kill(&mut self, id: SideId) {
        if let Some(side) = self.side(id) {
            side.dead = true;
        }
        if self.is_tcp(id) {
            self.signal(id, Frame::Close { code: 0, reason: "connection reset by peer".to_owned() });
        }
        self.end(id, CloseReason::Transport("the node has crashed".to_owned()));
        if id.index == 0 {
            self.abandon_dial(id.connection);
        }
    }

    /// Nobody can use this side any more.
    pub(in crate::simulator) fn let_go(&mut self, id: SideId) {
        if let Some(side) = self.side(id) {
            side.held_by_user = false;
        }
        if self.is_tcp(id) {
            self.leave_tcp(id);
        } else {
            self.close(id, 0, "");
        }
        self.collect(id.connection);
    }

    /// What was sent over TCP is still delivered after its socket is closed.
    fn leave_tcp(&mut self, id: SideId) {
        if let Some(side) = self.side(id)
            && !side.is_closed()
        {
            side.closed.set(CloseReason::Local).ok();
        }
    }

    /// Forgets a connection that is of no more use to anybody.
    fn collect(&mut self, number: u64) {
        let Some(connection) = self.connections.get(&number) else { return };
        let gone = |index: usize| {
            let side = &connection.sides[index];
            (side.is_closed() || side.status == Status::Unborn) && !side.held_by_user
        };
        if !(gone(0) && gone(1)) {
            return;
        }
        let nodes = [connection.sides[0].node, connection.sides[1].node];
        self.connections.remove(&number);
        if let [Some(one), Some(other)] = nodes {
            self.forget_lanes((one, other), number);
            self.forget_lanes((other, one), number);
        }
    }

    // Signs of life.

    pub(super) fn start_timers(&mut self, id: SideId) {
        let now = self.now;
        let Some(side) = self.side(id) else { return };
        side.heard = now;
        let (keep_alive, idle) = (side.config.keep_alive_interval, side.config.idle_timeout);
        self.after(keep_alive, Timer::KeepAlive(id));
        self.after(idle, Timer::Idle(id));
    }

    pub(super) fn keep_alive(&mut self, id: SideId) {
        let Some(side) = self.side(id) else { return };
        if side.is_closed() {
            return;
        }
        let interval = side.config.keep_alive_interval;
        self.signal(id, Frame::Ping);
        if id.index == 0 {
            self.look_for_path(id);
        }
        self.after(interval, Timer::KeepAlive(id));
    }

    pub(super) fn check_idle(&mut self, id: SideId) {
        let now = self.now;
        let Some(side) = self.side(id) else { return };
        if side.is_closed() {
            return;
        }
        let deadline = side.heard + side.config.idle_timeout;
        if now >= deadline {
            self.end(id, CloseReason::TimedOut);
        } else {
            self.at(deadline, Timer::Idle(id));
        }
    }

    /// Leaves a path that has been silent, and a relayed one for a direct one.
    fn look_for_path(&mut self, id: SideId) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id.connection) else { return };
        let [Some(one), Some(other)] = [connection.sides[0].node, connection.sides[1].node] else { return };
        let path = connection.path;
        let silent = now.saturating_sub(connection.sides[0].heard) >= connection.sides[0].config.path_idle_timeout;
        let upgrade = connection.last_upgrade.is_none_or(|last| now.saturating_sub(last) >= UPGRADE_INTERVAL);
        if upgrade {
            connection.last_upgrade = Some(now);
        }
        let next = match path {
            PathKind::Direct if silent => PathKind::Relayed,
            PathKind::Relayed if silent || upgrade => PathKind::Direct,
            _ => return,
        };
        if self.path_exists(one, other, next) && self.probe(one, other, next) && self.probe(other, one, next) {
            self.change_path(id.connection, next);
        }
    }

    /// Whether a sign of life would arrive on this path.
    fn probe(&mut self, from: usize, to: usize, path: PathKind) -> bool {
        let (from, to) = (self.nodes[from].id, self.nodes[to].id);
        self.judge(&Packet { from, to, class: PacketClass::KeepAlive, path, bytes: 0 }) == Verdict::Pass
    }

    /// Moves a connection to another path; what could not arrive follows.
    pub(super) fn change_path(&mut self, number: u64, path: PathKind) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.path == path {
            return;
        }
        connection.path = path;
        for index in 0..2 {
            let side = &mut connection.sides[index];
            side.held.iter_mut().for_each(|envelope| envelope.path = path);
            side.path_changes.publish();
        }
        let nodes = [connection.sides[0].node, connection.sides[1].node];
        for node in nodes.into_iter().flatten() {
            self.record(node, &Event::PathChanged { connection: number, path });
        }
    }
}
