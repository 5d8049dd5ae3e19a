//! Keeps a peer reachable: what the endpoint does not do by itself, or does too late.

mod clock;
mod home;
mod watchdog;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use iroh::{
    Endpoint, RelayUrl, Watcher,
    endpoint::{RelayStatus, VarInt},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use self::{
    clock::Clock,
    home::{Home, HomeCare, Link, Step},
    watchdog::{Vitals, Watchdog, Why},
};
use super::{Shared, endpoint};

/// How often everything is looked at that tells no news by itself.
const TICK: Duration = Duration::from_secs(1);

/// How long a connection over a relay that was lost may take to find another way. A relay that restarts is back sooner.
const LOST_RELAY_GRACE: Duration = Duration::from_secs(1);

/// A wedged endpoint may hang when it is closed, too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between two attempts to open the sockets anew, and how many ask for the old ports.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
const REOPEN_SAME: usize = 5;

/// What the care of a peer did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CareReport {
    /// The machine's addresses changed, or it woke up, or its home relay changed.
    pub network_changes: u64,
    /// It slept.
    pub resumes: u64,
    /// A relay failed and was left for another.
    pub relay_moves: u64,
    /// The endpoint was made anew.
    pub rebuilds: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    resumes: AtomicU64,
    relay_moves: AtomicU64,
    rebuilds: AtomicU64,
}

impl Counters {
    pub(super) fn report(&self, network_changes: u64) -> CareReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CareReport {
            network_changes,
            resumes: read(&self.resumes),
            relay_moves: read(&self.relay_moves),
            rebuilds: read(&self.rebuilds),
        }
    }
}

/// The care of one peer.
pub(super) struct Care {
    shared: Arc<Shared>,
    clock: Clock,
    home: HomeCare<RelayUrl>,
    watchdog: Watchdog,
    /// Relays that were lost, and when connections that still go through them are given up.
    lost: BTreeMap<RelayUrl, Instant>,
    without_relay_since: Option<Instant>,
}

impl Care {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        let watchdog = Watchdog::new(now, shared.config.stuck_after);
        let clock = Clock::new(now, wall_clock());
        Self { shared, clock, home: HomeCare::new(), watchdog, lost: BTreeMap::new(), without_relay_since: None }
    }

    /// Runs until the peer is closed.
    pub(super) async fn run(mut self) {
        while let Some(endpoint) = self.shared.current.open().await {
            if let Some(why) = self.watch(&endpoint).await {
                self.rebuild(&endpoint, why).await;
            }
        }
    }

    /// Watches one endpoint. Says why it is to be replaced; nothing once it is closed.
    async fn watch(&mut self, endpoint: &Endpoint) -> Option<Why> {
        let (mut addresses, mut relays) = (endpoint.watch_addr(), endpoint.home_relay_status());
        let mut known: BTreeSet<SocketAddr> = endpoint.addr().ip_addrs().copied().collect();
        let mut home = None;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closed = std::pin::pin!(endpoint.closed());
        loop {
            let due = self.lost.values().min().copied();
            let give_up = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut closed => return None,
                changed = addresses.updated() => {
                    let now: BTreeSet<SocketAddr> = changed.ok()?.ip_addrs().copied().collect();
                    if now.difference(&known).next().is_some() {
                        self.shared.news.tell();
                    }
                    known = now;
                }
                changed = relays.updated() => {
                    changed.ok()?;
                }
                _ = tick.tick() => self.look_at_the_clock(endpoint).await,
                () = give_up => self.give_up_lost(),
            }
            let status = relays.get();
            let now_home = status.iter().find(|status| status.is_connected()).map(|status| status.url().clone());
            if now_home.is_some() && now_home != home {
                if home.is_some() {
                    self.shared.news.tell();
                }
                home = now_home;
            }
            self.look_at_the_relay(endpoint, status.first()).await;
            if let Some(why) = self.look_at_the_whole(status.first()) {
                return Some(why);
            }
        }
    }

    async fn look_at_the_clock(&mut self, endpoint: &Endpoint) {
        if let Some(slept) = self.clock.slept(Instant::now(), wall_clock()) {
            tracing::info!("the machine slept for {} s", slept.as_secs());
            self.shared.counters.resumes.fetch_add(1, Ordering::Relaxed);
            endpoint.network_change().await;
            self.shared.news.tell();
        }
    }

    async fn look_at_the_relay(&mut self, endpoint: &Endpoint, status: Option<&RelayStatus>) {
        let home = status.map(|status| Home { url: status.url().clone(), link: link(status) });
        let listed = self.shared.relays.listed();
        let steps = self.home.look(Instant::now(), home.as_ref(), listed);
        if steps.is_empty() {
            return;
        }
        for step in steps {
            match step {
                Step::Restore(url) => {
                    if let Some(config) = self.shared.relays.list(&url) {
                        endpoint.insert_relay(url, config).await;
                    }
                }
                Step::Remove(url) => {
                    tracing::warn!("the relay {url} failed ({}); looking for another", why_failed(status));
                    self.shared.counters.relay_moves.fetch_add(1, Ordering::Relaxed);
                    self.shared.relays.unlist(&url);
                    endpoint.remove_relay(&url).await;
                    self.lost.insert(url, Instant::now() + LOST_RELAY_GRACE);
                    endpoint.network_change().await;
                }
            }
        }
    }

    /// Closes what still goes through a relay that is gone, so that it is dialled again over another.
    fn give_up_lost(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.lost.iter().filter(|(_, due)| **due <= now).map(|(url, _)| url.clone()).collect();
        for url in due {
            self.lost.remove(&url);
            if !self.shared.relays.is_listed(&url) {
                self.shared.registry.close_relayed_by(&url, VarInt::from_u32(0), "its relay is gone");
            }
        }
    }

    fn look_at_the_whole(&mut self, status: Option<&RelayStatus>) -> Option<Why> {
        let now = Instant::now();
        let connected = status.is_some_and(RelayStatus::is_connected);
        let wanted = self.shared.config.relays.are_known() && !connected;
        self.without_relay_since = wanted.then(|| self.without_relay_since.unwrap_or(now));
        let pulse = self.shared.registry.pulse(now, self.shared.config.idle_timeout * 2);
        self.watchdog.look(
            now,
            Vitals {
                alive: pulse.alive,
                silent: pulse.silent,
                failing_since: self.shared.attempts.failing_since(),
                without_relay_since: self.without_relay_since,
            },
        )
    }

    /// Opens another endpoint in the place of one that is of no use any more.
    async fn rebuild(&mut self, endpoint: &Endpoint, why: Why) {
        tracing::warn!("making the endpoint anew: {why}");
        self.shared.counters.rebuilds.fetch_add(1, Ordering::Relaxed);
        let bound = endpoint.bound_sockets();
        if timeout(CLOSE_TIMEOUT, endpoint.close()).await.is_err() {
            tracing::warn!("the old endpoint does not close");
        }
        self.home = HomeCare::new();
        self.lost.clear();
        self.shared.relays.list_all();
        let mut attempts = 0;
        while !self.shared.current.is_closed() {
            attempts += 1;
            let ports = if attempts <= REOPEN_SAME { &bound[..] } else { &[] };
            match Box::pin(endpoint::open(&self.shared.config, ports)).await {
                Ok(endpoint) => return self.install(endpoint).await,
                Err(error) => tracing::warn!("the endpoint cannot be opened anew, trying again: {error}"),
            }
            sleep(REOPEN_PAUSE).await;
        }
    }

    async fn install(&self, endpoint: Endpoint) {
        for (url, config) in self.shared.relays.learned() {
            endpoint.insert_relay(url, config).await;
        }
        endpoint.set_alpns(self.shared.listener.protocols());
        match self.shared.current.replace(endpoint) {
            Ok(()) => self.shared.news.tell(),
            Err(endpoint) => endpoint.close().await,
        }
    }
}

fn link(status: &RelayStatus) -> Link {
    if status.is_connected() {
        Link::Up
    } else if status.last_error().is_some() {
        Link::Failed
    } else {
        Link::Dialling
    }
}

fn why_failed(status: Option<&RelayStatus>) -> String {
    let denied =
        status.and_then(RelayStatus::auth_denied_reason).map(|reason| format!("it refuses this peer: {reason}"));
    let error = || status.and_then(RelayStatus::last_error).map(|error| format!("{error:#}"));
    denied.or_else(error).unwrap_or_else(|| "it does not answer".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "asked of real machines only, to notice that they slept")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
