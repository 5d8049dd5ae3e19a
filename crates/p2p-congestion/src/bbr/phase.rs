//! What is done at a time: start up, drain, cruise, probe.

use std::time::{Duration, Instant};

use super::{
    Bbr,
    shared::Cubic,
    startup::{self, Exit, Startup},
};
use crate::{
    delivery::{Sample, Sent},
    queue::{self, QueueDetector},
    round::Finished,
};

/// Gains of a probe, round after round, while the rate follows. The first is BBR's; the others let a flow that has found
/// more capacity take it in a few rounds.
const UP_GAINS: [f64; 3] = [1.25, 1.75, startup::PACING_GAIN];

/// A probe goes on if its round raised the rate by this much.
const UP_GROWTH: f64 = 1.1;

/// Rounds that a probe waits for the rate to follow.
const UP_ROUNDS: u32 = 2;

/// A queue of our making is drained by sending no more than the path holds, and a little less, since the model errs upward:
/// nothing until the queue is gone, so that the path stays busy, then at its rate.
const DOWN_WINDOW: f64 = 0.95;

/// Beside another flow: how long until it is looked whether the queue is still another's. Doubles with each look.
const LOOK_MIN: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_secs(8);

/// Between two probes: round trips, each at least so long that a short path is not drained all the time, but not many
/// seconds of them.
const CRUISE_ROUNDS: u32 = 5;
const CRUISE_ROUND_MIN: Duration = Duration::from_millis(20);
const CRUISE_MAX: Duration = Duration::from_secs(1);

/// Time at half the window that shows the round-trip time without a queue (BBR: 200 ms).
const PROBE_RTT: Duration = Duration::from_millis(200);

/// How fast, and how much in flight, relative to the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) pacing_gain: f64,
    pub(super) window_gain: f64,
    /// Whether the window is exact, to empty a queue, and allows nothing for late acknowledgements.
    pub(super) exact: bool,
    /// In place of what the gains make: bytes, and bytes per second.
    pub(super) window: Option<u64>,
    pub(super) pace: Option<u64>,
}

/// What the controller does at a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// The rate of the path is not known yet: doubles it in every round.
    Startup(Startup),
    /// Empties the queue that another phase has left.
    Down(Down),
    /// Sends at the rate of the path.
    Cruise(Cruise),
    /// Sends faster than that, to see whether the path can do more.
    Up(Up),
    /// A queue stands that is another's: takes part in it as others do.
    Shared(Shared),
    /// Keeps little in flight, to see the round-trip time without a queue.
    ProbeRtt(ProbeRtt),
}

impl Default for Phase {
    fn default() -> Self {
        Self::Startup(Startup::default())
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Down {
    /// What is more than enough time to drain: a queue that is still there then is another's.
    until: Instant,
    /// In flight when it began.
    before: u64,
    /// The lowest round-trip time since then.
    lowest: Duration,
    /// Start-up ended early: looks again at once.
    look_again: bool,
    /// What this flow did before, if that was to share the queue.
    shared: Option<Shared>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cruise {
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    cubic: Cubic,
    /// The queue is gone: acknowledgements in a row that say so.
    empty: u32,
    /// Round-trip times since it was last looked: the last, the lowest and the highest.
    rtt: Duration,
    lowest: Duration,
    highest: Duration,
    /// When it is looked whose the queue is, and how long after the last time.
    look_at: Instant,
    wait: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Up {
    level: usize,
    /// Rounds at this level.
    rounds: u32,
    /// The rate at the beginning of the level.
    rate: f64,
    /// Round-trip times above this are a queue of our making.
    limit: Duration,
    queue: QueueDetector,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ProbeRtt {
    /// Once little enough is in flight.
    until: Option<Instant>,
    lowest: Duration,
}

impl Shared {
    fn sample(&mut self, rtt: Duration) {
        self.rtt = rtt;
        self.lowest = self.lowest.min(rtt);
        self.highest = self.highest.max(rtt);
    }

    /// A full queue drops when it is at its longest. What is lost otherwise is lost by chance: on a path that has only become
    /// longer, a window that answers to it would close.
    fn is_full(&self, min_rtt: Duration) -> bool {
        let range = self.highest.saturating_sub(self.lowest);
        range >= queue::threshold(min_rtt) && self.rtt >= self.lowest + range / 2
    }
}

impl Phase {
    pub(super) const fn is_startup(&self) -> bool {
        matches!(self, Self::Startup(_))
    }

    /// Whether this flow makes no queue now.
    pub(super) const fn is_calm(&self) -> bool {
        matches!(self, Self::Cruise(_))
    }

    /// Whether the bounds that loss has set hold: a probe looks beyond them.
    pub(super) const fn yields(&self) -> bool {
        matches!(self, Self::Cruise(_) | Self::Down(_))
    }

    fn plan(&self, now: Instant, rtt: Duration) -> Plan {
        let (pacing_gain, window_gain) = match self {
            Self::Startup(_) => (startup::PACING_GAIN, startup::WINDOW_GAIN),
            Self::Down(_) => (1.0, DOWN_WINDOW),
            Self::Cruise(_) | Self::Shared(_) => (1.0, 2.0),
            Self::Up(up) => (UP_GAINS[up.level], 2.25),
            Self::ProbeRtt(_) => (1.0, 0.5),
        };
        let window = match self {
            Self::Shared(shared) => Some(shared.cubic.window(now, rtt)),
            _ => None,
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let pace = window.map(|window| super::bytes(1.25 * window as f64 / rtt.as_secs_f64().max(1e-4)));
        let exact = matches!(self, Self::Down(_) | Self::ProbeRtt(_));
        Plan { pacing_gain, window_gain, exact, window, pace }
    }
}

impl Bbr {
    /// Takes what an acknowledgement has told, changes the phase if it is time, and says what to do now.
    pub(super) fn advance(&mut self, now: Instant, sample: &Sample, finished: Option<&Finished>) -> Plan {
        if let Some(min_rtt) = self.min_rtt.value() {
            self.change_phase(now, sample, min_rtt, finished);
        }
        self.phase.plan(now, sample.rtt)
    }

    fn change_phase(&mut self, now: Instant, sample: &Sample, min_rtt: Duration, finished: Option<&Finished>) {
        let rate = self.bandwidth.value();
        let in_flight = self.delivery.in_flight();
        let Some(empty) = self.empty() else { return };
        match &mut self.phase {
            Phase::Startup(startup) => {
                if let Some(exit) = startup.sample(now, sample, empty, rate, finished) {
                    self.go_down(now, exit == Exit::Queue, None);
                }
            }
            Phase::Down(down) => {
                down.lowest = down.lowest.min(sample.rtt);
                let down = *down;
                // What was in flight when draining began must have been acknowledged before the queue can be seen.
                if now >= down.until {
                    if sample.rtt > empty && !sample.app_limited {
                        self.share(now, &down);
                    } else {
                        self.drained = Some(down.lowest);
                        self.cruise(now, down.look_again);
                    }
                }
            }
            Phase::Cruise(cruise) => {
                let cruise = *cruise;
                let queue =
                    finished.filter(|finished| !finished.app_limited && finished.rtt.is_some_and(|rtt| rtt > empty));
                if let Some(finished) = queue {
                    // The queue is our own: the model is too fast, and a round of full delivery tells by how much.
                    if finished.rate > 0.0 {
                        self.bandwidth.replace(finished.rate.min(rate));
                    }
                    self.go_down(now, false, None);
                } else if self.min_rtt.is_stale(now) && !sample.app_limited {
                    self.phase = Phase::ProbeRtt(ProbeRtt { until: None, lowest: sample.rtt });
                } else if now >= cruise.until && !sample.app_limited {
                    self.go_up(min_rtt);
                }
            }
            Phase::Shared(shared) => {
                shared.sample(sample.rtt);
                shared.empty = if sample.rtt > empty { 0 } else { shared.empty + sample.packets };
                let shared = *shared;
                if shared.empty >= 8 || sample.app_limited {
                    self.cruise(now, true);
                } else if now >= shared.look_at {
                    self.go_down(now, true, Some(shared));
                } else if self.min_rtt.is_stale(now) {
                    self.phase = Phase::ProbeRtt(ProbeRtt { until: None, lowest: sample.rtt });
                }
            }
            Phase::Up(up) => {
                let late = up.queue.sample(sample.rtt, up.limit, sample.packets, now);
                if finished.is_some() {
                    up.rounds += 1;
                    if rate >= up.rate * UP_GROWTH {
                        (up.level, up.rounds, up.rate) = ((up.level + 1).min(UP_GAINS.len() - 1), 0, rate);
                    }
                }
                if late || up.rounds >= UP_ROUNDS || (sample.app_limited && finished.is_some()) {
                    self.go_down(now, false, None);
                }
            }
            Phase::ProbeRtt(probe) => {
                probe.lowest = probe.lowest.min(sample.rtt);
                let probe = *probe;
                match probe.until {
                    None if in_flight <= self.window => {
                        self.phase =
                            Phase::ProbeRtt(ProbeRtt { until: Some(now + PROBE_RTT.max(min_rtt)), lowest: sample.rtt });
                    }
                    Some(until) if now >= until => {
                        self.min_rtt.replace(probe.lowest, now);
                        self.cruise(now, true);
                    }
                    _ => {}
                }
            }
        }
    }

    /// A packet was lost while a queue stood.
    pub(super) fn lost_to_queue(&mut self, now: Instant, packet: Option<Sent>) {
        let bdp = self.bdp();
        match &mut self.phase {
            Phase::Up(_) => self.in_flight_bound = Some(packet.map_or(bdp, |packet| packet.in_flight.max(bdp))),
            Phase::Shared(shared) => {
                let rtt = self.min_rtt.value().unwrap_or_default();
                if shared.is_full(rtt) {
                    shared.cubic.lost(now, packet.map_or(now, |packet| packet.at), rtt);
                }
            }
            _ => {}
        }
    }

    /// Lets the queue drain. What is in flight beyond the path's own is drained at its rate; then a round trip shows it.
    fn go_down(&mut self, now: Instant, look_again: bool, shared: Option<Shared>) {
        let rate = self.rate();
        let excess = self.delivery.in_flight().saturating_sub(self.bdp());
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        let drain = Duration::from_secs_f64((excess as f64 / rate.max(1.0)).min(10.0));
        let until = now + drain + self.min_rtt.value().unwrap_or_default();
        self.phase =
            Phase::Down(Down { until, before: self.delivery.in_flight(), lowest: Duration::MAX, look_again, shared });
    }

    fn share(&mut self, now: Instant, down: &Down) {
        let window = down.before.max(self.bdp());
        let cubic = down.shared.map_or_else(|| Cubic::new(now, window, self.mtu), |before| before.cubic);
        let wait = down.shared.map_or(LOOK_MIN, |before| (before.wait * 2).min(LOOK_MAX));
        let (rtt, look_at) = (down.lowest, now + wait);
        self.phase = Phase::Shared(Shared { cubic, empty: 0, rtt, lowest: rtt, highest: rtt, look_at, wait });
    }

    /// `look_again`: start-up ended early, or the path may have changed.
    fn cruise(&mut self, now: Instant, look_again: bool) {
        let min_rtt = self.min_rtt.value().unwrap_or_default();
        let rounds = if look_again { 1 } else { CRUISE_ROUNDS };
        let wait = (rounds * min_rtt.max(CRUISE_ROUND_MIN)).min(CRUISE_MAX.max(2 * min_rtt));
        let chance = self.chance();
        self.phase = Phase::Cruise(Cruise { until: now + wait.mul_f64(0.75 + chance / 2.0) });
    }

    fn go_up(&mut self, min_rtt: Duration) {
        self.bandwidth.advance();
        self.bandwidth_bound = None;
        self.in_flight_bound = None;
        let rise = (min_rtt / 16).clamp(Duration::from_millis(2), Duration::from_millis(16));
        let rise = rise.max(self.noise.unwrap_or_default());
        let (rate, limit) = (self.bandwidth.value(), self.base(min_rtt) + rise);
        self.phase = Phase::Up(Up { level: 0, rounds: 0, rate, limit, queue: QueueDetector::default() });
    }
}
