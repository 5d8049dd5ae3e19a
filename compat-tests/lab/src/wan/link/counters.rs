//! What a direction has done.

use std::time::Duration;

use serde_json::{Value, json};

/// Later than this is late enough to be told: it is more than the link promises.
pub(crate) const LATE: Duration = Duration::from_micros(200);

/// Counts of one direction since they were taken last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// That a device has sent.
    pub(crate) packets: u64,
    /// By chance.
    pub(crate) lost: u64,
    /// At the full queue.
    pub(crate) dropped: u64,
    /// In a blackout.
    pub(crate) swallowed: u64,
    /// That the other device has taken.
    pub(crate) delivered: u64,
    /// Of these.
    pub(crate) bytes: u64,
    /// That the other device would not take, since it is down.
    pub(crate) refused: u64,
    /// The most that the queue has held.
    pub(crate) queue_bytes_max: u64,
    /// Delivered more than [`LATE`] after they were due.
    pub(crate) late: u64,
    /// The latest.
    pub(crate) late_max: Duration,
}

impl Counters {
    /// A packet is handed over this long after it was due.
    pub(crate) fn deliver(&mut self, bytes: usize, late: Duration) {
        self.delivered += 1;
        self.bytes += bytes as u64;
        self.late += u64::from(late > LATE);
        self.late_max = self.late_max.max(late);
    }

    /// Of the packets that were not lost by chance, those dropped at the queue, in percent.
    #[expect(clippy::cast_precision_loss, reason = "counts of packets")]
    pub(crate) fn dropped_percent(&self) -> f64 {
        let offered = self.packets.saturating_sub(self.lost + self.swallowed);
        if offered == 0 { 0.0 } else { self.dropped as f64 * 100.0 / offered as f64 }
    }

    /// For scripts.
    pub(crate) fn json(&self) -> Value {
        json!({
            "packets": self.packets,
            "lost": self.lost,
            "dropped": self.dropped,
            "swallowed": self.swallowed,
            "delivered": self.delivered,
            "bytes": self.bytes,
            "refused": self.refused,
            "queue_bytes_max": self.queue_bytes_max,
            "late": self.late,
            "late_max_us": u64::try_from(self.late_max.as_micros()).unwrap_or(u64::MAX),
        })
    }
}
