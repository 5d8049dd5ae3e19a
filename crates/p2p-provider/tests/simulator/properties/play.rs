//! Takes the steps, and compares what can be seen with the model.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures::{FutureExt, StreamExt, future::AbortHandle, stream::FuturesUnordered};
use p2p_provider::{
    ConnectionConfig, ConnectionInfo, ConnectionLimits, ConnectionState, P2PConnection, P2PError, P2PListener,
    P2PProvider, PeerAddr,
    simulator::{Conditions, Fault, SimNetwork, SimNode, SimP2P, SimUsage, TraceSummary, run},
};
use tokio::time::{sleep, timeout};

use super::{
    model::SideKey,
    panics,
    shared::{Op, Shared, pick},
    step::{Setup, Slot, Step, Timed},
};
use crate::support::PROTOCOL;

/// No run takes longer, in virtual time, unless it hangs.
const LIMIT: Duration = Duration::from_hours(2);

/// After this, in calm weather, everything that is lost is known to be lost.
const CALM: Duration = Duration::from_secs(20);

/// At rest everything gets through narrow limits, unless something of them was lost.
const AT_REST: ConnectionLimits = ConnectionLimits { bidi_streams: 4, uni_streams: 4, receive_window: 8 << 10 };

/// What is written at rest, enough to need all that was ever consumed; but a narrow stream takes a round trip for each window.
const WRITTEN_AT_REST: u32 = 300_000;
const WINDOWS_AT_REST: u64 = 10_000;

/// So often all streams are ended, that others may be opened.
const ROUNDS: u32 = 40;

/// What came of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) violations: Vec<String>,
    pub(super) trace: TraceSummary,
}

/// Takes all steps in a new network, then lets it come to rest.
pub(super) fn play(setup: &Setup, steps: &[Timed]) -> Outcome {
    panics::collect();
    let mut outcome = run(setup.seed, async |network| {
        let play = Play::new(&network, setup).await;
        let shared = Rc::clone(&play.shared);
        if timeout(LIMIT, play.all(steps)).await.is_err() {
            shared.borrow_mut().model.violate(format!("not at its end after {LIMIT:?}"));
        }
        let violations = shared.borrow_mut().model.take_violations();
        Outcome { violations, trace: network.trace() }
    });
    outcome.violations.extend(panics::take().into_iter().map(|panic| format!("panic: {panic}")));
    outcome
}

struct Play {
    network: SimNetwork,
    setup: Setup,
    nodes: Vec<Machine>,
    faults: Vec<Fault>,
    shared: Rc<RefCell<Shared>>,
    ops: FuturesUnordered<Op>,
}

/// A node and what runs on it.
struct Machine {
    node: SimNode,
    peer: Option<SimP2P>,
    /// How many peers it had.
    life: u32,
    address: PeerAddr,
    listening: Option<AbortHandle>,
}

impl Play {
    async fn new(network: &SimNetwork, setup: &Setup) -> Self {
        network.set_conditions(setup.conditions);
        let nodes = (0..setup.nodes).map(|index| {
            let node = network.node(&format!("n{index}"));
            let peer = node.peer(setup.peer_config()).expect("a new node has no peer");
            let address = peer.local_addr();
            Machine { node, peer: Some(peer), life: 1, address, listening: None }
        });
        let mut this = Self {
            network: network.clone(),
            setup: setup.clone(),
            nodes: nodes.collect(),
            faults: Vec::new(),
            shared: Rc::default(),
            ops: FuturesUnordered::new(),
        };
        this.shared.borrow_mut().model.troubled = setup.conditions.loss > 0.0;
        for node in 0..setup.nodes {
            this.listen(node);
        }
        this.connect(0, 1, Duration::from_secs(5));
        this.pass(Duration::from_millis(10)).await;
        this
    }

    async fn all(mut self, steps: &[Timed]) {
        for Timed { step, pause } in steps {
            self.step(step);
            let asleep = if let Step::Sleep { time } = step { *time } else { Duration::ZERO };
            self.pass(asleep + *pause).await;
        }
        self.rest().await;
        self.leave().await;
    }

    // Time.

    /// Lets time pass, in which operations go on.
    async fn pass(&mut self, time: Duration) {
        {
            let mut end = std::pin::pin!(sleep(time));
            loop {
                self.ops.extend(self.shared.borrow_mut().begun.drain(..));
                tokio::select! {
                    biased;
                    Some(()) = self.ops.next() => {}
                    () = &mut end => break,
                }
            }
        }
        self.settle();
        self.look();
    }

    /// Lets operations go on for which no time must pass.
    fn settle(&mut self) {
        loop {
            self.ops.extend(self.shared.borrow_mut().begun.drain(..));
            if !matches!(self.ops.next().now_or_never(), Some(Some(()))) {
                return;
            }
        }
    }

    /// Compares what can be seen from outside.
    fn look(&self) {
        let mut state = self.shared.borrow_mut();
        state.observe();
        for (index, machine) in self.nodes.iter().enumerate() {
            let Some(peer) = &machine.peer else { continue };
            let listed = peer.connections();
            let (dialling, open): (Vec<&ConnectionInfo>, Vec<_>) =
                listed.iter().partition(|info| info.state == ConnectionState::Connecting);
            let expected = state.dialling.get(&(index, machine.life)).copied().unwrap_or_default();
            if dialling.len() != expected {
                let text = format!("n{index} lists {} dials instead of {expected}: {listed:?}", dialling.len());
                state.model.violate(text);
            }
            let open: Vec<_> = open.iter().map(|info| (info.id, info.peer.id, info.direction)).collect();
            let sides = state.sides.iter().filter(|side| (side.node, side.life) == (index, machine.life));
            let held: Vec<_> =
                sides.filter(|side| side.reason.is_none()).map(|side| (side.id, side.peer, side.direction)).collect();
            if open != held {
                state.model.violate(format!("n{index} lists {open:?} instead of {held:?}"));
            }
        }
    }

    // Steps.

    #[expect(clippy::too_many_lines, reason = "one arm per step")]
    fn step(&mut self, step: &Step) {
        let shared = Rc::clone(&self.shared);
        let mut state = shared.borrow_mut();
        state.observe();
        match *step {
            Step::Connect { from, to, timeout } => {
                drop(state);
                self.connect(self.node(from), self.node(to), timeout);
            }
            Step::Listen { node } => {
                drop(state);
                self.listen(self.node(node));
            }
            Step::DropListener { node } => {
                let node = self.node(node);
                if let Some(listening) = self.nodes[node].listening.take() {
                    listening.abort();
                }
            }
            Step::Open { connection, uni } => {
                if let Some(index) = pick(&state.sides, connection) {
                    state.open_stream(&shared, index, uni);
                }
            }
            Step::CancelOpen { connection } => {
                if let Some(index) = pick(&state.sides, connection)
                    && let Some((opening, _)) = state.sides[index].opening.pop()
                {
                    opening.abort();
                }
            }
            Step::Write { send, bytes, chunks } => {
                if let Some(index) = pick(&state.sends, send) {
                    state.write(&shared, index, bytes, chunks);
                }
            }
            Step::Finish { send } => {
                if let Some(index) = pick(&state.sends, send) {
                    state.finish(index);
                }
            }
            Step::Reset { send, code } => {
                if let Some(index) = pick(&state.sends, send) {
                    state.reset(index, code.into());
                }
            }
            Step::DropSend { send } => {
                if let Some(index) = pick(&state.sends, send) {
                    state.drop_send(index);
                }
            }
            Step::Read { recv, chunks } => {
                if let Some(index) = pick(&state.recvs, recv) {
                    state.read(&shared, index, chunks, false);
                }
            }
            Step::ReadToEnd { recv } => {
                if let Some(index) = pick(&state.recvs, recv) {
                    state.read(&shared, index, 16, true);
                }
            }
            Step::CancelRead { recv } => {
                if let Some(index) = pick(&state.recvs, recv) {
                    state.cancel_read(index);
                }
            }
            Step::Stop { recv, code } => {
                if let Some(index) = pick(&state.recvs, recv) {
                    state.stop(index, code.into());
                }
            }
            Step::DropRecv { recv } => {
                if let Some(index) = pick(&state.recvs, recv) {
                    state.drop_recv(index);
                }
            }
            Step::SetLimits { connection, limits } => {
                if let Some(index) = pick(&state.sides, connection)
                    && let Some(handle) = &state.sides[index].handle
                {
                    handle.set_limits(limits);
                }
            }
            Step::Close { connection, code } => {
                if let Some(index) = pick(&state.sides, connection)
                    && let Some(handle) = state.sides[index].handle.clone()
                {
                    let key = state.sides[index].key;
                    state.model.farewell(key, code.into(), "closed by a step");
                    handle.close(code.into(), "closed by a step");
                }
            }
            Step::DropConnection { connection } => {
                if let Some(index) = pick(&state.sides, connection) {
                    state.drop_connection(index);
                }
            }
            Step::Disconnect { node, peer, code } => {
                let (node, peer) = (self.node(node), self.node(peer));
                let (machine, peer) = (&self.nodes[node], self.nodes[peer].node.id());
                let Some(provider) = &machine.peer else { return };
                let sides = state.sides.iter().filter(|side| (side.node, side.life) == (node, machine.life));
                let keys = sides.filter(|side| side.reason.is_none() && side.peer == peer).map(|side| side.key);
                let keys: Vec<SideKey> = keys.collect();
                for key in &keys {
                    state.model.farewell(*key, code.into(), "disconnected");
                }
                let count = provider.disconnect(peer, code.into(), "disconnected");
                if count != keys.len() {
                    state.model.violate(format!("n{node} has closed {count} connections instead of {}", keys.len()));
                }
            }
            Step::ClosePeer { node } => {
                let node = self.node(node);
                state.end_of(node, self.nodes[node].life, false);
                if let Some(peer) = &self.nodes[node].peer {
                    peer.close().now_or_never().expect("nothing to wait for");
                }
                self.silence(node);
            }
            Step::Crash { node } => {
                let node = self.node(node);
                state.model.troubled = true;
                state.end_of(node, self.nodes[node].life, true);
                self.nodes[node].node.crash();
                self.silence(node);
            }
            Step::Start { node } => {
                let node = self.node(node);
                drop(state);
                self.start(node);
                self.listen(node);
            }
            Step::Partition { one, other } => {
                state.model.troubled = true;
                let fault = self.network.partition(&[self.sim(one)], &[self.sim(other)]);
                self.faults.push(fault);
            }
            Step::Isolate { node } => {
                state.model.troubled = true;
                self.faults.push(self.network.isolate(self.sim(node)));
            }
            Step::Stall { one, other } => {
                state.model.troubled = true;
                let fault = self.network.stall(&[self.sim(one)], &[self.sim(other)]);
                self.faults.push(fault);
            }
            Step::Degrade { one, other, conditions } => {
                state.model.troubled = true;
                let fault = self.network.degrade(&[self.sim(one)], &[self.sim(other)], conditions);
                self.faults.push(fault);
            }
            Step::Heal { fault } => {
                if let Some(index) = pick(&self.faults, fault) {
                    self.faults.swap_remove(index).heal();
                }
            }
            Step::Sleep { .. } => {}
        }
    }

    fn node(&self, slot: Slot) -> usize {
        usize::from(slot) % self.nodes.len()
    }

    fn sim(&self, slot: Slot) -> &SimNode {
        &self.nodes[self.node(slot)].node
    }

    /// Nothing of the node's peer is of use any more.
    fn silence(&mut self, node: usize) {
        self.nodes[node].peer = None;
        if let Some(listening) = self.nodes[node].listening.take() {
            listening.abort();
        }
    }

    fn start(&mut self, node: usize) {
        self.settle();
        let machine = &mut self.nodes[node];
        if machine.peer.is_some() {
            return;
        }
        machine.node.start();
        match machine.node.peer(self.setup.peer_config()) {
            Ok(peer) => {
                machine.peer = Some(peer);
                machine.life += 1;
            }
            Err(error) => self.shared.borrow_mut().model.violate(format!("n{node} does not start: {error}")),
        }
    }

    fn connect(&mut self, from: usize, to: usize, patience: Duration) {
        let machine = &self.nodes[from];
        let Some(peer) = machine.peer.clone().filter(|_| from != to) else { return };
        let (address, wanted) = (self.nodes[to].address.clone(), self.nodes[to].node.id());
        let (at, shared) = ((from, machine.life), Rc::clone(&self.shared));
        let config = ConnectionConfig::new(PROTOCOL).connect_timeout(patience);
        let mut state = self.shared.borrow_mut();
        *state.dialling.entry(at).or_default() += 1;
        state.begin(async move {
            let start = tokio::time::Instant::now();
            let result = peer.connect(&address, &config).await;
            let mut state = shared.borrow_mut();
            *state.dialling.entry(at).or_default() -= 1;
            if start.elapsed() > patience + Duration::from_millis(1) {
                state.model.violate(format!("a dial took {:?} instead of {patience:?}", start.elapsed()));
            }
            match result {
                Ok(connection) => {
                    if connection.peer_info().id != wanted {
                        state.model.violate(format!("another peer answers: {:?}", connection.peer_info()));
                    }
                    state.add_side(&shared, connection, at, false);
                }
                Err(P2PError::ConnectTimeout { .. } | P2PError::Connect { .. } | P2PError::Closed) => {}
                Err(error) => state.model.violate(format!("a dial fails: {error}")),
            }
        });
    }

    fn listen(&mut self, node: usize) {
        // A listener that was dropped is gone.
        self.settle();
        let machine = &mut self.nodes[node];
        let Some(peer) = &machine.peer else { return };
        let listener = peer.listen(&[PROTOCOL]).now_or_never().expect("nothing to wait for");
        let mut state = self.shared.borrow_mut();
        match listener {
            Ok(mut listener) => {
                if machine.listening.is_some() {
                    state.model.violate(format!("n{node} has two listeners"));
                }
                let (at, shared) = ((node, machine.life), Rc::clone(&self.shared));
                machine.listening = Some(state.begin(async move {
                    while let Some(connection) = listener.accept().await {
                        shared.borrow_mut().add_side(&shared, connection, at, true);
                        // Its own operations begin before the next one is accepted.
                        tokio::task::yield_now().await;
                    }
                }));
            }
            Err(P2PError::AlreadyListening) if machine.listening.is_some() => {}
            Err(error) => state.model.violate(format!("n{node} does not listen: {error}")),
        }
    }

    // The end.

    /// In calm weather: what is lost is lost on both sides, and everything else arrives.
    async fn rest(&mut self) {
        self.network.note("test", "rest");
        self.faults.clear();
        self.network.set_conditions(Conditions::default());
        self.pass(CALM).await;
        self.both_sides_agree();
        {
            let shared = Rc::clone(&self.shared);
            let mut state = shared.borrow_mut();
            for index in 0..state.sides.len() {
                if let Some(handle) = &state.sides[index].handle {
                    handle.set_limits(AT_REST);
                }
                state.open_stream(&shared, index, true);
            }
        }
        let windows = u32::try_from(WINDOWS_AT_REST * self.setup.stream_receive_window).unwrap_or(u32::MAX);
        let before = self.shared.borrow().sends.len();
        self.pass(CALM / 4).await;
        {
            let shared = Rc::clone(&self.shared);
            let mut state = shared.borrow_mut();
            for index in before..state.sends.len() {
                state.write(&shared, index, WRITTEN_AT_REST.min(windows), 1);
            }
        }
        // Writers that wait go on once others have ended.
        for _ in 0..ROUNDS {
            self.finish_all();
            self.pass(CALM / 4).await;
        }
        let mut state = self.shared.borrow_mut();
        let state = &mut *state;
        // Who has let a connection go accepts no streams, and they keep its windows.
        let whole = |connection: u64| {
            let held = state.sides.iter().filter(|side| side.key.0 == connection && side.handle.is_some());
            held.count() == 2 && state.model.is_open(connection)
        };
        let mut stuck = Vec::new();
        for receiving in state.recvs.iter().filter(|receiving| whole(receiving.pipe.writer.0)) {
            if receiving.reading.is_some() && !state.model.may_wait(receiving.pipe) {
                stuck.push(format!("the reader of {:?} waits for ever", receiving.pipe));
            }
        }
        for sending in state.sends.iter().filter(|sending| whole(sending.pipe.writer.0)) {
            if sending.half.is_none() {
                stuck.push(format!("the writer of {:?} waits for ever", sending.pipe));
            }
        }
        for side in state.sides.iter().filter(|side| whole(side.key.0)) {
            if side.opening.iter().any(|(_, under_way)| Rc::strong_count(under_way) > 1) {
                stuck.push(format!("{:?} waits for ever to open a stream", side.key));
            }
        }
        for what in stuck {
            state.model.violate(what);
        }
    }

    fn both_sides_agree(&self) {
        let mut state = self.shared.borrow_mut();
        let state = &mut *state;
        for side in &state.sides {
            let other = (side.key.0, 1 - side.key.1);
            if side.reason.is_none() && state.model.is_closed(other) {
                state.model.violate(format!("{:?} is open, but the other side is not", side.key));
            }
        }
    }

    fn finish_all(&self) {
        let mut state = self.shared.borrow_mut();
        state.observe();
        for index in 0..state.sends.len() {
            state.finish(index);
        }
        for index in 0..state.recvs.len() {
            state.read(&self.shared, index, 16, true);
        }
    }

    /// Everybody lets everything go: nothing is left over.
    async fn leave(&mut self) {
        self.network.note("test", "leave");
        {
            let mut state = self.shared.borrow_mut();
            while !state.sends.is_empty() {
                state.drop_send(0);
            }
            while !state.recvs.is_empty() {
                state.drop_recv(0);
            }
            for index in 0..state.sides.len() {
                state.drop_connection(index);
            }
        }
        self.pass(CALM).await;
        let usage = self.network.usage();
        if usage != SimUsage::default() {
            self.shared.borrow_mut().model.violate(format!("left over: {usage:?}"));
        }
    }
}
