//! Decides when to look whether a relay is back, and what to do once it is.
//!
//! Iroh 1.4 by itself is late after an outage: it looks for a first home every 20 to 26 s, it dials a lost one after pauses
//! of up to 16 s, and a connection to it that swallows everything is noticed after 20 s. Nothing hastens any of that but a
//! change of the list of relays, and only while there is no home; or another endpoint.

use std::time::Duration;

use tokio::time::Instant;

use super::home::Link;

/// How often relays are knocked at during an outage: at first, and after [`EAGER_FOR`].
const KNOCK_INTERVAL: Duration = Duration::from_secs(1);
const KNOCK_INTERVAL_LATE: Duration = Duration::from_secs(5);
const EAGER_FOR: Duration = Duration::from_mins(3);

/// ... and while the relay is in order and only the other side is silent.
const KNOCK_INTERVAL_IDLE: Duration = Duration::from_secs(30);
const IN_ORDER_AFTER: Duration = Duration::from_secs(10);

/// A home that is away for no longer than this needs nothing: a relay that restarts is dialled after 10 ms.
const AWAY_MIN: Duration = Duration::from_secs(1);

/// How long a relay that accepts connections again may take to become home by itself, besides the round trips that this
/// takes: TCP, TLS, HTTP and the relay's own handshake, and what is lost of them.
const GRACE: Duration = Duration::from_millis(250);
const GRACE_ROUND_TRIPS: u32 = 8;

/// Between two looks for a home.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

/// Between two new endpoints that do not help; doubles.
const REBUILD_PAUSE_MIN: Duration = Duration::from_secs(10);
const REBUILD_PAUSE_MAX: Duration = Duration::from_mins(5);

/// What can be seen at one moment.
#[expect(clippy::struct_excessive_bools, reason = "each is seen by itself")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sight {
    /// Relays are known.
    pub(super) wanted: bool,
    /// How the home relay is; `None` without one.
    pub(super) home: Option<Link>,
    /// The home relay does not want this peer.
    pub(super) denied: bool,
    /// Connections are open.
    pub(super) open: bool,
    /// Nothing arrives: on no open connection, or none of the attempts to make one was answered.
    pub(super) silent: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Look whether the relays accept connections.
    Knock,
    /// Have Iroh look for a home now.
    Ask,
    /// Make the endpoint anew.
    Rebuild,
}

/// Watches for outages. Pure: what it says is for others to do.
#[derive(Debug)]
pub(super) struct Outage {
    /// Since when something is wrong.
    since: Option<Instant>,
    last_knock: Option<Instant>,
    /// No relay accepted a connection in this outage, at least once.
    shut: bool,
    /// Since when one does again, and the shortest time that it took to.
    accepts: Option<(Instant, Duration)>,
    last_ask: Option<Instant>,
    last_rebuild: Option<Instant>,
    rebuild_pause: Duration,
}

impl Outage {
    pub(super) const fn new() -> Self {
        Self {
            since: None,
            last_knock: None,
            shut: false,
            accepts: None,
            last_ask: None,
            last_rebuild: None,
            rebuild_pause: REBUILD_PAUSE_MIN,
        }
    }

    /// The network changed: what was found out before counts no more, and there is no time to lose.
    pub(super) fn network_changed(&mut self) {
        self.last_knock = None;
        self.accepts = None;
        self.last_ask = None;
        self.last_rebuild = None;
    }

    /// A relay accepted a connection within this time, or none did.
    pub(super) fn knocked(&mut self, now: Instant, accepted: Option<Duration>) {
        match (accepted, &mut self.accepts) {
            (Some(took), Some((_, shortest))) => *shortest = took.min(*shortest),
            (Some(took), none) => *none = Some((now, took)),
            (None, accepts) => {
                *accepts = None;
                self.shut = true;
            }
        }
    }

    /// Ask often.
    pub(super) fn look(&mut self, now: Instant, sight: Sight) -> Option<Act> {
        let away = sight.home != Some(Link::Up);
        if !sight.wanted || sight.denied || (!away && !sight.silent) {
            if sight.open && !sight.silent {
                self.rebuild_pause = REBUILD_PAUSE_MIN;
            }
            (self.since, self.shut, self.accepts) = (None, false, None);
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let lasts = now.saturating_duration_since(since);
        if away && !sight.silent && lasts < AWAY_MIN {
            return None;
        }
        let after = |last: Option<Instant>, pause| last.is_none_or(|last| now.saturating_duration_since(last) >= pause);
        let back = self
            .accepts
            .is_some_and(|(since, took)| now.saturating_duration_since(since) >= GRACE + took * GRACE_ROUND_TRIPS);
        if self.accepts.is_some() && sight.home.is_none() && after(self.last_ask, ASK_INTERVAL) {
            self.last_ask = Some(now);
            return Some(Act::Ask);
        }
        // A home that is up although no relay accepted a connection has one that swallows everything.
        let stuck = sight.home.is_some() && (away || self.shut);
        if back && stuck && !sight.open && after(self.last_rebuild, self.rebuild_pause) {
            if self.last_rebuild.is_some() {
                self.rebuild_pause = (self.rebuild_pause * 2).min(REBUILD_PAUSE_MAX);
            }
            *self = Self { last_rebuild: Some(now), rebuild_pause: self.rebuild_pause, ..Self::new() };
            return Some(Act::Rebuild);
        }
        let in_order = !stuck
            && sight.home.is_some()
            && self.accepts.is_some_and(|(since, _)| now.saturating_duration_since(since) >= IN_ORDER_AFTER);
        let interval = match (in_order, lasts < EAGER_FOR) {
            (true, _) => KNOCK_INTERVAL_IDLE,
            (false, true) => KNOCK_INTERVAL,
            (false, false) => KNOCK_INTERVAL_LATE,
        };
        after(self.last_knock, interval).then(|| {
            self.last_knock = Some(now);
            Act::Knock
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(250);

    /// What is done in so many seconds, and when, in ticks. `accepts` says whether relays accept connections.
    fn play(
        outage: &mut Outage,
        seconds: u32,
        accepts: impl Fn(u32) -> bool,
        sight: impl Fn(u32) -> Sight,
    ) -> Vec<(u32, Act)> {
        let start = Instant::now();
        let mut acts = Vec::new();
        for tick in 0..seconds * 4 {
            let now = start + TICK * tick;
            if let Some(act) = outage.look(now, sight(tick)) {
                acts.push((tick, act));
                if act == Act::Knock {
                    outage.knocked(now, accepts(tick).then_some(Duration::ZERO));
                }
            }
        }
        acts
    }

    fn without_knocks(acts: Vec<(u32, Act)>) -> Vec<(u32, Act)> {
        acts.into_iter().filter(|(_, act)| *act != Act::Knock).collect()
    }

    fn sight(home: Option<Link>) -> Sight {
        Sight { wanted: true, home, ..Sight::default() }
    }

    #[test]
    fn nothing_is_done_while_all_is_well_or_no_relay_is_wanted() {
        let well = Sight { open: true, ..sight(Some(Link::Up)) };
        assert_eq!(play(&mut Outage::new(), 60, |_| true, |_| well), []);
        let without = Sight { silent: true, ..Sight::default() };
        assert_eq!(play(&mut Outage::new(), 60, |_| true, |_| without), []);
    }

    #[test]
    fn a_relay_that_never_answered_is_asked_for_as_soon_as_it_accepts_connections() {
        let acts = play(&mut Outage::new(), 20, |tick| tick >= 40, |_| sight(None));
        assert!(acts.iter().all(|(tick, act)| *act == Act::Knock || *tick >= 40), "{acts:?}");
        let first = acts.iter().find(|(_, act)| *act == Act::Ask).expect("it is asked for");
        assert!(first.0 <= 45, "{acts:?}");
    }

    #[test]
    fn a_home_that_is_back_but_not_dialled_makes_a_new_endpoint_unless_a_connection_is_open() {
        for home in [Link::Failed, Link::Dialling] {
            let acts = play(&mut Outage::new(), 20, |tick| tick >= 40, |_| sight(Some(home)));
            let rebuilds = without_knocks(acts);
            assert!(matches!(rebuilds[..], [(40..=48, Act::Rebuild)]), "{rebuilds:?}");
            let open = |_| Sight { open: true, ..sight(Some(home)) };
            assert_eq!(without_knocks(play(&mut Outage::new(), 20, |tick| tick >= 40, open)), []);
        }
    }

    #[test]
    fn a_home_that_swallows_everything_is_found_out_only_if_no_connection_was_accepted() {
        let silent = |_| Sight { silent: true, ..sight(Some(Link::Up)) };
        assert_eq!(without_knocks(play(&mut Outage::new(), 20, |_| true, silent)), [], "the other side is gone");
        let rebuilds = without_knocks(play(&mut Outage::new(), 20, |tick| tick >= 40, silent));
        assert!(matches!(rebuilds[..], [(40..=48, Act::Rebuild)]), "{rebuilds:?}");
    }

    #[test]
    fn new_endpoints_that_do_not_help_become_rare() {
        let acts = play(&mut Outage::new(), 600, |_| true, |_| sight(Some(Link::Failed)));
        let rebuilds = without_knocks(acts);
        assert!((4..=8).contains(&rebuilds.len()), "{rebuilds:?}");
        assert!(rebuilds.windows(3).all(|three| three[2].0 - three[1].0 > three[1].0 - three[0].0), "{rebuilds:?}");
    }

    #[test]
    fn a_relay_that_does_not_want_this_peer_is_left_alone() {
        let denied = |_| Sight { denied: true, ..sight(Some(Link::Failed)) };
        assert_eq!(play(&mut Outage::new(), 60, |_| true, denied), []);
    }

    #[test]
    fn a_change_of_the_network_ends_all_waiting() {
        let mut outage = Outage::new();
        let failed = |_| sight(Some(Link::Failed));
        let acts = play(&mut outage, 4, |_| true, failed);
        assert_eq!(without_knocks(acts).len(), 1);
        outage.network_changed();
        assert_eq!(without_knocks(play(&mut outage, 4, |_| true, failed)).len(), 1);
    }
}
