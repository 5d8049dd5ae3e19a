//! Faults: rules that see every packet, until they are dropped.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use super::shared::Shared;
use crate::{PathKind, PeerId};

/// What a rule sees of a packet that is about to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// Who sent it.
    pub from: PeerId,
    /// Whom it is for.
    pub to: PeerId,
    /// What it is.
    pub class: PacketClass,
    /// The path that it takes.
    pub path: PathKind,
    /// Bytes of content.
    pub bytes: usize,
}

impl Packet {
    /// Whether it goes from a peer of the one side to a peer of the other, in either direction.
    #[must_use]
    pub fn crosses(&self, one: &[PeerId], other: &[PeerId]) -> bool {
        (one.contains(&self.from) && other.contains(&self.to)) || (one.contains(&self.to) && other.contains(&self.from))
    }
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketClass {
    /// Part of making a connection.
    Handshake,
    /// Bytes of a stream, or its end.
    Stream,
    /// Windows, limits, resets and stops.
    Control,
    /// A sign of life, or a close. Not sent again when lost.
    KeepAlive,
    /// A datagram of a [`SimSocket`](super::SimSocket). Not sent again when lost.
    Datagram,
    /// Anything of a [`SimTcpStream`](super::SimTcpStream).
    Tcp,
}

/// What a rule says about a packet. The first rule that does not let it pass decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives, as far as this rule is concerned.
    Pass,
    /// It arrives so much later, and is judged again then.
    Delay(Duration),
    /// It is lost. What is reliable is sent again until it passes, or the connection ends.
    Drop,
    /// As a handshake, it is turned away, and the dialler is told at once; anything else is lost.
    Refuse,
}

pub(super) type Judge = Box<dyn FnMut(&Packet) -> Verdict + Send>;

/// A rule that is in force. Dropping it heals the fault.
#[must_use = "a fault that is dropped is healed"]
pub struct Fault {
    network: Weak<Shared>,
    id: u64,
}

impl Fault {
    pub(super) fn new(network: &Arc<Shared>, id: u64) -> Self {
        Self { network: Arc::downgrade(network), id }
    }

    /// The same as dropping it.
    pub fn heal(self) {}

    /// Leaves the rule in force until the network ends.
    pub fn forever(mut self) {
        self.network = Weak::new();
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if let Some(network) = self.network.upgrade() {
            network.with(|world| world.heal(self.id));
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({})", self.id)
    }
}
