//! The state machine.

use std::time::Duration;

use serde::Serialize;

use super::{RETURN_WITHIN, Settings, hold::Flaps};

/// Between a change of the transport and the look that finds it, and what timers are late.
const SLACK: Duration = Duration::from_millis(500);

/// The shortest pause between two probes of a p2p that works, however many requests are slow.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);

/// Where p2p stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Used.
    Healthy,
    /// Used; the last request failed, or the last few.
    Suspect,
    /// Not used. Probed now and then.
    Down,
    /// Not used: not connected yet since the start, or on its way back.
    Probing,
}

impl State {
    /// The name, as in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Probing => "probing",
        }
    }

    pub(crate) const fn is_usable(self) -> bool {
        matches!(self, Self::Healthy | Self::Suspect)
    }
}

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// The router has started.
    Started,
    /// The first connection since the start.
    Connected,
    /// A request failed, and it was the transport's fault.
    Failed,
    /// A request got its head.
    Succeeded,
    /// Too many failures in a row.
    FailedRepeatedly,
    /// Nothing moved while somebody waited, and a probe failed, too.
    Stalled,
    /// The transport lost its connection, or says that it is down.
    TransportDown,
    /// A probe failed.
    ProbeFailed,
    /// A probe succeeded.
    ProbeSucceeded,
    /// Enough good probes, over a long enough time.
    Proven,
}

impl Cause {
    /// Every cause, in the order of the counters.
    pub const ALL: [Self; 10] = [
        Self::Started,
        Self::Connected,
        Self::Failed,
        Self::Succeeded,
        Self::FailedRepeatedly,
        Self::Stalled,
        Self::TransportDown,
        Self::ProbeFailed,
        Self::ProbeSucceeded,
        Self::Proven,
    ];

    /// The name, as in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Connected => "connected",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
            Self::FailedRepeatedly => "failed-repeatedly",
            Self::Stalled => "stalled",
            Self::TransportDown => "transport-down",
            Self::ProbeFailed => "probe-failed",
            Self::ProbeSucceeded => "probe-succeeded",
            Self::Proven => "proven",
        }
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

/// What the transport says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Up,
    Connecting,
    Down,
}

/// Times are since the start of the router.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    settings: Settings,
    state: State,
    cause: Cause,
    since: Duration,
    view: View,
    was_up: bool,
    /// Grows whenever p2p goes down: results of requests from before say nothing about now.
    epoch: u64,
    /// In a row.
    failures: u32,
    /// Good probes in a row, and when the first of them was.
    good: u32,
    first_good: Duration,
    /// The pause after the next failed probe, before jitter.
    interval: Duration,
    next_probe: Option<Duration>,
    is_probing: bool,
    last_probe: Option<Duration>,
    flaps: Flaps,
    random: fastrand::Rng,
}

impl Machine {
    pub(crate) fn new(settings: Settings, seed: u64) -> Self {
        Self {
            interval: settings.interval_min,
            settings,
            state: State::Probing,
            cause: Cause::Started,
            since: Duration::ZERO,
            view: View::Connecting,
            was_up: false,
            epoch: 0,
            failures: 0,
            good: 0,
            first_good: Duration::ZERO,
            next_probe: None,
            is_probing: false,
            last_probe: None,
            flaps: Flaps::default(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    pub(crate) fn reconfigure(&mut self, settings: Settings) {
        self.interval = self.interval.clamp(settings.interval_min, settings.interval_max);
        self.settings = settings;
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Why it is in this state, and since when.
    pub(crate) const fn since(&self) -> (Cause, Duration) {
        (self.cause, self.since)
    }

    pub(crate) const fn view(&self) -> View {
        self.view
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When to probe; `None` if there is no reason to, or a probe is under way.
    pub(crate) fn next_probe(&self) -> Option<Duration> {
        self.next_probe.filter(|_| !self.is_probing)
    }

    /// What the transport says about itself now.
    pub(crate) fn transport(&mut self, now: Duration, view: View) -> Option<Transition> {
        let before = std::mem::replace(&mut self.view, view);
        match view {
            View::Up if before == View::Up => None,
            View::Up if !self.was_up => {
                self.was_up = true;
                self.next_probe = None;
                Some(self.enter(now, State::Healthy, Cause::Connected))
            }
            View::Up => {
                if !self.state.is_usable() {
                    self.probe_soon(now);
                }
                None
            }
            View::Connecting if !self.was_up => None,
            View::Connecting | View::Down if self.state == State::Down => None,
            View::Connecting | View::Down => Some(self.go_down(now, Cause::TransportDown)),
        }
    }

    /// A request that began in this epoch got its head.
    pub(crate) fn succeeded(&mut self, now: Duration, epoch: u64) -> Option<Transition> {
        if epoch != self.epoch || !self.state.is_usable() {
            return None;
        }
        self.failures = 0;
        (self.state == State::Suspect).then(|| self.enter(now, State::Healthy, Cause::Succeeded))
    }

    /// A request that began in this epoch failed, and it was the transport's fault.
    pub(crate) fn failed(&mut self, now: Duration, epoch: u64) -> Option<Transition> {
        if epoch != self.epoch || !self.state.is_usable() {
            return None;
        }
        self.failures += 1;
        if self.failures >= self.settings.failures_max {
            return Some(self.go_down(now, Cause::FailedRepeatedly));
        }
        (self.state == State::Healthy).then(|| self.enter(now, State::Suspect, Cause::Failed))
    }

    /// Nothing moved for a request that began in this epoch, and the probe that followed failed.
    pub(crate) fn stalled(&mut self, now: Duration, epoch: u64) -> Option<Transition> {
        (epoch == self.epoch && self.state.is_usable()).then(|| self.go_down(now, Cause::Stalled))
    }

    /// A request was answered sooner by the other transport: p2p is probed, but not all the time, for the service may be
    /// what is slow.
    pub(crate) fn doubted(&mut self, now: Duration) {
        if self.state.is_usable() && self.next_probe.is_none() {
            let soonest = self.last_probe.map_or(now, |last| last + DOUBT_INTERVAL);
            self.next_probe = Some(soonest.max(now));
        }
    }

    pub(crate) fn probe_started(&mut self, now: Duration) {
        self.is_probing = true;
        self.last_probe = Some(now);
    }

    pub(crate) fn probe_succeeded(&mut self, now: Duration) -> Option<Transition> {
        self.is_probing = false;
        if self.state.is_usable() {
            self.next_probe = None;
            self.failures = 0;
            return (self.state == State::Suspect).then(|| self.enter(now, State::Healthy, Cause::ProbeSucceeded));
        }
        if self.view != View::Up {
            // The transport may know more. It will be looked at again soon.
            self.next_probe = Some(now + self.settings.interval_min);
            return None;
        }
        if self.good == 0 {
            self.first_good = now;
        }
        self.good += 1;
        let hold = self.flaps.hold(now);
        let proven = self.first_good + hold;
        if self.good >= self.settings.probes_to_return && now >= proven {
            self.next_probe = None;
            return Some(self.enter(now, State::Healthy, Cause::Proven));
        }
        let step = hold / self.settings.probes_to_return.saturating_sub(1).max(1);
        self.next_probe = Some((self.first_good + step * self.good).min(proven).max(now));
        (self.state == State::Down).then(|| self.enter(now, State::Probing, Cause::ProbeSucceeded))
    }

    pub(crate) fn probe_failed(&mut self, now: Duration) -> Option<Transition> {
        self.is_probing = false;
        if self.state.is_usable() {
            return Some(self.go_down(now, Cause::ProbeFailed));
        }
        self.good = 0;
        self.interval = (self.interval * 2).min(self.settings.interval_max);
        self.schedule(now);
        (self.state == State::Probing).then(|| self.enter(now, State::Down, Cause::ProbeFailed))
    }

    /// Probes now, whatever the state, and begins the pauses anew.
    pub(crate) fn probe_soon(&mut self, now: Duration) {
        self.interval = self.settings.interval_min;
        self.next_probe = Some(now);
    }

    fn go_down(&mut self, now: Duration, cause: Cause) -> Transition {
        if self.state.is_usable() {
            self.flaps.record(now);
        }
        self.epoch += 1;
        self.good = 0;
        self.interval = self.settings.interval_min;
        self.schedule(now);
        self.enter(now, State::Down, cause)
    }

    /// The next probe after the pause, half of which is left to chance. While the transport believes in itself the pause
    /// is never so long that the way back could take more than [`RETURN_WITHIN`].
    fn schedule(&mut self, now: Duration) {
        let mut pause = self.interval.mul_f64(1.0 - self.random.f64() / 2.0);
        if self.view == View::Up {
            let probing = self.settings.probe_timeout * (self.settings.probes_to_return + 1);
            pause = pause.min(RETURN_WITHIN.saturating_sub(self.flaps.hold(now) + probing + SLACK));
        }
        self.next_probe = Some(now + pause);
    }

    fn enter(&mut self, now: Duration, state: State, cause: Cause) -> Transition {
        let from = std::mem::replace(&mut self.state, state);
        self.failures = if state.is_usable() { self.failures } else { 0 };
        if state == State::Healthy {
            self.failures = 0;
        }
        (self.cause, self.since) = (cause, now);
        Transition { from, to: state, cause }
    }
}
