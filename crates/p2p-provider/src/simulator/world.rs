//! The simulated network as a state machine: events and the time go in, wake-ups and the next deadline come out.
//!
//! Nothing here waits, spawns or asks for the time, and all randomness comes from the seed.

mod connection;
mod dial;
mod link;
mod node;
mod packet;
mod stream;
mod tcp;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    task::Waker,
    time::Duration,
};

pub use self::node::Nat;
use self::{
    connection::Connection,
    link::{Link, LinkId},
    node::Node,
    packet::Envelope,
};
pub(super) use self::{
    connection::SideId,
    dial::{DialStatus, refused},
    node::PeerKey,
    stream::Direction as StreamDirection,
    tcp::PortKey,
};
use super::{
    conditions::Conditions,
    rule::{Judge, Packet, Verdict},
    trace::{Event, Trace},
};
use crate::PeerId;

/// The URL of the one relay that the network may have.
pub(super) const RELAY_URL: &str = "https://relay.sim/";

/// Everything that exists in the network.
pub(super) struct World {
    seed: u64,
    /// Decides where the bytes of packets are cut.
    cuts: fastrand::Rng,
    now: Duration,
    pub(super) trace: Trace,
    pub(super) conditions: Conditions,
    /// Whether there is a relay, at which every peer is registered.
    pub(super) relay: bool,
    /// How long a dial takes to look up its peer before the first packet leaves.
    pub(super) discovery_delay: Duration,
    nodes: Vec<Node>,
    /// Added to 10.0.0.0.
    next_address: u32,
    links: BTreeMap<LinkId, Link>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    rules: BTreeMap<u64, Rule>,
    next_rule: u64,
    timers: BTreeMap<(Duration, u64), Timer>,
    next_timer: u64,
}

/// What happens at a moment to come.
enum Timer {
    /// A dial has looked up its peer.
    Dial(u64),
    /// A packet arrives.
    Arrive(Envelope),
    /// What was written to a stream at this moment leaves.
    Flush(SideId, u64),
    /// A link has sent one packet and takes the next one.
    Depart(LinkId),
    /// What could not arrive is sent again.
    Retry(SideId),
    /// A side says that it lives.
    KeepAlive(SideId),
    /// A side may have been left alone.
    Idle(SideId),
    /// The acceptor of a handshake gives it up.
    HandshakeTimeout(u64),
}

/// A fault in force.
struct Rule {
    name: String,
    effect: Effect,
}

enum Effect {
    Judge(Judge),
    /// The links between the two sides have these conditions.
    Conditions(Vec<PeerId>, Vec<PeerId>, Conditions),
}

/// Keeps a waker, once for each task: somebody who looks again and again still waits only once.
fn remember(wakers: &mut Vec<Waker>, waker: &Waker) {
    if !wakers.iter().any(|known| known.will_wake(waker)) {
        wakers.push(waker.clone());
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            cuts: fastrand::Rng::with_seed(seed ^ 0x5eed),
            now: Duration::ZERO,
            trace: Trace::default(),
            conditions: Conditions::default(),
            relay: false,
            discovery_delay: Duration::ZERO,
            nodes: Vec::new(),
            next_address: 1,
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 1,
            rules: BTreeMap::new(),
            next_rule: 1,
            timers: BTreeMap::new(),
            next_timer: 0,
        }
    }

    /// Sets the time, which never goes back.
    pub(super) fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// When [`run_timers`](Self::run_timers) has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does all that is due.
    pub(super) fn run_timers(&mut self) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            match entry.remove() {
                Timer::Dial(connection) => self.send_dial(connection),
                Timer::Arrive(envelope) => self.arrive(envelope),
                Timer::Flush(side, stream) => self.flush(side, stream),
                Timer::Depart(link) => self.depart(link),
                Timer::Retry(side) => self.retry(side),
                Timer::KeepAlive(side) => self.keep_alive(side),
                Timer::Idle(side) => self.check_idle(side),
                Timer::HandshakeTimeout(connection) => self.give_up_handshake(connection),
            }
        }
    }

    fn after(&mut self, delay: Duration, timer: Timer) {
        self.at(self.now + delay, timer);
    }

    fn at(&mut self, at: Duration, timer: Timer) {
        self.timers.insert((at, self.next_timer), timer);
        self.next_timer += 1;
    }

    // Faults.

    pub(super) fn add_judge(&mut self, name: String, judge: Judge) -> u64 {
        self.add_rule(Rule { name, effect: Effect::Judge(judge) })
    }

    pub(super) fn add_conditions(
        &mut self,
        name: String,
        one: Vec<PeerId>,
        other: Vec<PeerId>,
        conditions: Conditions,
    ) -> u64 {
        self.add_rule(Rule { name, effect: Effect::Conditions(one, other, conditions) })
    }

    fn add_rule(&mut self, rule: Rule) -> u64 {
        let id = self.next_rule;
        self.next_rule += 1;
        self.trace.record(self.now, "-", &Event::FaultBegan(&rule.name));
        self.rules.insert(id, rule);
        id
    }

    pub(super) fn heal(&mut self, rule: u64) {
        if let Some(rule) = self.rules.remove(&rule) {
            self.trace.record(self.now, "-", &Event::FaultEnded(&rule.name));
        }
    }

    fn judge(&mut self, packet: &Packet) -> Verdict {
        for rule in self.rules.values_mut() {
            if let Effect::Judge(judge) = &mut rule.effect {
                let verdict = judge(packet);
                if verdict != Verdict::Pass {
                    return verdict;
                }
            }
        }
        Verdict::Pass
    }

    fn conditions_between(&self, one: usize, other: usize) -> Conditions {
        let (one, other) = (self.nodes[one].id, self.nodes[other].id);
        let applies = |from: &[PeerId], to: &[PeerId]| {
            (from.contains(&one) && to.contains(&other)) || (from.contains(&other) && to.contains(&one))
        };
        let mut newest_first = self.rules.values().rev();
        newest_first
            .find_map(|rule| match &rule.effect {
                Effect::Conditions(from, to, conditions) if applies(from, to) => Some(*conditions),
                _ => None,
            })
            .unwrap_or(self.conditions)
    }

    // What happened.

    pub(super) fn note(&mut self, node: &str, text: &str) {
        self.trace.record(self.now, node, &Event::Note(text));
    }

    fn record(&mut self, node: usize, event: &Event<'_>) {
        self.trace.record(self.now, &self.nodes[node].name, event);
    }

    /// A fresh source of randomness for one part of the network, independent of all others.
    fn random(&self, part: u64) -> fastrand::Rng {
        // Two rounds, so that neighbouring seeds have nothing in common.
        let mut mixed = fastrand::Rng::with_seed(self.seed);
        fastrand::Rng::with_seed(mixed.u64(..) ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}
