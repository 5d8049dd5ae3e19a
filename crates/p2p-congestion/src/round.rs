//! Round trips, counted by packets: a round ends when a packet is acknowledged that was sent after its beginning.

use std::time::{Duration, Instant};

/// What a finished round has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finished {
    /// The smallest round-trip time of its samples, the largest, and their number.
    pub(crate) rtt: Option<Duration>,
    rtt_max: Duration,
    samples: u32,
    /// Bytes per second over the whole round: free of the noise of single samples.
    pub(crate) rate: f64,
    /// Bytes that were delivered, and bytes that were lost while a queue stood.
    pub(crate) delivered: u64,
    pub(crate) lost_to_queue: u64,
    /// Whether the application had nothing to send at some time.
    pub(crate) app_limited: bool,
}

impl Finished {
    /// How much round-trip times differed; nothing if there were too few.
    pub(crate) fn spread(&self) -> Option<Duration> {
        self.rtt.filter(|_| self.samples >= SAMPLES_MIN).map(|min| self.rtt_max - min)
    }

    /// The part of what was sent that a full queue dropped.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub(crate) fn part_lost_to_queue(&self) -> f64 {
        self.lost_to_queue as f64 / (self.lost_to_queue + self.delivered).max(1) as f64
    }
}

/// Acknowledgements that tell something of the differences between round-trip times.
const SAMPLES_MIN: u32 = 4;

/// The round that is running.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Ends when a packet is acknowledged that was sent after this much had been delivered.
    end: u64,
    /// Delivered when it began, and when that was.
    start: u64,
    start_at: Instant,
    pub(crate) count: u64,
    rtt: Option<Duration>,
    rtt_max: Duration,
    samples: u32,
    lost_to_queue: u64,
    app_limited: bool,
}

impl Round {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            end: 0,
            start: 0,
            start_at: now,
            count: 0,
            rtt: None,
            rtt_max: Duration::ZERO,
            samples: 0,
            lost_to_queue: 0,
            app_limited: false,
        }
    }

    /// A packet was acknowledged that was sent when `sent_at` bytes had been delivered; now it is `delivered`.
    pub(crate) fn acked(
        &mut self,
        now: Instant,
        sent_at: u64,
        delivered: u64,
        rtt: Duration,
        app_limited: bool,
    ) -> Option<Finished> {
        self.rtt = Some(self.rtt.map_or(rtt, |min| min.min(rtt)));
        self.rtt_max = self.rtt_max.max(rtt);
        self.samples += 1;
        self.app_limited |= app_limited;
        if sent_at < self.end {
            return None;
        }
        let bytes = delivered - self.start;
        let elapsed = now.saturating_duration_since(self.start_at).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = if elapsed > 0.0 { bytes as f64 / elapsed } else { 0.0 };
        let finished = Finished {
            rtt: self.rtt,
            rtt_max: self.rtt_max,
            samples: self.samples,
            rate,
            delivered: bytes,
            lost_to_queue: self.lost_to_queue,
            app_limited: self.app_limited,
        };
        *self = Self { end: delivered, start: delivered, count: self.count + 1, ..Self::new(now) };
        Some(finished)
    }

    /// Bytes were lost while a queue stood.
    pub(crate) const fn lost_to_queue(&mut self, bytes: u64) {
        self.lost_to_queue += bytes;
    }
}
