//! How good a link is.

use std::time::Duration;

/// The conditions of a link, equal in both directions.
///
/// Time in the simulator moves in steps of 1 ms, the resolution of tokio's timers: shorter times count, but what they
/// cause becomes visible at the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Conditions {
    /// The time that a packet takes, one way. A relayed path takes it twice.
    pub latency: Duration,
    /// Up to so much is added to the latency, anew for every packet. Streams keep their order, but not among each other.
    pub jitter: Duration,
    /// The probability that a packet of 1,200 bytes is lost, from 0 to 1. What is reliable is sent again, later; a
    /// datagram is gone.
    pub loss: f64,
    /// The probability that a packet is overtaken: it takes the latency once more.
    pub reorder: f64,
    /// Bytes per second; packets that wait take turns by stream. `None` is without limit.
    pub bandwidth: Option<u64>,
}

impl Conditions {
    /// A link without limits that takes this long one way.
    #[must_use]
    pub const fn new(latency: Duration) -> Self {
        Self { latency, jitter: Duration::ZERO, loss: 0.0, reorder: 0.0, bandwidth: None }
    }

    /// Sets [`jitter`](Self::jitter).
    #[must_use]
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets [`loss`](Self::loss).
    #[must_use]
    pub const fn loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// Sets [`reorder`](Self::reorder).
    #[must_use]
    pub const fn reorder(mut self, reorder: f64) -> Self {
        self.reorder = reorder;
        self
    }

    /// Sets [`bandwidth`](Self::bandwidth), in bytes per second.
    #[must_use]
    pub const fn bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.bandwidth = Some(bytes_per_second);
        self
    }

    /// The presets by name. Their figures are round ones of the kind that the name suggests, on its bad days; they
    /// stand for no measured network.
    pub const PRESETS: [(&'static str, Self); 5] = [
        ("lan", Self::new(Duration::from_micros(300)).bandwidth(125_000_000)),
        (
            "home-wifi",
            Self::new(Duration::from_millis(4))
                .jitter(Duration::from_millis(6))
                .loss(0.005)
                .reorder(0.01)
                .bandwidth(12_500_000),
        ),
        (
            "lte",
            Self::new(Duration::from_millis(35))
                .jitter(Duration::from_millis(20))
                .loss(0.01)
                .reorder(0.005)
                .bandwidth(2_500_000),
        ),
        (
            "satellite",
            Self::new(Duration::from_millis(300)).jitter(Duration::from_millis(30)).loss(0.01).bandwidth(1_250_000),
        ),
        (
            "hotel",
            Self::new(Duration::from_millis(60))
                .jitter(Duration::from_millis(120))
                .loss(0.04)
                .reorder(0.02)
                .bandwidth(250_000),
        ),
    ];

    /// The [preset](Self::PRESETS) of this name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.iter().find(|(known, _)| *known == name).map(|(_, conditions)| *conditions)
    }

    /// How long a sender waits before it sends a lost packet again, at first.
    pub(super) fn retransmission_timeout(&self) -> Duration {
        // The packets behind it tell of a loss after a round trip and a little (RFC 9002 §6.1.2: 9/8 of it); and never
        // below the 25 ms by which a peer may delay its acknowledgement (RFC 9000 §18.2).
        ((self.latency * 2 + self.jitter) * 9 / 8).max(Duration::from_millis(25))
    }
}

impl Default for Conditions {
    /// 1 ms one way, nothing else.
    fn default() -> Self {
        Self::new(Duration::from_millis(1))
    }
}
