//! What one direction of a link does to packets.

use std::time::Duration;

use super::loss::Loss;

/// Delay that differs from packet to packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jitter {
    /// From nothing to this, evenly.
    pub(crate) most: Duration,
    /// Whether a packet may overtake those before it.
    pub(crate) reorders: bool,
}

/// One direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conditions {
    /// One way, after the bottleneck.
    pub(crate) delay: Duration,
    pub(crate) jitter: Jitter,
    /// Before the bottleneck: what is lost takes no place in its queue.
    pub(crate) loss: Loss,
    /// The bottleneck's bits per second; without, there is none.
    pub(crate) bits_per_second: Option<u64>,
    /// What the bottleneck holds, with the packet that it sends; more is dropped (tail drop).
    pub(crate) queue_bytes: u64,
    /// Everything that arrives is lost, and nothing tells the devices.
    pub(crate) blackout: bool,
}

impl Conditions {
    /// Only delay.
    pub(crate) const fn delayed(delay: Duration) -> Self {
        Self {
            delay,
            jitter: Jitter { most: Duration::ZERO, reorders: false },
            loss: Loss::None,
            bits_per_second: None,
            queue_bytes: u64::MAX,
            blackout: false,
        }
    }

    /// How long the bottleneck takes for a packet.
    pub(crate) fn transmission(&self, bytes: usize) -> Duration {
        match self.bits_per_second {
            Some(rate) if rate > 0 => Duration::from_nanos(bytes as u64 * 8 * 1_000_000_000 / rate),
            _ => Duration::ZERO,
        }
    }
}
