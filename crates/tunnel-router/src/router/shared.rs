//! What all requests of a router share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tunnel_core::{Health, Transport, TransportKind};

use super::{heads::HeadTimes, probe::Prober};
use crate::{
    ConfigError, Mode, RouterConfig, Transition,
    counters::Counters,
    decisions::Ring,
    health::{Machine, Settings, View},
    policy::Policy,
    shadow::{Budget, Job, Mismatches, Sampler},
};

pub(crate) struct Shared {
    pub(crate) p2p: Option<Arc<dyn Transport>>,
    pub(crate) legacy: Option<Arc<dyn Transport>>,
    active: Mutex<Arc<Active>>,
    machine: Mutex<Machine>,
    pub(crate) heads: HeadTimes,
    p2p_prober: Prober,
    legacy_prober: Prober,
    pub(crate) counters: Arc<Counters>,
    pub(crate) decisions: Ring,
    pub(crate) sampler: Sampler,
    pub(crate) budget: Budget,
    pub(crate) mismatches: Mismatches,
    /// Comparisons for the background.
    pub(crate) jobs: mpsc::Sender<Job>,
    /// The background has something to do before its next look.
    pub(crate) wake: Notify,
    start: Instant,
}

/// What the operator has set, as one request sees it from its beginning to its end.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) config: RouterConfig,
    pub(crate) rollout: u16,
    pub(crate) kill_switch: bool,
    pub(crate) forced: Option<Mode>,
}

impl Active {
    pub(crate) fn policy(&self) -> Policy<'_> {
        Policy {
            kill_switch: self.kill_switch,
            forced: self.forced,
            rules: &self.config.rules,
            rollout: self.rollout,
            mode: self.config.mode,
        }
    }
}

impl Shared {
    pub(crate) fn new(
        p2p: Option<Arc<dyn Transport>>,
        legacy: Option<Arc<dyn Transport>>,
        config: RouterConfig,
        jobs: mpsc::Sender<Job>,
    ) -> Result<Arc<Self>, ConfigError> {
        config.check(p2p.is_some(), legacy.is_some())?;
        let counters = Arc::new(Counters::default());
        Ok(Arc::new(Self {
            machine: Mutex::new(Machine::new(Settings::from(&config), config.seed)),
            p2p_prober: Prober::new(p2p.clone(), TransportKind::P2p, Arc::clone(&counters)),
            legacy_prober: Prober::new(legacy.clone(), TransportKind::Legacy, Arc::clone(&counters)),
            p2p,
            legacy,
            heads: HeadTimes::default(),
            counters,
            decisions: Ring::default(),
            sampler: Sampler::new(config.seed),
            budget: Budget::default(),
            mismatches: Mismatches::default(),
            jobs,
            wake: Notify::new(),
            start: Instant::now(),
            active: Mutex::new(Arc::new(Active {
                rollout: config.rollout(),
                config,
                kill_switch: false,
                forced: None,
            })),
        }))
    }

    pub(crate) fn reload(&self, config: RouterConfig) -> Result<(), ConfigError> {
        config.check(self.p2p.is_some(), self.legacy.is_some())?;
        lock(&self.machine).reconfigure(Settings::from(&config));
        self.change(|active| {
            active.rollout = config.rollout();
            active.config = config;
        });
        Ok(())
    }

    pub(crate) fn set_kill_switch(&self, on: bool) {
        self.change(|active| active.kill_switch = on);
        tracing::warn!(on, "kill switch");
    }

    pub(crate) fn force_mode(&self, mode: Option<Mode>) {
        self.change(|active| active.forced = mode);
        tracing::warn!(mode = mode.map(Mode::name), "mode override");
    }

    pub(crate) fn network_changed(&self) {
        let now = self.now();
        lock(&self.machine).probe_soon(now);
        self.wake.notify_one();
    }

    fn change(&self, change: impl FnOnce(&mut Active)) {
        let mut active = lock(&self.active);
        let mut next = Active::clone(&active);
        change(&mut next);
        *active = Arc::new(next);
    }

    pub(crate) fn active(&self) -> Arc<Active> {
        Arc::clone(&lock(&self.active))
    }

    /// Since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn transport(&self, kind: TransportKind) -> Option<&Arc<dyn Transport>> {
        match kind {
            TransportKind::P2p => self.p2p.as_ref(),
            _ => self.legacy.as_ref(),
        }
    }

    /// Whoever wants to know whether a transport works now.
    pub(crate) const fn prober(&self, kind: TransportKind) -> &Prober {
        match kind {
            TransportKind::P2p => &self.p2p_prober,
            _ => &self.legacy_prober,
        }
    }

    /// The transports that there are.
    pub(crate) fn all(&self) -> impl Iterator<Item = (TransportKind, &Arc<dyn Transport>)> {
        [TransportKind::P2p, TransportKind::Legacy].into_iter().filter_map(|kind| Some((kind, self.transport(kind)?)))
    }

    /// Tells the state machine an event; a transition is counted and logged.
    pub(crate) fn tell(&self, event: impl FnOnce(&mut Machine, Duration) -> Option<Transition>) {
        let now = self.now();
        let transition = event(&mut lock(&self.machine), now);
        let Some(Transition { from, to, cause }) = transition else { return };
        self.counters.transitions[cause as usize].one();
        if from.is_usable() == to.is_usable() {
            tracing::debug!(from = from.name(), to = to.name(), cause = cause.name(), "p2p");
            return;
        }
        self.counters.switches.one();
        tracing::info!(from = from.name(), to = to.name(), cause = cause.name(), "p2p");
        if !to.is_usable() {
            // The background looks at the time of the next probe.
            self.wake.notify_one();
        }
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        look(&lock(&self.machine))
    }

    /// Asks p2p how it is, and the state machine what that means.
    pub(crate) fn look_at_p2p<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        if let Some(p2p) = &self.p2p {
            let view = match p2p.health() {
                Health::Healthy { .. } => View::Up,
                Health::Probing => View::Connecting,
                Health::Down(_) => View::Down,
            };
            let recovered = view == View::Up && self.look(|machine| machine.view() != View::Up);
            self.tell(|machine, now| machine.transport(now, view));
            if recovered {
                self.wake.notify_one();
            }
        }
        self.look(look)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
