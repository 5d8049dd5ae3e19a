//! One direction of a link, as a state machine: it is told the time, counted from the link's start, and moves no bytes itself.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use super::{chance::Chance, conditions::Conditions, counters::Counters, loss::LossProcess};

/// A packet.
pub(crate) type Packet = Vec<u8>;

/// Loss, then the bottleneck with its queue, then the way.
#[derive(Debug)]
pub(crate) struct Direction {
    conditions: Conditions,
    losses: Chance,
    jitters: Chance,
    process: LossProcess,
    /// The number of the next packet.
    index: u64,
    /// Before and in the bottleneck.
    queue: VecDeque<Queued>,
    queue_bytes: u64,
    /// When the bottleneck has sent, or will have sent, the packet before the first in the queue.
    free_at: Duration,
    travelling: BinaryHeap<Reverse<Travelling>>,
    /// When the packet before is due.
    last_due: Duration,
    pub(crate) counters: Counters,
}

#[derive(Debug)]
struct Queued {
    arrived: Duration,
    index: u64,
    packet: Packet,
}

/// Ordered by the moment, then by the number: equal moments keep their order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Travelling {
    due: Duration,
    index: u64,
    packet: Packet,
}

impl Direction {
    /// Empty. `stream` tells the directions of a link apart.
    pub(crate) fn new(conditions: Conditions, seed: u64, stream: u64) -> Self {
        Self {
            conditions,
            losses: Chance::new(seed, stream * 2),
            jitters: Chance::new(seed, stream * 2 + 1),
            process: LossProcess::default(),
            index: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            free_at: Duration::ZERO,
            travelling: BinaryHeap::new(),
            last_due: Duration::ZERO,
            counters: Counters::default(),
        }
    }

    /// A packet arrives.
    pub(crate) fn arrive(&mut self, now: Duration, packet: Packet) {
        self.counters.packets += 1;
        let index = self.index;
        self.index += 1;
        // Asked for every packet, so that its fate does not depend on what else happened.
        let lost = self.process.loses(self.conditions.loss, self.losses, index);
        if self.conditions.blackout {
            self.counters.swallowed += 1;
            return;
        }
        if lost {
            self.counters.lost += 1;
            return;
        }
        self.serve(now);
        let bytes = packet.len() as u64;
        if !self.queue.is_empty() && self.queue_bytes.saturating_add(bytes) > self.conditions.queue_bytes {
            self.counters.dropped += 1;
            return;
        }
        self.queue_bytes += bytes;
        self.counters.queue_bytes_max = self.counters.queue_bytes_max.max(self.queue_bytes);
        self.queue.push_back(Queued { arrived: now, index, packet });
        self.serve(now);
    }

    /// The next packet that is due, and when it was.
    pub(crate) fn depart(&mut self, now: Duration) -> Option<(Duration, Packet)> {
        self.serve(now);
        if self.travelling.peek().is_none_or(|Reverse(first)| first.due > now) {
            return None;
        }
        self.travelling.pop().map(|Reverse(first)| (first.due, first.packet))
    }

    /// When something is due next, as far as is known.
    pub(crate) fn next(&self) -> Option<Duration> {
        let travelling = self.travelling.peek().map(|Reverse(first)| first.due);
        let queued = self.queue.front().map(|first| self.sent_at(first) + self.conditions.delay);
        travelling.into_iter().chain(queued).min()
    }

    /// Changes the conditions from now on. What waits at the bottleneck leaves it at the new rate.
    pub(crate) fn change(&mut self, now: Duration, conditions: Conditions) {
        self.serve(now);
        if !self.queue.is_empty() {
            // The packet that is being sent begins again: the error is less than one packet.
            self.free_at = now;
        }
        self.conditions = conditions;
        self.serve(now);
    }

    /// Moves on what the bottleneck has sent until now.
    fn serve(&mut self, now: Duration) {
        while let Some(first) = self.queue.front() {
            let sent_at = self.sent_at(first);
            if sent_at > now {
                return;
            }
            self.free_at = sent_at;
            let Some(Queued { index, packet, .. }) = self.queue.pop_front() else { return };
            self.queue_bytes -= packet.len() as u64;
            self.travel(sent_at, index, packet);
        }
    }

    /// When the bottleneck will have sent the first in its queue.
    fn sent_at(&self, first: &Queued) -> Duration {
        self.free_at.max(first.arrived) + self.conditions.transmission(first.packet.len())
    }

    fn travel(&mut self, sent_at: Duration, index: u64, packet: Packet) {
        let jitter = self.conditions.jitter;
        let mut due = sent_at + self.conditions.delay;
        if !jitter.most.is_zero() {
            due += jitter.most.mul_f64(self.jitters.at(index));
        }
        if !jitter.reorders {
            due = due.max(self.last_due);
        }
        self.last_due = due;
        self.travelling.push(Reverse(Travelling { due, index, packet }));
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{conditions::Jitter, loss::Loss},
        *,
    };

    const MS: Duration = Duration::from_millis(1);

    /// 1,000 bytes are a millisecond.
    fn limited(queue_bytes: u64) -> Conditions {
        Conditions { bits_per_second: Some(8_000_000), queue_bytes, ..Conditions::delayed(MS * 40) }
    }

    fn direction(conditions: Conditions) -> Direction {
        Direction::new(conditions, 1, 0)
    }

    fn packet(number: u8) -> Packet {
        let mut packet = vec![0; 1000];
        packet[0] = number;
        packet
    }

    /// All that leaves until then: when it was due, and its number.
    fn departures(direction: &mut Direction, until: Duration) -> Vec<(Duration, u8)> {
        std::iter::from_fn(|| direction.depart(until)).map(|(due, packet)| (due, packet[0])).collect()
    }

    #[test]
    fn the_bottleneck_spaces_packets_and_the_way_delays_them() {
        let mut direction = direction(limited(u64::MAX));
        for number in 0..3 {
            direction.arrive(MS * 10, packet(number));
        }
        assert_eq!(direction.next(), Some(MS * 51));
        assert_eq!(departures(&mut direction, MS * 51), [(MS * 51, 0)]);
        assert_eq!(direction.next(), Some(MS * 52));
        // An idle bottleneck saves nothing up.
        direction.arrive(MS * 30, packet(3));
        assert_eq!(departures(&mut direction, MS * 100), [(MS * 52, 1), (MS * 53, 2), (MS * 71, 3)]);
        assert_eq!(direction.next(), None);
    }

    #[test]
    fn a_full_queue_drops_what_comes_last() {
        let mut direction = direction(limited(3000));
        for number in 0..5 {
            direction.arrive(Duration::ZERO, packet(number));
        }
        assert_eq!((direction.counters.dropped, direction.counters.queue_bytes_max), (2, 3000));
        // One has been sent: there is place for one.
        direction.arrive(MS, packet(5));
        direction.arrive(MS, packet(6));
        assert_eq!(direction.counters.dropped, 3);
        let numbers: Vec<_> = departures(&mut direction, MS * 100).into_iter().map(|(_, number)| number).collect();
        assert_eq!(numbers, [0, 1, 2, 5]);
        assert!((direction.counters.dropped_percent() - 300.0 / 7.0).abs() < 1e-9);
    }

    #[test]
    fn an_idle_bottleneck_takes_a_packet_that_is_larger_than_its_queue() {
        let mut direction = direction(limited(10));
        direction.arrive(Duration::ZERO, packet(0));
        assert_eq!(departures(&mut direction, MS * 100).len(), 1);
    }

    #[test]
    fn what_waits_leaves_at_the_new_rate() {
        let mut direction = direction(limited(u64::MAX));
        for number in 0..4 {
            direction.arrive(Duration::ZERO, packet(number));
        }
        // The first has been sent; the rest takes 10 ms each.
        let slow = Conditions { bits_per_second: Some(800_000), ..limited(u64::MAX) };
        direction.change(MS, slow);
        let due: Vec<_> = departures(&mut direction, MS * 200).into_iter().map(|(due, _)| due).collect();
        assert_eq!(due, [MS * 41, MS * 51, MS * 61, MS * 71]);
    }

    #[test]
    fn a_blackout_swallows_and_changes_no_other_packets_fate() {
        let lossy = Conditions { loss: Loss::Random { rate: 0.3 }, ..Conditions::delayed(MS) };
        let run = |blackout: bool| {
            let mut direction = direction(lossy);
            let mut out = Vec::new();
            for number in 0..100 {
                let now = MS * u32::from(number);
                if blackout && number == 20 {
                    direction.change(now, Conditions { blackout: true, ..lossy });
                }
                if number == 40 {
                    direction.change(now, lossy);
                }
                direction.arrive(now, packet(number));
                out.extend(departures(&mut direction, now + MS).into_iter().map(|(_, number)| number));
            }
            (out, direction.counters.swallowed)
        };
        let (whole, none) = run(false);
        let (interrupted, swallowed) = run(true);
        assert_eq!((none, swallowed), (0, 20));
        let outside: Vec<_> = whole.into_iter().filter(|number| !(20..40).contains(number)).collect();
        assert_eq!(interrupted, outside);
    }

    #[test]
    fn jitter_reorders_only_if_it_may() {
        let order = |reorders| {
            let jitter = Jitter { most: MS * 5, reorders };
            let mut direction = direction(Conditions { jitter, ..Conditions::delayed(MS * 10) });
            for number in 0..100_u8 {
                direction.arrive(Duration::from_micros(u64::from(number) * 100), packet(number));
            }
            departures(&mut direction, MS * 100)
        };
        let (kept, mixed) = (order(false), order(true));
        assert_eq!((kept.len(), mixed.len()), (100, 100));
        assert!(kept.is_sorted_by_key(|(_, number)| *number));
        assert!(!mixed.is_sorted_by_key(|(_, number)| *number));
        assert!(mixed.iter().all(|(due, number)| {
            let sent = Duration::from_micros(u64::from(*number) * 100);
            (sent + MS * 10..sent + MS * 15).contains(due)
        }));
    }

    #[test]
    fn unlimited_packets_leave_after_the_delay_alone() {
        let mut direction = direction(Conditions::delayed(MS * 7));
        for number in 0..50 {
            direction.arrive(MS, packet(number));
        }
        let departures = departures(&mut direction, MS * 8);
        assert_eq!(departures.len(), 50);
        assert!(departures.iter().all(|(due, _)| *due == MS * 8));
    }
}
