//! Decides when an endpoint is wedged, so that nothing but a new one helps.
//!
//! The layers below are known to get stuck: a relay client that is "connecting" for hours, a driver that sends nothing.
//! What counts is therefore what can be seen from above: packets that arrive, attempts that end, a relay that answers.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// The longest pause between two new endpoints that do not help either.
const PAUSE_MAX: Duration = Duration::from_mins(15);

/// What can be seen at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vitals {
    /// Packets arrive on at least one connection: nothing is to be touched.
    pub(super) alive: bool,
    /// Connections are open, and have received nothing for longer than the transport would let pass.
    pub(super) silent: bool,
    /// Every attempt to connect timed out since then.
    pub(super) failing_since: Option<Instant>,
    /// A relay is configured, and there was none since then.
    pub(super) without_relay_since: Option<Instant>,
}

/// Why an endpoint is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Silent,
    Failing,
    WithoutRelay,
    /// The network changed, and the first attempt after that got no answer: something still looks the old way.
    Moved,
    /// A relay that was in use is gone. Iroh 1.4 sends to all relays through one queue, which stands still while the
    /// packets for one of them cannot leave: for up to 76 s.
    RelayGone,
    /// The relay accepts connections again, and Iroh does not dial it.
    RelayBack,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "open connections receive nothing, and are not given up",
            Self::Failing => "every attempt to connect times out",
            Self::WithoutRelay => "no relay can be reached",
            Self::Moved => "nobody answers after a change of the network",
            Self::RelayGone => "the relay of its connections is gone",
            Self::RelayBack => "the relay is back and is not dialled yet",
        })
    }
}

/// Watches the vitals.
pub(super) struct Watchdog {
    stuck_after: Duration,
    /// Grows while new endpoints do not help.
    pause: Duration,
    /// Signs from before this moment do not count: the last new endpoint, or the last time that all was well.
    since: Instant,
    silent_since: Option<Instant>,
}

impl Watchdog {
    pub(super) const fn new(now: Instant, stuck_after: Duration) -> Self {
        Self { stuck_after, pause: stuck_after, since: now, silent_since: None }
    }

    /// There is another endpoint now.
    pub(super) fn rebuilt(&mut self, now: Instant) {
        self.since = now;
        self.silent_since = None;
    }

    /// Why the endpoint is to be replaced, if it is. Ask every second.
    pub(super) fn look(&mut self, now: Instant, vitals: Vitals) -> Option<Why> {
        if vitals.alive {
            *self = Self::new(now, self.stuck_after);
            return None;
        }
        self.silent_since = vitals.silent.then(|| self.silent_since.unwrap_or(now));
        let signs = [
            (Why::Silent, self.silent_since),
            (Why::Failing, vitals.failing_since),
            (Why::WithoutRelay, vitals.without_relay_since),
        ];
        let long = |since: &Instant| now.saturating_duration_since((*since).max(self.since)) >= self.pause;
        let why = signs.into_iter().find(|(_, since)| since.as_ref().is_some_and(long)).map(|(why, _)| why)?;
        self.since = now;
        self.silent_since = None;
        self.pause = (self.pause * 2).min(PAUSE_MAX.max(self.stuck_after));
        Some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUCK: Duration = Duration::from_mins(1);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// At which seconds of an hour a new endpoint is made.
    fn hour(vitals: impl Fn(u64, Instant) -> Vitals) -> Vec<(u64, Why)> {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start, STUCK);
        let look = |second| Some((second, watchdog.look(start + seconds(second), vitals(second, start))?));
        (0..3600).filter_map(look).collect()
    }

    #[test]
    fn without_signs_nothing_happens() {
        assert_eq!(hour(|_, _| Vitals::default()), []);
    }

    #[test]
    fn signs_that_last_make_new_endpoints_ever_more_rarely() {
        let failing = |_, start| Vitals { failing_since: Some(start), ..Vitals::default() };
        let at: Vec<u64> = hour(failing).iter().map(|(second, _)| *second).collect();
        assert_eq!(at, [60, 180, 420, 900, 1800, 2700]);
    }

    #[test]
    fn a_connection_that_lives_is_never_touched() {
        let vitals = |_, start| Vitals {
            alive: true,
            silent: true,
            failing_since: Some(start),
            without_relay_since: Some(start),
        };
        assert_eq!(hour(vitals), []);
    }

    #[test]
    fn after_a_time_in_which_all_was_well_it_is_as_at_first() {
        let vitals = |second, start| Vitals {
            alive: (500..510).contains(&second),
            without_relay_since: Some(start),
            ..Vitals::default()
        };
        let at: Vec<u64> = hour(vitals).iter().map(|(second, _)| *second).collect();
        assert_eq!(at[..4], [60, 180, 420, 569]);
    }

    #[test]
    fn silence_counts_from_its_beginning() {
        let vitals = |second, _| Vitals { silent: second >= 100 && second != 130, ..Vitals::default() };
        assert_eq!(hour(vitals)[0], (191, Why::Silent));
    }
}
