//! What happens to a packet between two nodes: it waits for bandwidth, travels, and may be lost on the way.

use super::{BTreeMap, Duration, Envelope, Timer, VecDeque, World};
use crate::{PathKind, simulator::conditions::Conditions};

/// From one node to another.
pub(super) type LinkId = (usize, usize);

/// The size of a packet on the wire, in bytes: what loss counts.
const PACKET_BYTES: usize = 1200;

/// A lost packet is sent again at most so often in a row, so that even a loss of 1 ends.
const LOSSES_MAX: u32 = 10;

/// Datagrams that wait for bandwidth on a link; further ones are lost, as in the buffer of a router.
const DATAGRAMS_MAX: usize = 256;

/// One direction of a link.
pub(super) struct Link {
    random: fastrand::Rng,
    /// What waits for bandwidth, by turn.
    queues: BTreeMap<Lane, VecDeque<Envelope>>,
    busy: bool,
    last_lane: Option<Lane>,
}

/// What waits in one queue: the connection, and the stream within it.
pub(super) type Lane = (u64, u64);

impl World {
    /// Hands a packet to the link between its nodes.
    pub(super) fn transmit(&mut self, link: LinkId, envelope: Envelope) {
        let conditions = self.conditions_between(link.0, link.1);
        if conditions.bandwidth.is_none() || !envelope.frame.waits_for_bandwidth() {
            self.travel(link, envelope, conditions);
            return;
        }
        let lane = envelope.lane();
        let entry = self.link(link);
        let queue = entry.queues.entry(lane).or_default();
        if envelope.frame.is_datagram() && queue.len() >= DATAGRAMS_MAX {
            return;
        }
        queue.push_back(envelope);
        if !entry.busy {
            self.depart(link);
        }
    }

    /// Takes the next packet from the queues of a link, in turns.
    pub(super) fn depart(&mut self, id: LinkId) {
        let conditions = self.conditions_between(id.0, id.1);
        let link = self.link(id);
        link.busy = false;
        let after_last = link.last_lane.map(|last| (last.0, last.1.saturating_add(1)));
        let next = after_last.and_then(|from| link.queues.range(from..).next()).or_else(|| link.queues.iter().next());
        let Some((&lane, _)) = next else { return };
        let queue = link.queues.entry(lane).or_default();
        let Some(envelope) = queue.pop_front() else { return };
        if queue.is_empty() {
            link.queues.remove(&lane);
        }
        link.busy = true;
        link.last_lane = Some(lane);
        let nanos = conditions.bandwidth.map_or(0, |rate| envelope.wire_bytes() * 1_000_000_000 / rate.max(1));
        self.travel(id, envelope, conditions);
        self.after(Duration::from_nanos(nanos), Timer::Depart(id));
    }

    /// Takes back what waits of a stream.
    pub(super) fn recall(&mut self, id: LinkId, lane: Lane) {
        if let Some(link) = self.links.get_mut(&id) {
            link.queues.remove(&lane);
        }
    }

    /// Forgets a connection.
    pub(super) fn forget_lanes(&mut self, id: LinkId, connection: u64) {
        if let Some(link) = self.links.get_mut(&id) {
            link.queues.retain(|lane, _| lane.0 != connection);
        }
    }

    fn travel(&mut self, id: LinkId, envelope: Envelope, conditions: Conditions) {
        let hops = if envelope.path == PathKind::Relayed { 2 } else { 1 };
        let link = self.link(id);
        let jitter = conditions.jitter.mul_f64(link.random.f64());
        let mut delay = conditions.latency * hops + jitter;
        if conditions.reorder > 0.0 && link.random.f64() < conditions.reorder {
            delay += conditions.latency;
        }
        if conditions.loss > 0.0 {
            let packets = i32::try_from(envelope.bytes.div_ceil(PACKET_BYTES).max(1)).unwrap_or(i32::MAX);
            let loss = 1.0 - (1.0 - conditions.loss).powi(packets);
            let mut losses = 0;
            while losses < LOSSES_MAX && link.random.f64() < loss {
                if !envelope.frame.is_reliable() {
                    return;
                }
                delay += conditions.retransmission_timeout();
                losses += 1;
            }
        }
        self.after(delay, Timer::Arrive(envelope));
    }

    fn link(&mut self, id: LinkId) -> &mut Link {
        if !self.links.contains_key(&id) {
            let random = self.random(1 << 32 | (id.0 as u64) << 16 | id.1 as u64);
            let link = Link { random, queues: BTreeMap::new(), busy: false, last_lane: None };
            self.links.insert(id, link);
        }
        self.links.get_mut(&id).expect("it is there")
    }

    /// The smoothed round-trip time between two nodes.
    pub(super) fn round_trip(&self, one: usize, other: usize, path: PathKind) -> Duration {
        let conditions = self.conditions_between(one, other);
        let hops = if path == PathKind::Relayed { 2 } else { 1 };
        conditions.latency * (2 * hops) + conditions.jitter
    }
}
