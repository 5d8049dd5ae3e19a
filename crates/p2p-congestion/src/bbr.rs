//! The controller: what the path can do, and what is sent because of it.

mod phase;
mod shared;
mod startup;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use noq_proto::{
    RttEstimator,
    congestion::{Controller, ControllerFactory, ControllerMetrics},
};

use self::phase::{Phase, Plan};
use crate::{
    bandwidth::MaxBandwidth,
    delivery::{Delivery, Sample},
    min_rtt::MinRtt,
    queue,
    round::{Finished, Round},
};

/// Packets sent before anything is known, spread over a third of a round trip. RFC 9002 has 10 for senders that do not pace;
/// the QUIC servers of large sites send 32.
const INITIAL_PACKETS: u64 = 32;

/// A window never falls below this: less cannot find out whether the path is back.
const WINDOW_PACKETS_MIN: u64 = 4;

/// Pacing stays this much below the model, so that errors of the model empty queues rather than fill them
/// (draft-ietf-ccwg-bbr: `BBRPacingMarginPercent`).
const PACING_MARGIN: f64 = 0.99;

/// Acknowledgements come in batches, and senders wake late: a window that is a round trip long to the microsecond would stop
/// short paths. This much is allowed beyond the model; it is what a queue may hold on a path of no length.
const AGGREGATION: Duration = Duration::from_millis(4);

/// To empty a queue, a window may still allow this much: half of what counts as one, and what a path without length needs to
/// stay busy while its ends wait for a processor.
const DRAINED: Duration = Duration::from_millis(2);

/// noq's pacer sends at most 256 packets at a time, and timers are a millisecond late: where so many packets last less than
/// two of them, pacing would only slow the flow down. The window alone limits it then.
const PACED_MAX: Duration = Duration::from_millis(2);
const PACER_PACKETS_MAX: u64 = 256;

/// noq's pacer sends at least ten packets at a time, or on slow paths what this time is worth.
const PACER_BURST: Duration = Duration::from_millis(10);

/// Congestive loss beyond this part of a round bounds the rate (draft-ietf-ccwg-bbr: `BBRLossThresh`).
const LOSS_MAX: f64 = 0.02;

/// Beyond this part the path has become another one: what it could do before counts no more.
const LOSS_HEAVY: f64 = 0.2;

/// ... and the bound falls to this part of what it was, but not below what the round delivered (`BBRBeta`).
const BETA: f64 = 0.7;

/// Makes a [`Bbr`] for each path.
#[derive(Debug, Default)]
pub struct BbrConfig {
    /// The next controller's seed: flows that probe at the same time would not see each other.
    seed: AtomicU64,
}

impl BbrConfig {
    /// Controllers whose chance follows from this seed. The default's is 0.
    #[must_use]
    pub const fn with_seed(seed: u64) -> Self {
        Self { seed: AtomicU64::new(seed) }
    }
}

impl ControllerFactory for BbrConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Bbr::new(now, current_mtu, self.seed.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A congestion controller of the BBR family, for one path. See the [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct Bbr {
    mtu: u64,
    delivery: Delivery,
    bandwidth: MaxBandwidth,
    min_rtt: MinRtt,
    round: Round,
    phase: Phase,
    /// Bytes per second: the path delivers no more than this until the next probe.
    bandwidth_bound: Option<f64>,
    /// More in flight than this has overfilled the path's queue.
    in_flight_bound: Option<u64>,
    /// The window is small until a packet is acknowledged that was sent after this.
    collapsed: Option<Instant>,
    /// The connection had more to send than the window let pass, since the last packet.
    window_limited: bool,
    /// Whether a queue stood when the last packets were acknowledged.
    queued: bool,
    /// The lowest round-trip time when this flow's queue was last drained.
    drained: Option<Duration>,
    /// How much round-trip times differ within a round although this flow makes no queue.
    noise: Option<Duration>,
    window: u64,
    pacing_rate: u64,
    random: u64,
}

impl Bbr {
    fn new(now: Instant, mtu: u16, seed: u64) -> Self {
        let mtu = u64::from(mtu).max(1);
        Self {
            mtu,
            delivery: Delivery::new(now),
            bandwidth: MaxBandwidth::default(),
            min_rtt: MinRtt::default(),
            round: Round::new(now),
            phase: Phase::default(),
            bandwidth_bound: None,
            in_flight_bound: None,
            collapsed: None,
            window_limited: false,
            queued: false,
            drained: None,
            noise: None,
            window: INITIAL_PACKETS * mtu,
            pacing_rate: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// Bytes per second that the path is believed to deliver.
    fn rate(&self) -> f64 {
        let max = self.bandwidth.value();
        self.bandwidth_bound.map_or(max, |bound| bound.min(max))
    }

    /// Bytes that fill the path and no queue, if the path delivers this.
    fn bytes_at(&self, rate: f64) -> u64 {
        bytes(rate * self.min_rtt.value().unwrap_or_default().as_secs_f64())
    }

    /// The bandwidth-delay product, in bytes.
    fn bdp(&self) -> u64 {
        self.bytes_at(self.rate())
    }

    /// The round-trip time without a queue of this flow. A little delay that draining has not removed is the path's, or
    /// another's: taken for this flow's, it would wear the rate down.
    fn base(&self, min_rtt: Duration) -> Duration {
        self.drained.map_or(min_rtt, |drained| drained.clamp(min_rtt, min_rtt + queue::threshold(min_rtt)))
    }

    /// Round-trip times above this show a queue.
    fn empty(&self) -> Option<Duration> {
        self.min_rtt.value().map(|min| self.base(min) + self.noise.unwrap_or_default().max(queue::threshold(min)))
    }

    /// Takes the differences within a round.
    fn listen(&mut self, finished: &Finished) {
        let Some(spread) = finished.spread() else { return };
        self.noise = match self.noise {
            // Start-up makes a queue in its last round only. Later, only a flow that cruises makes none.
            Some(noise) if self.phase.is_startup() || self.phase.is_calm() => Some((noise + spread) / 2),
            Some(noise) => Some(noise),
            None => Some(spread),
        };
    }

    /// 0 to 1.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let chance = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        chance
    }

    fn measure(&mut self, now: Instant, sample: &Sample) -> Option<Finished> {
        let bdp = self.bdp();
        let uncongested = sample.app_limited && sample.in_flight <= bdp / 2 + 2 * self.mtu;
        self.min_rtt.sample(sample.rtt, now, uncongested);
        if let Some(rate) = sample.rate {
            self.bandwidth.sample(rate, sample.app_limited);
        }
        self.queued = self.empty().is_some_and(|empty| sample.rtt > empty);
        if self.collapsed.is_some_and(|at| sample.sent_at > at) {
            self.collapsed = None;
        }
        self.round.acked(now, sample.sent_at_delivered, self.delivery.delivered, sample.rtt, sample.app_limited)
    }

    /// Loss of a round that the queue has to answer for: a little bounds the rate until the next probe, much of it is the
    /// rate that the path has now.
    fn bound(&mut self, finished: &Finished) {
        let part = finished.part_lost_to_queue();
        if part > LOSS_HEAVY {
            self.bandwidth.replace(finished.rate.min(self.bandwidth.value()));
        } else if part > LOSS_MAX && self.phase.yields() {
            self.bandwidth_bound = Some((self.rate() * BETA).max(finished.rate));
        }
    }

    fn control(&mut self, plan: Plan) {
        let rate = self.rate();
        let Some(min_rtt) = self.min_rtt.value().filter(|_| rate > 0.0) else {
            self.window = INITIAL_PACKETS * self.mtu;
            self.pacing_rate = 0;
            return;
        };
        let burst = bytes(rate * PACER_BURST.as_secs_f64()).clamp(2 * self.mtu, 10 * self.mtu);
        let spare = bytes(rate * AGGREGATION.as_secs_f64()).max(burst);
        let window = bytes(plan.window_gain * rate * min_rtt.as_secs_f64());
        let mut window = if plan.exact { window.max(bytes(rate * DRAINED.as_secs_f64())) } else { window + spare };
        if self.phase.is_startup() {
            window = window.max(self.window.min(INITIAL_PACKETS * self.mtu)).max(INITIAL_PACKETS * self.mtu);
        }
        if let Some(bound) = self.in_flight_bound.filter(|_| self.phase.yields()) {
            window = window.min(bound.max(self.bdp()));
        }
        if self.collapsed.is_some() {
            window = 0;
        }
        self.window = window.max(WINDOW_PACKETS_MIN * self.mtu);
        if let Some(shared) = plan.window {
            self.window = shared.max(WINDOW_PACKETS_MIN * self.mtu);
        }
        let pace = plan.pace.unwrap_or_else(|| bytes(rate * plan.pacing_gain * PACING_MARGIN));
        let initial = if self.phase.is_startup() { self.initial_pace(min_rtt) } else { 0 };
        self.pacing_rate = pace.max(initial).max(self.mtu);
    }

    /// Nothing where timers are too coarse to pace.
    fn paced(&self) -> Option<u64> {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let max = (PACER_PACKETS_MAX * self.mtu) as f64 / PACED_MAX.as_secs_f64();
        Some(self.pacing_rate).filter(|&rate| rate > 0 && rate < bytes(max))
    }

    /// The initial window over a third of a round trip.
    fn initial_pace(&self, rtt: Duration) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let window = (INITIAL_PACKETS * self.mtu) as f64;
        bytes(startup::PACING_GAIN * window / rtt.as_secs_f64().max(1e-3))
    }
}

impl Controller for Bbr {
    fn on_packet_sent(&mut self, now: Instant, bytes: u16, pn: u64) {
        // That the application had nothing to send is told with acknowledgements only; what it did between two of them
        // shows in the gap between packets. Pacing makes gaps of up to 10 ms, and late timers longer ones.
        let gap = now.saturating_duration_since(self.delivery.last_sent());
        let paced = Duration::from_micros(2_000_000 * self.mtu / self.pacing_rate.max(1000));
        if !self.window_limited && gap > paced + Duration::from_millis(20) {
            self.delivery.set_app_limited();
        }
        self.window_limited = false;
        self.delivery.sent(now, bytes, pn);
    }

    fn on_cwnd_limited(&mut self) {
        self.window_limited = true;
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, pn: u64, _app_limited: bool, _rtt: &RttEstimator) {
        self.delivery.acked(now, sent, bytes, pn);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, _largest_packet_num_acked: Option<u64>) {
        let sample = self.delivery.sample(now, in_flight, self.min_rtt.value());
        if app_limited {
            self.delivery.set_app_limited();
        }
        let Some(sample) = sample else { return };
        let finished = self.measure(now, &sample);
        if let Some(finished) = &finished {
            self.listen(finished);
            self.bound(finished);
        }
        let plan = self.advance(now, &sample, finished.as_ref());
        self.control(plan);
    }

    fn on_packet_lost(&mut self, lost_bytes: u16, pn: u64, now: Instant) {
        let packet = self.delivery.lost(pn);
        if self.queued {
            self.round.lost_to_queue(lost_bytes.into());
            self.lost_to_queue(now, packet);
        }
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        _sent: Instant,
        is_persistent_congestion: bool,
        _is_ecn: bool,
        _lost_bytes: u64,
        _largest_lost_pn: u64,
    ) {
        if is_persistent_congestion {
            self.collapsed = Some(now);
            self.window = WINDOW_PACKETS_MIN * self.mtu;
        }
    }

    fn on_spurious_congestion_event(&mut self) {
        self.bandwidth_bound = None;
        self.in_flight_bound = None;
        self.collapsed = None;
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = u64::from(new_mtu).max(1);
        self.window = self.window.max(WINDOW_PACKETS_MIN * self.mtu);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window;
        metrics.pacing_rate = self.paced();
        metrics.bandwidth_estimate = (self.pacing_rate > 0).then(|| bytes(self.rate() * 8.0));
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL_PACKETS * self.mtu
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Whole bytes; what is no number of bytes is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
const fn bytes(value: f64) -> u64 {
    value as u64
}
