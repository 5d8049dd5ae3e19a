//! Beside a flow that keeps a queue: the window of CUBIC (RFC 9438), as such flows have.
//!
//! A flow that looks for an empty queue would give way to one that fills it, and one that ignores loss would push it away.

use std::time::{Duration, Instant};

/// RFC 9438: the window grows by the cube of the time since the last loss, in packets and seconds ...
const C: f64 = 0.4;

/// ... from this part of what it was at that loss.
const BETA: f64 = 0.7;

/// Packets per round trip that give NewReno's throughput with this BETA.
const RENO: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// A CUBIC window, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cubic {
    mtu: f64,
    /// Packets at the last loss, and after it.
    before: f64,
    after: f64,
    since: Instant,
}

impl Cubic {
    #[expect(clippy::cast_precision_loss, reason = "packets")]
    pub(super) fn new(now: Instant, window: u64, mtu: u64) -> Self {
        let packets = window as f64 / mtu as f64;
        Self { mtu: mtu as f64, before: packets, after: packets, since: now }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    pub(super) fn window(&self, now: Instant, rtt: Duration) -> u64 {
        (self.packets(now, rtt) * self.mtu) as u64
    }

    fn packets(&self, now: Instant, rtt: Duration) -> f64 {
        let time = now.saturating_duration_since(self.since).as_secs_f64();
        let k = ((self.before - self.after).max(0.0) / C).cbrt();
        let cubic = C * (time - k).powi(3) + self.before;
        let reno = self.after + RENO * time / rtt.as_secs_f64().max(1e-4);
        // Never more than half as much again in a round trip.
        cubic.max(reno).min(self.after.max(self.before) * 2.0)
    }

    /// A full queue has dropped a packet that was sent at this time. Answers once for all that were sent before.
    pub(super) fn lost(&mut self, now: Instant, sent_at: Instant, rtt: Duration) {
        if sent_at > self.since {
            self.before = self.packets(now, rtt);
            self.after = (self.before * BETA).max(2.0);
            self.since = now;
        }
    }
}
