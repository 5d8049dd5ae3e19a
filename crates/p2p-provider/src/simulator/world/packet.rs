//! Packets: how they leave, and what they do where they arrive.

use bytes::Bytes;

use super::{Duration, Packet, SideId, SocketAddr, Timer, Verdict, World, connection::Status, link::Lane};
use crate::{CloseReason, PathKind, simulator::rule::PacketClass};

/// What could not arrive is sent again after the retransmission timeout, which doubles up to this.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// A packet on its way to one side of a connection, or to a socket.
pub(super) struct Envelope {
    pub(super) to: SideId,
    pub(super) frame: Frame,
    pub(super) bytes: usize,
    pub(super) path: PathKind,
}

/// What a packet carries. Acknowledgements are left out where nothing can be seen of them.
pub(super) enum Frame {
    Dial,
    Accept,
    Confirm,
    Refuse(Refusal),
    /// The bytes from an offset on.
    Stream {
        id: u64,
        offset: u64,
        bytes: Vec<Bytes>,
        end: bool,
    },
    /// The reader has everything up to the end.
    Acknowledge {
        id: u64,
    },
    /// With the number of bytes that were sent before.
    Reset {
        id: u64,
        code: u64,
        sent: u64,
    },
    Stop {
        id: u64,
        code: u64,
    },
    MaxStreamData {
        id: u64,
        max: u64,
    },
    MaxData {
        max: u64,
    },
    MaxStreams {
        uni: bool,
        max: u64,
    },
    Close {
        code: u64,
        reason: String,
    },
    Ping,
    Pong,
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
}

/// Why a dial is turned away.
#[derive(Clone, Debug)]
pub(in crate::simulator) enum Refusal {
    Protocol,
    WrongKey,
    Busy,
    /// The acceptor closed before the handshake was over.
    Closed,
    Rule,
    /// TCP: nobody listens.
    NoListener,
}

impl Frame {
    pub(super) const fn is_reliable(&self) -> bool {
        !matches!(self, Self::Close { .. } | Self::Ping | Self::Pong | Self::Datagram { .. })
    }

    pub(super) const fn is_datagram(&self) -> bool {
        matches!(self, Self::Datagram { .. })
    }

    /// Only content is large enough to matter.
    pub(super) const fn waits_for_bandwidth(&self) -> bool {
        matches!(self, Self::Stream { .. } | Self::Datagram { .. })
    }

    const fn class(&self) -> PacketClass {
        match self {
            Self::Dial | Self::Accept | Self::Confirm | Self::Refuse(_) => PacketClass::Handshake,
            Self::Stream { .. } | Self::Acknowledge { .. } => PacketClass::Stream,
            Self::Reset { .. }
            | Self::Stop { .. }
            | Self::MaxStreamData { .. }
            | Self::MaxData { .. }
            | Self::MaxStreams { .. } => PacketClass::Control,
            Self::Close { .. } | Self::Ping | Self::Pong => PacketClass::KeepAlive,
            Self::Datagram { .. } => PacketClass::Datagram,
        }
    }
}

impl Envelope {
    /// What takes turns with its like on a narrow link.
    pub(super) const fn lane(&self) -> Lane {
        match self.frame {
            Frame::Stream { id, .. } => (self.to.connection, id),
            _ => (self.to.connection, u64::MAX),
        }
    }

    /// With what every packet has around its content.
    pub(super) const fn wire_bytes(&self) -> u64 {
        (self.bytes + 60) as u64
    }
}

impl World {
    /// Sends a packet to the other side of a connection.
    pub(super) fn send(&mut self, from: SideId, frame: Frame, bytes: usize) {
        let Some(connection) = self.connections.get(&from.connection) else { return };
        let (Some(sender), Some(receiver)) = (connection.node(from), connection.node(from.other())) else { return };
        if !self.nodes[sender].up && !connection.tcp {
            return;
        }
        let envelope = Envelope { to: from.other(), frame, bytes, path: connection.path };
        self.transmit((sender, receiver), envelope);
    }

    /// As [`send`](Self::send), for what has no content.
    pub(super) fn signal(&mut self, from: SideId, frame: Frame) {
        self.send(from, frame, 0);
    }

    /// Judges a packet that has come to the end of its way.
    pub(super) fn arrive(&mut self, envelope: Envelope) {
        let Some(envelope) = self.pass(envelope) else { return };
        self.deliver(envelope);
    }

    /// Sends again what could not arrive, and tries later if it still cannot.
    pub(super) fn retry(&mut self, sender: SideId) {
        let Some(side) = self.side(sender) else { return };
        let held = std::mem::take(&mut side.held);
        side.retrying = false;
        let before = held.len();
        let path = self.connections.get(&sender.connection).map(|connection| connection.path);
        for mut envelope in held {
            envelope.path = path.unwrap_or(envelope.path);
            if let Some(envelope) = self.pass(envelope) {
                self.deliver(envelope);
            }
        }
        let Some(side) = self.side(sender) else { return };
        side.retries = if side.held.len() == before { side.retries + 1 } else { 0 };
        self.schedule_retry(sender);
    }

    fn schedule_retry(&mut self, sender: SideId) {
        let Some(connection) = self.connections.get(&sender.connection) else { return };
        let side = &connection.sides[sender.index];
        if side.held.is_empty() || side.retrying || (side.is_closed() && !connection.tcp) {
            return;
        }
        let (Some(one), Some(other)) = (connection.node(sender), connection.node(sender.other())) else { return };
        let timeout = self.conditions_between(one, other).retransmission_timeout();
        let delay = (timeout * 2_u32.pow(side.retries.min(8))).min(RETRY_MAX);
        if let Some(side) = self.side(sender) {
            side.retrying = true;
        }
        self.after(delay, Timer::Retry(sender));
    }

    /// Lets a packet through, or keeps or loses it.
    fn pass(&mut self, envelope: Envelope) -> Option<Envelope> {
        if let Frame::Datagram { from, to, .. } = envelope.frame {
            return self.pass_datagram(envelope, from, to);
        }
        let sender = envelope.to.other();
        let connection = self.connections.get(&envelope.to.connection)?;
        let (from, to) = (connection.node(sender)?, connection.node(envelope.to)?);
        let class = if connection.tcp { PacketClass::Tcp } else { envelope.frame.class() };
        let open = connection.tcp || self.path_exists(from, to, envelope.path);
        let packet = Packet {
            from: self.nodes[from].id,
            to: self.nodes[to].id,
            class,
            path: envelope.path,
            bytes: envelope.bytes,
        };
        let verdict = if open { self.judge(&packet) } else { Verdict::Drop };
        match verdict {
            Verdict::Pass => Some(envelope),
            Verdict::Delay(delay) => {
                self.after(delay, Timer::Arrive(envelope));
                None
            }
            Verdict::Refuse if matches!(envelope.frame, Frame::Dial) => {
                self.fail_dial(envelope.to.connection, Refusal::Rule);
                None
            }
            Verdict::Drop | Verdict::Refuse => {
                if envelope.frame.is_reliable() {
                    if let Some(side) = self.side(sender) {
                        side.held.push_back(envelope);
                    }
                    self.schedule_retry(sender);
                }
                None
            }
        }
    }

    fn deliver(&mut self, envelope: Envelope) {
        let to = envelope.to;
        if let Frame::Datagram { from, to, bytes } = envelope.frame {
            return self.deliver_datagram(from, to, bytes);
        }
        let Some(connection) = self.connections.get(&to.connection) else { return };
        let Some(node) = connection.node(to) else { return };
        let tcp = connection.tcp;
        if matches!(envelope.frame, Frame::Dial) {
            return self.receive_dial(to.connection, node);
        }
        let side = &connection.sides[to.index];
        if tcp && (side.is_closed() || side.dead) {
            return self.reset_tcp(to, &envelope.frame);
        }
        if side.dead || !self.nodes[node].up {
            return;
        }
        if let Some(reason) = side.closed_reason() {
            // The peer has missed the end: once more.
            if let (CloseReason::Local, false) = (&reason, matches!(envelope.frame, Frame::Close { .. })) {
                let (code, reason) = side.farewell.clone();
                self.signal(to, Frame::Close { code, reason });
            }
            return;
        }
        let now = self.now;
        if let Some(side) = self.side(to) {
            side.heard = now;
        }
        self.confirm(to);
        self.receive(to, envelope.frame);
    }

    fn receive(&mut self, to: SideId, frame: Frame) {
        match frame {
            Frame::Accept => self.receive_accept(to.connection),
            Frame::Refuse(refusal) => self.fail_dial(to.connection, refusal),
            Frame::Stream { id, offset, bytes, end } => self.receive_stream(to, id, offset, bytes, end),
            Frame::Acknowledge { id } => self.receive_acknowledge(to, id),
            Frame::Reset { id, code, sent } => self.receive_reset(to, id, code, sent),
            Frame::Stop { id, code } => self.receive_stop(to, id, code),
            Frame::MaxStreamData { id, max } => self.receive_max_stream_data(to, id, max),
            Frame::MaxData { max } => self.receive_max_data(to, max),
            Frame::MaxStreams { uni, max } => self.receive_max_streams(to, uni, max),
            Frame::Close { code, reason } => {
                let reason = if self.connections.get(&to.connection).is_some_and(|connection| connection.tcp) {
                    CloseReason::Transport(reason)
                } else {
                    CloseReason::Peer { code, reason }
                };
                self.end(to, reason);
            }
            Frame::Ping => self.signal(to, Frame::Pong),
            Frame::Dial | Frame::Confirm | Frame::Pong | Frame::Datagram { .. } => {}
        }
    }

    /// The last word of the handshake, which anything that comes behind it says, too.
    fn confirm(&mut self, to: SideId) {
        if to.index == 1 && self.side(to).is_some_and(|side| side.status == Status::Handshaking) {
            self.finish_handshake(to.connection);
        }
    }
}
