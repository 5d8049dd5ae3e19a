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
const TICK: Duration = Duration::from_millis(250);

/// How long a connection over a relay that was lost may take to find another way. A relay that restarts is back sooner.
const LOST_RELAY_GRACE: Duration = Duration::from_millis(500);

/// A connection on which nothing arrived for this long may have lost its relay: each side says once a second that it
/// lives.
const QUIET_MIN: Duration = Duration::from_millis(1250);

/// How long a relay may take to accept a TCP connection when that is in doubt, and how often it is asked.
const KNOCK_TIMEOUT: Duration = Duration::from_millis(700);
const KNOCK_INTERVAL: Duration = Duration::from_secs(1);

/// A change of the network is remembered for so long.
const CHANGE_MEMORY: Duration = Duration::from_mins(1);

/// How often relays are asked anew for our public address because a direct path was lost.
const ASK_INTERVAL: Duration = Duration::from_secs(5);

/// A wedged endpoint may hang when it is closed, too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between two attempts to open the sockets anew, which grows to 5 s, and how many ask for the old ports where
/// any will do.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);
const REOPEN_SAME: u32 = 20;

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
    /// When the network last changed, until that is dealt with.
    changed: Option<Instant>,
    last_knock: Option<Instant>,
    last_asked: Option<Instant>,
}

impl Care {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        let watchdog = Watchdog::new(now, shared.config.stuck_after);
        let clock = Clock::new(now, wall_clock());
        Self {
            shared,
            clock,
            home: HomeCare::new(),
            watchdog,
            lost: BTreeMap::new(),
            without_relay_since: None,
            changed: None,
            last_knock: None,
            last_asked: None,
        }
    }

    /// Runs until the peer is closed.
    pub(super) async fn run(mut self) {
        while let Some((_, endpoint)) = self.shared.current.open().await {
            if let Some(why) = self.watch(&endpoint).await {
                self.rebuild(endpoint, why).await;
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
            let mut dead = Vec::new();
            tokio::select! {
                biased;
                () = &mut closed => return None,
                changed = addresses.updated() => {
                    let now: BTreeSet<SocketAddr> = changed.ok()?.ip_addrs().copied().collect();
                    if now.difference(&known).next().is_some() {
                        self.network_changed();
                    }
                    known = now;
                }
                changed = relays.updated() => {
                    changed.ok()?;
                }
                _ = tick.tick() => {
                    self.look_at_the_clock(endpoint).await;
                    dead = self.dead_relays().await;
                    self.look_at_the_paths(endpoint, relays.get().first()).await;
                }
                () = give_up => if let Some(why) = self.give_up_lost() {
                    return Some(why);
                },
            }
            let status = relays.get();
            let now_home = status.iter().find(|status| status.is_connected()).map(|status| status.url().clone());
            if now_home.is_some() && now_home != home {
                if home.is_some() {
                    self.shared.news.tell();
                }
                home = now_home;
            }
            self.look_at_the_relays(endpoint, status.first(), &dead).await;
            if let Some(why) = self.look_at_the_whole(status.first()) {
                return Some(why);
            }
        }
    }

    fn network_changed(&mut self) {
        self.changed = Some(Instant::now());
        self.shared.news.tell();
    }

    async fn look_at_the_clock(&mut self, endpoint: &Endpoint) {
        if let Some(slept) = self.clock.slept(Instant::now(), wall_clock()) {
            tracing::info!("the machine slept for {} s", slept.as_secs());
            self.shared.counters.resumes.fetch_add(1, Ordering::Relaxed);
            endpoint.network_change().await;
            self.network_changed();
        }
    }

    /// The relays of silent connections that accept no TCP connection either. Iroh tells the state of the home only.
    async fn dead_relays(&mut self) -> Vec<RelayUrl> {
        let now = Instant::now();
        if self.last_knock.is_some_and(|last| now.saturating_duration_since(last) < KNOCK_INTERVAL) {
            return Vec::new();
        }
        let mut quiet = self.shared.registry.quiet_relays(now, QUIET_MIN);
        quiet.retain(|url| self.shared.relays.is_listed(url));
        if quiet.is_empty() || self.shared.relays.listed() < 2 {
            return Vec::new();
        }
        self.last_knock = Some(now);
        let knocks = quiet.into_iter().map(|url| async move { (!is_open(&url).await).then_some(url) });
        futures::future::join_all(knocks).await.into_iter().flatten().collect()
    }

    /// After the loss of a direct path our public address may be another one. Iroh itself asks every 20 to 26 s.
    async fn look_at_the_paths(&mut self, endpoint: &Endpoint, status: Option<&RelayStatus>) {
        let now = Instant::now();
        let recently = self.last_asked.is_some_and(|last| now.saturating_duration_since(last) < ASK_INTERVAL);
        if !self.shared.registry.fell_back() || recently {
            return;
        }
        let Some(url) = status.map(RelayStatus::url) else { return };
        if self.shared.relays.is_listed(url)
            && let Some(config) = self.shared.relays.list(url)
        {
            self.last_asked = Some(now);
            // The same as before; but any change of the list makes it ask at once.
            endpoint.insert_relay(url.clone(), config).await;
        }
    }

    async fn look_at_the_relays(&mut self, endpoint: &Endpoint, status: Option<&RelayStatus>, dead: &[RelayUrl]) {
        let home = status.map(|status| Home { url: status.url().clone(), link: link(status) });
        let listed = self.shared.relays.listed();
        let steps = self.home.look(Instant::now(), home.as_ref(), dead, listed);
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
                    let status = status.filter(|status| *status.url() == url);
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

    /// Gives up what still goes through a relay that is gone, so that it is made again over another. Says why the endpoint
    /// is to be replaced, if nothing that lives is in the way of that.
    fn give_up_lost(&mut self) -> Option<Why> {
        let now = Instant::now();
        let due: Vec<_> = self.lost.iter().filter(|(_, due)| **due <= now).map(|(url, _)| url.clone()).collect();
        for url in due {
            self.lost.remove(&url);
            if self.shared.relays.is_listed(&url) {
                continue;
            }
            let traffic = self.shared.registry.traffic(&url, now, self.shared.config.path_idle_timeout);
            if traffic.busy && !traffic.beside {
                return Some(Why::RelayGone);
            }
            if traffic.through {
                // If that is not enough, the first attempt that gets no answer says so.
                self.changed = Some(now);
            }
            self.shared.registry.close_relayed_by(&url, VarInt::from_u32(0), "its relay is gone");
        }
        None
    }

    fn look_at_the_whole(&mut self, status: Option<&RelayStatus>) -> Option<Why> {
        let now = Instant::now();
        let connected = status.is_some_and(RelayStatus::is_connected);
        let wanted = self.shared.config.relays.are_known() && !connected;
        self.without_relay_since = wanted.then(|| self.without_relay_since.unwrap_or(now));
        let pulse = self.shared.registry.pulse(now, self.shared.config.idle_timeout * 2);
        if let Some(changed) = self.changed {
            if pulse.alive && !pulse.silent && now.saturating_duration_since(changed) > CHANGE_MEMORY {
                self.changed = None;
            } else if !pulse.alive && self.shared.attempts.timed_out_after(changed) {
                self.changed = None;
                return Some(Why::Moved);
            }
        }
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
    async fn rebuild(&mut self, endpoint: Endpoint, why: Why) {
        tracing::warn!("making the endpoint anew: {why}");
        self.shared.counters.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.shared.current.retire();
        let bound = endpoint.bound_sockets();
        if timeout(CLOSE_TIMEOUT, endpoint.close()).await.is_err() {
            tracing::warn!("the old endpoint does not close");
        }
        // The port is free when nobody holds the endpoint any more.
        drop(endpoint);
        self.lost.clear();
        if why != Why::RelayGone {
            self.home = HomeCare::new();
            self.shared.relays.list_all();
        }
        let mut attempts: u32 = 0;
        while !self.shared.current.is_closed() {
            attempts += 1;
            let ports = if attempts <= REOPEN_SAME { &bound[..] } else { &[] };
            match Box::pin(endpoint::open(&self.shared.config, &self.shared.relays, ports)).await {
                Ok(endpoint) => return self.install(endpoint).await,
                Err(error) => tracing::debug!("the endpoint cannot be opened anew yet: {error}"),
            }
            sleep(REOPEN_PAUSE * attempts.div_ceil(REOPEN_SAME).min(50)).await;
        }
    }

    async fn install(&self, endpoint: Endpoint) {
        endpoint.set_alpns(self.shared.listener.protocols());
        match self.shared.current.replace(endpoint) {
            Ok(()) => self.shared.news.tell(),
            Err(endpoint) => endpoint.close().await,
        }
    }
}

/// Whether a relay accepts TCP connections. If its name cannot be resolved that is no sign of its end.
async fn is_open(url: &RelayUrl) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return true };
    // IPv6 addresses stand in brackets in URLs.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let knock = async {
        let addresses = tokio::net::lookup_host((host, port)).await.ok()?;
        let mut refused = None;
        for address in addresses {
            match tokio::net::TcpStream::connect(address).await {
                Ok(_) => return Some(true),
                Err(_) => refused = Some(false),
            }
        }
        refused
    };
    timeout(KNOCK_TIMEOUT, knock).await.unwrap_or(Some(false)).unwrap_or(true)
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
