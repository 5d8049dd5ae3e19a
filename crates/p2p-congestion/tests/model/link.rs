//! One direction of a link in virtual time: a bottleneck with a queue, delay, jitter and loss.

use std::time::{Duration, Instant};

/// What a link does to packets. It may be changed while it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// One way.
    pub(crate) delay: Duration,
    /// Added to the delay of each packet, from nothing to this.
    pub(crate) jitter: Duration,
    /// Whether jitter may change the order.
    pub(crate) reorder: bool,
    /// Bytes per second.
    pub(crate) rate: f64,
    /// Bytes that wait at most (tail drop).
    pub(crate) queue: u64,
    /// 0 to 1: packets that are lost at random.
    pub(crate) loss: f64,
    /// Packets that are lost in a row, on average.
    pub(crate) burst: f64,
    /// Packets larger than this are swallowed.
    pub(crate) mtu: usize,
}

/// What came of the packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) offered: u64,
    pub(crate) lost: u64,
    pub(crate) dropped: u64,
    pub(crate) delivered_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) conditions: Conditions,
    pub(crate) counters: Counters,
    random: fastrand::Rng,
    free_at: Instant,
    last_arrival: Instant,
    burst_left: u32,
}

impl Link {
    pub(crate) fn new(conditions: Conditions, seed: u64, now: Instant) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { conditions, counters: Counters::default(), random, free_at: now, last_arrival: now, burst_left: 0 }
    }

    /// How long a packet waits that is sent now.
    pub(crate) fn queue_delay(&self, now: Instant) -> Duration {
        self.free_at.saturating_duration_since(now)
    }

    /// When a packet arrives, if it does.
    pub(crate) fn send(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let conditions = self.conditions;
        self.counters.offered += 1;
        if bytes > conditions.mtu || self.is_lost() {
            self.counters.lost += 1;
            return None;
        }
        // Headers of IPv4 and UDP take their part of the rate.
        let bytes = bytes as f64 + 28.0;
        let waiting = self.queue_delay(now).as_secs_f64() * conditions.rate;
        if waiting + bytes > conditions.queue as f64 + 1500.0 {
            self.counters.dropped += 1;
            return None;
        }
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(bytes / conditions.rate);
        self.counters.delivered_bytes += bytes as u64;
        let mut arrival = self.free_at + conditions.delay + conditions.jitter.mul_f64(self.random.f64());
        if !conditions.reorder {
            arrival = arrival.max(self.last_arrival);
        }
        self.last_arrival = arrival;
        Some(arrival)
    }

    /// Nothing that is sent from now on arrives before this, as with a radio that is away for a moment.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.last_arrival = self.last_arrival.max(until);
    }

    fn is_lost(&mut self) -> bool {
        if self.burst_left > 0 {
            self.burst_left -= 1;
            return true;
        }
        let Conditions { loss, burst, .. } = self.conditions;
        if loss == 0.0 || self.random.f64() >= loss / burst {
            return false;
        }
        // Geometric, with the mean `burst`.
        while burst > 1.0 && self.random.f64() > 1.0 / burst {
            self.burst_left += 1;
        }
        true
    }
}
