//! Keeps a peer reachable: what the endpoint does not do by itself, or does too late.

mod clock;
mod home;
mod knocks;
mod outage;
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
use netwatch::netmon::{Monitor, State};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};

use self::{
    clock::Clock,
    home::{Home, HomeCare, Link, Step},
    knocks::{Doubt, Knocked, Knocks},
    outage::{Act, Outage, Sight},
    watchdog::{Vitals, Watchdog, Why},
};
use super::{Shared, endpoint, report};

/// How often everything is looked at that tells no news by itself.
const TICK: Duration = Duration::from_millis(250);

/// How long a connection over a relay that was lost may take to find another way. A relay that restarts is back sooner.
const LOST_RELAY_GRACE: Duration = Duration::from_millis(500);

/// A connection on which nothing arrived for this long, and two round trips, may have lost its relay: each side says once a
/// second that it lives.
const QUIET_MIN: Duration = Duration::from_millis(1250);

/// How long a relay may take to accept a TCP connection when that is in doubt, besides the round trips, and how often it is
/// asked.
const KNOCK_TIMEOUT: Duration = Duration::from_millis(700);
const KNOCK_ROUND_TRIPS: u32 = 3;
const KNOCK_INTERVAL: Duration = Duration::from_secs(1);

/// The same for a relay that was away, whose distance is not known: three overlapping knocks.
const RETURN_TIMEOUT: Duration = Duration::from_secs(3);

/// All connections are silent when nothing arrived on any of them for this long, and two round trips.
const SILENT_MIN: Duration = Duration::from_millis(2250);

/// How long it is remembered that the last connections ended in silence: the other side may be about to come back.
const SILENCE_MEMORY: Duration = Duration::from_mins(5);

/// A change of the network is remembered for so long.
const CHANGE_MEMORY: Duration = Duration::from_mins(1);

/// How often relays are asked anew for our public address because a direct path was lost.
const ASK_INTERVAL: Duration = Duration::from_secs(5);

/// A wedged endpoint may hang when it is closed, too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// So many old endpoints may be closing at once.
const CLOSING_MAX: usize = 4;

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
    outage: Outage,
    knocks: Knocks,
    watchdog: Watchdog,
    /// Relays that were lost, and when connections that still go through them are given up.
    lost: BTreeMap<RelayUrl, Instant>,
    without_relay_since: Option<Instant>,
    /// When all open connections were last seen silent, unless some have been heard since.
    silent: Option<Instant>,
    /// When the network last changed, until that is dealt with.
    changed: Option<Instant>,
    /// Endpoints that were replaced and are not closed yet.
    closing: JoinSet<()>,
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
            outage: Outage::new(),
            knocks: Knocks::default(),
            watchdog,
            lost: BTreeMap::new(),
            without_relay_since: None,
            silent: None,
            changed: None,
            closing: JoinSet::new(),
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
        // Iroh tells of new addresses only after it has asked the relays, for up to 5 s if they do not answer.
        let monitor =
            Monitor::new().await.inspect_err(|error| tracing::debug!("no news of the network: {error:#}")).ok();
        let mut interfaces = monitor.as_ref().map(Monitor::interface_state);
        let mut machine = interfaces.as_mut().map(Watcher::get);
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
                now = updated(interfaces.as_mut()) => {
                    let moved = machine.as_ref().is_none_or(|before| now.is_major_change(before));
                    // Without an address there is nothing to be tried again.
                    if moved && (now.have_v4 || now.have_v6) {
                        self.network_changed();
                    }
                    machine = Some(now);
                }
                knocked = self.knocks.next() => dead.extend(self.dead_relay(knocked)),
                _ = tick.tick() => {
                    self.look_at_the_clock(endpoint).await;
                    self.doubt_quiet_relays();
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
            if let Some(why) = self.look_for_an_outage(endpoint, status.first()).await {
                return Some(why);
            }
            if let Some(why) = self.look_at_the_whole(status.first()) {
                return Some(why);
            }
        }
    }

    fn network_changed(&mut self) {
        self.changed = Some(Instant::now());
        self.outage.network_changed();
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

    /// Knocks at the relays of quiet connections. Iroh tells the state of the home only.
    fn doubt_quiet_relays(&mut self) {
        let now = Instant::now();
        if self.last_knock.is_some_and(|last| now.saturating_duration_since(last) < KNOCK_INTERVAL) {
            return;
        }
        let mut quiet = self.shared.registry.quiet_relays(now, QUIET_MIN);
        quiet.retain(|url, _| self.shared.relays.is_listed(url));
        if quiet.is_empty() || self.shared.relays.listed() < 2 {
            return;
        }
        self.last_knock = Some(now);
        for (url, rtt) in quiet {
            self.knocks.knock(url, Doubt::Quiet, KNOCK_TIMEOUT + rtt * KNOCK_ROUND_TRIPS);
        }
    }

    /// The relay, if it accepts no connection and its own connections are still quiet.
    fn dead_relay(&mut self, knocked: Knocked) -> Option<RelayUrl> {
        let Knocked { url, doubt, accepted, unknown } = knocked;
        let now = Instant::now();
        match doubt {
            Doubt::Away => {
                self.outage.knocked(now, accepted);
                None
            }
            Doubt::Quiet => {
                let dead = accepted.is_none() && !unknown;
                (dead && self.shared.registry.quiet_relays(now, QUIET_MIN).contains_key(&url)).then_some(url)
            }
        }
    }

    /// Looks whether relays are back, and what is to be done about it.
    async fn look_for_an_outage(&mut self, endpoint: &Endpoint, status: Option<&RelayStatus>) -> Option<Why> {
        let now = Instant::now();
        let (open, silent) = self.shared.registry.silence(now, SILENT_MIN);
        if open {
            self.silent = silent.then_some(now);
        }
        let ended_silent = self.silent.is_some_and(|last| now.saturating_duration_since(last) < SILENCE_MEMORY);
        let sight = Sight {
            wanted: self.shared.relays.listed() > 0,
            home: status.map(link),
            denied: status.is_some_and(|status| status.auth_denied_reason().is_some()),
            open,
            silent: silent || (!open && (ended_silent || self.shared.attempts.unanswered())),
        };
        match self.outage.look(now, sight)? {
            Act::Knock => match status {
                Some(status) => self.knocks.knock(status.url().clone(), Doubt::Away, RETURN_TIMEOUT),
                None => {
                    for url in self.shared.relays.urls() {
                        self.knocks.knock(url, Doubt::Away, RETURN_TIMEOUT);
                    }
                }
            },
            Act::Ask => self.ask_relays(endpoint).await,
            Act::Rebuild => return Some(Why::RelayBack),
        }
        None
    }

    /// After the loss of a direct path our public address may be another one. Iroh itself asks every 20 to 26 s.
    async fn look_at_the_paths(&mut self, endpoint: &Endpoint, status: Option<&RelayStatus>) {
        let now = Instant::now();
        let recently = self.last_asked.is_some_and(|last| now.saturating_duration_since(last) < ASK_INTERVAL);
        if !self.shared.registry.fell_back() || recently {
            return;
        }
        let Some(url) = status.map(RelayStatus::url) else { return };
        if self.shared.relays.is_listed(url) {
            self.last_asked = Some(now);
            self.ask_relays(endpoint).await;
        }
    }

    /// Has Iroh ask the relays now. Any change of their list does that, also one that changes nothing.
    async fn ask_relays(&self, endpoint: &Endpoint) {
        let Some(url) = self.shared.relays.urls().pop() else { return };
        if let Some(config) = self.shared.relays.list(&url) {
            endpoint.insert_relay(url, config).await;
        }
    }

    async fn look_at_the_relays(&mut self, endpoint: &Endpoint, status: Option<&RelayStatus>, dead: &[RelayUrl]) {
        let home = status.map(|status| Home { url: status.url().clone(), link: link(status) });
        let listed = self.shared.relays.listed();
        let far = home.as_ref().and_then(|home| report::latency(endpoint, &home.url)).unwrap_or_default();
        let steps = self.home.look(Instant::now(), home.as_ref(), far, dead, listed);
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
        let mut bound = endpoint.bound_sockets();
        let closing = async move {
            if timeout(CLOSE_TIMEOUT, endpoint.close()).await.is_err() {
                tracing::warn!("the old endpoint does not close");
            }
            // The port is free when nobody holds the endpoint any more.
            drop(endpoint);
        };
        while self.closing.try_join_next().is_some() {}
        if self.shared.config.has_any_port() && self.shared.listener.is_free() && self.closing.len() < CLOSING_MAX {
            // Nobody looks for this peer at its port. To close takes 3 s while attempts to connect are under way.
            self.closing.spawn(closing);
            bound.clear();
        } else {
            closing.await;
        }
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

    async fn install(&mut self, endpoint: Endpoint) {
        endpoint.set_alpns(self.shared.listener.protocols());
        // What failed before says nothing about this one.
        self.shared.attempts.forget();
        self.watchdog.rebuilt(Instant::now());
        match self.shared.current.replace(endpoint) {
            Ok(()) => self.shared.news.tell(),
            Err(endpoint) => endpoint.close().await,
        }
    }
}

/// The state of the machine's interfaces when it has changed; never ready if nothing tells of that.
async fn updated(interfaces: Option<&mut (impl Watcher<Value = State> + Unpin)>) -> State {
    if let Some(interfaces) = interfaces
        && let Ok(state) = interfaces.updated().await
    {
        return state;
    }
    std::future::pending().await
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
