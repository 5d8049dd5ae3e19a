//! The network, its nodes and its faults.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use super::{
    conditions::Conditions,
    peer::{SimP2P, SimPeerConfig},
    rule::{Fault, Packet, PacketClass, Verdict},
    shared::Shared,
    socket::SimSocket,
    tcp::{SimTcpListener, SimTcpStream},
    trace::{Event, TraceSummary},
    world::{Nat, World},
};
use crate::{P2PError, PathKind, PeerId};

/// A simulated network. Clones share it.
#[derive(Clone)]
pub struct SimNetwork {
    shared: Arc<Shared>,
}

impl SimNetwork {
    /// An empty network, in which everything that is left to chance follows from `seed`.
    ///
    /// It runs on tokio's clock, in a task of the current runtime. On a runtime as [`run`](super::run) makes it, with a
    /// paused clock, it takes no real time, and runs with the same seed are equal.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { shared: Shared::start(World::new(seed)) }
    }

    /// A new node, whose process runs. The name is for the trace; nodes are numbered by the order of their creation, on
    /// which also their peer ids depend.
    #[must_use]
    pub fn node(&self, name: &str) -> SimNode {
        let index = self.shared.with(|world| world.add_node(name));
        SimNode { shared: Arc::clone(&self.shared), index }
    }

    /// Sets the conditions of all links, from now on. Default: 1 ms one way.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.shared.with(|world| world.conditions = conditions);
    }

    /// Sets whether there is a relay, through which nodes that have no direct path reach each other. Default: no.
    pub fn set_relay(&self, relay: bool) {
        self.shared.with(|world| world.relay = relay);
    }

    /// Sets how long a dial looks for its peer before it sends the first packet. Default: no time.
    pub fn set_discovery_delay(&self, delay: Duration) {
        self.shared.with(|world| world.discovery_delay = delay);
    }

    // Faults.

    /// Lets a rule judge every packet that is about to arrive, until the [`Fault`] is dropped.
    ///
    /// The rule must not use the network itself.
    pub fn rule(&self, name: &str, judge: impl FnMut(&Packet) -> Verdict + Send + 'static) -> Fault {
        let id = self.shared.with(|world| world.add_judge(name.to_owned(), Box::new(judge)));
        Fault::new(&self.shared, id)
    }

    /// Nothing passes between the two sides, whatever the path.
    pub fn partition(&self, one: &[&SimNode], other: &[&SimNode]) -> Fault {
        let (one, other) = (ids(one), ids(other));
        self.rule("partition", move |packet| drop_if(packet.crosses(&one, &other)))
    }

    /// Nothing passes to or from the node.
    pub fn isolate(&self, node: &SimNode) -> Fault {
        let id = node.id();
        self.rule(&format!("{} isolated", node.name()), move |packet| drop_if(packet.from == id || packet.to == id))
    }

    /// Nothing passes between the two sides directly; what can, changes to the relay.
    pub fn block_direct(&self, one: &[&SimNode], other: &[&SimNode]) -> Fault {
        let (one, other) = (ids(one), ids(other));
        self.rule("direct path blocked", move |packet| {
            drop_if(packet.path == PathKind::Direct && packet.crosses(&one, &other))
        })
    }

    /// Nothing passes through the relay.
    pub fn relay_outage(&self) -> Fault {
        self.rule("relay outage", |packet| drop_if(packet.path == PathKind::Relayed))
    }

    /// Between the two sides connections stay alive, but nothing on them moves.
    pub fn stall(&self, one: &[&SimNode], other: &[&SimNode]) -> Fault {
        let (one, other) = (ids(one), ids(other));
        self.rule("stall", move |packet| {
            let moves = matches!(packet.class, PacketClass::Stream | PacketClass::Control | PacketClass::Tcp);
            drop_if(moves && packet.crosses(&one, &other))
        })
    }

    /// Every dial to the node is turned away.
    pub fn refuse_dials(&self, to: &SimNode) -> Fault {
        let id = to.id();
        self.rule(&format!("dials to {} refused", to.name()), move |packet| {
            if packet.class == PacketClass::Handshake && packet.to == id { Verdict::Refuse } else { Verdict::Pass }
        })
    }

    /// Every dial to the node goes unanswered.
    pub fn ignore_dials(&self, to: &SimNode) -> Fault {
        let id = to.id();
        self.rule(&format!("dials to {} ignored", to.name()), move |packet| {
            drop_if(packet.class == PacketClass::Handshake && packet.to == id)
        })
    }

    /// The links between the two sides have these conditions instead of the network's. The newest such fault counts.
    pub fn degrade(&self, one: &[&SimNode], other: &[&SimNode], conditions: Conditions) -> Fault {
        let (one, other) = (ids(one), ids(other));
        let name = "links changed".to_owned();
        let id = self.shared.with(|world| world.add_conditions(name, one, other, conditions));
        Fault::new(&self.shared, id)
    }

    // What happened.

    /// Keeps the text of the trace from now on, which otherwise is only hashed.
    pub fn keep_trace(&self) {
        self.shared.with(|world| world.trace.keep_text());
    }

    /// Adds a line of the user's to the trace.
    pub fn note(&self, node: &str, text: &str) {
        self.shared.with(|world| world.note(node, text));
    }

    /// Shows every event to `observer`, with its time and the name of its node, while it happens.
    ///
    /// The observer must not use the network.
    pub fn observe(&self, observer: impl FnMut(Duration, &str, &Event<'_>) + Send + 'static) {
        self.shared.with(|world| world.trace.observe(Box::new(observer)));
    }

    /// What is open at this moment.
    #[must_use]
    pub fn usage(&self) -> SimUsage {
        self.shared.with(|world| world.usage())
    }

    /// The trace so far.
    #[must_use]
    pub fn trace(&self) -> TraceSummary {
        self.shared.with(|world| world.trace.summary())
    }
}

/// What is open in a network at a moment, apart from TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimUsage {
    /// Connections of which at least one side is open.
    pub connections: usize,
    /// Streams that have not ended, on every side that knows them.
    pub streams: usize,
    /// Bytes that wait to be read.
    pub unread_bytes: u64,
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimNetwork")
    }
}

fn ids(nodes: &[&SimNode]) -> Vec<PeerId> {
    nodes.iter().map(|node| node.id()).collect()
}

const fn drop_if(condition: bool) -> Verdict {
    if condition { Verdict::Drop } else { Verdict::Pass }
}

/// A machine in the network. Clones share it.
#[derive(Clone)]
pub struct SimNode {
    shared: Arc<Shared>,
    index: usize,
}

impl SimNode {
    /// The name in the trace.
    #[must_use]
    pub fn name(&self) -> String {
        self.shared.with(|world| world.node_name(self.index).to_owned())
    }

    /// The id of the peer that runs on it: a function of the network's seed and the node's number.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.shared.with(|world| world.node_id(self.index))
    }

    /// The address of a port on this node, as long as it does not move.
    #[must_use]
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.shared.with(|world| world.node_ip(self.index)), port))
    }

    /// Starts the peer of this node. A node has one at a time; the next one may start once it is closed.
    pub fn peer(&self, config: SimPeerConfig) -> Result<SimP2P, P2PError> {
        config.check()?;
        let key = self.shared.with(|world| world.open_peer(self.index, config))?;
        Ok(SimP2P::new(Arc::clone(&self.shared), key))
    }

    /// Sets how the node can be reached, from now on. Default: directly.
    pub fn set_nat(&self, nat: Nat) {
        self.shared.with(|world| world.set_nat(self.index, nat));
    }

    /// Ends the node's process, as SIGKILL does. Peers are not told; TCP connections are reset by the node's system.
    ///
    /// What belonged to the process only reports errors from now on; the caller drops it.
    pub fn crash(&self) {
        self.shared.with(|world| world.crash(self.index));
    }

    /// Starts the process of a node that has crashed: same id, same address, nothing running.
    pub fn start(&self) {
        self.shared.with(|world| world.start(self.index, false));
    }

    /// As [`start`](Self::start), at an address that nobody had before. Also moves a node that runs.
    pub fn start_elsewhere(&self) {
        self.shared.with(|world| world.start(self.index, true));
    }

    /// Listens for byte streams on a port of this node.
    pub fn listen_tcp(&self, port: u16) -> std::io::Result<SimTcpListener> {
        let key = self.shared.with(|world| world.listen_tcp(self.index, port))?;
        Ok(SimTcpListener::new(Arc::clone(&self.shared), key))
    }

    /// Opens a byte stream to a listener. As with TCP, an address at which nobody is answers never; a node without a
    /// listener refuses. Dropping the future gives it up.
    pub async fn connect_tcp(&self, to: SocketAddr) -> std::io::Result<SimTcpStream> {
        SimTcpStream::connect(Arc::clone(&self.shared), self.index, to).await
    }

    /// Opens a socket for datagrams on a port of this node.
    pub fn socket(&self, port: u16) -> std::io::Result<SimSocket> {
        SimSocket::open(Arc::clone(&self.shared), self.index, port)
    }
}

impl fmt::Debug for SimNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimNode({})", self.index)
    }
}
