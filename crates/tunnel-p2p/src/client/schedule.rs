//! When attempts to connect begin.
//!
//! An attempt that begins while a link is dead is of little use once the link is back: noq 1.4 repeats its first packet
//! after 1 s, then after 2 s, then after 3 s. So while somebody wants the host, a fresh attempt begins every second beside
//! those that are still under way, and the first that is answered wins: the first packet after the link is back leaves at
//! most a second later. Without demand one attempt follows the other, after pauses that grow.

use std::time::Duration;

use tokio::time::Instant;

/// How often a fresh attempt begins while somebody wants the host; a quarter of it is left to chance.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(1);

/// Attempts under way at once: those of `connect_timeout`, 5 s by default, and one for news of the network.
pub(super) const ATTEMPTS_MAX: usize = 8;

/// The next attempt.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The limits of the pause after a failed attempt.
    pause_min: Duration,
    pause_max: Duration,
    pause: Duration,
    last: Option<Instant>,
    /// `None`: after those under way.
    due: Option<Instant>,
}

impl Schedule {
    /// The first attempt begins now.
    pub(super) const fn new(now: Instant, pause_min: Duration, pause_max: Duration) -> Self {
        Self { pause_min, pause_max, pause: pause_min, last: None, due: Some(now) }
    }

    /// When the next attempt is to begin; `None` as long as others are under way.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// An attempt has begun.
    pub(super) fn begun(&mut self, now: Instant, wanted: bool, random: &mut fastrand::Rng) {
        self.last = Some(now);
        self.due = wanted.then(|| now + shortened(ATTEMPT_INTERVAL, random));
    }

    /// An attempt has failed, and so many are left. Those that are refused at once fail often: the pause holds for them.
    pub(super) fn failed(&mut self, now: Instant, left: usize, wanted: bool, random: &mut fastrand::Rng) {
        if left > 0 {
            return;
        }
        let pause_max = if wanted { self.pause_max.min(ATTEMPT_INTERVAL) } else { self.pause_max };
        let pause = self.pause.min(pause_max);
        // Half to one and a half times the pause; no more than the whole while somebody waits.
        let jittered = if wanted { shortened(pause, random) } else { pause.mul_f64(0.5 + random.f64()) };
        self.pause = (pause * 2).min(pause_max.max(self.pause));
        self.due = Some(now + jittered);
    }

    /// Somebody wants the host now.
    pub(super) fn wanted(&mut self, now: Instant) {
        self.no_later_than(now, ATTEMPT_INTERVAL);
    }

    /// What failed before may work now.
    pub(super) fn network_changed(&mut self, now: Instant) {
        self.pause = self.pause_min;
        self.no_later_than(now, self.pause_min / 4);
    }

    /// So soon after the last attempt, or now.
    fn no_later_than(&mut self, now: Instant, interval: Duration) {
        let soon = self.last.map_or(now, |last| last + interval).max(now);
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }
}

fn shortened(pause: Duration, random: &mut fastrand::Rng) -> Duration {
    pause.mul_f64(0.75 + random.f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(250);
    const MAX: Duration = Duration::from_secs(5);
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// When attempts begin of which each ends without an answer after 5 s.
    fn silence(seconds: u64, wanted: impl Fn(Duration) -> bool) -> Vec<Duration> {
        let start = Instant::now();
        let mut random = fastrand::Rng::with_seed(1);
        let mut schedule = Schedule::new(start, MIN, MAX);
        let (mut begun, mut under_way) = (Vec::new(), Vec::<Instant>::new());
        let mut now = start;
        while now < start + Duration::from_secs(seconds) {
            under_way.sort_unstable();
            if under_way.first().is_some_and(|end| *end <= now) {
                under_way.remove(0);
                schedule.failed(now, under_way.len(), wanted(now - start), &mut random);
            }
            if schedule.due().is_some_and(|due| due <= now) && under_way.len() < ATTEMPTS_MAX {
                begun.push(now - start);
                under_way.push(now + TIMEOUT);
                schedule.begun(now, wanted(now - start), &mut random);
            }
            now += Duration::from_millis(10);
        }
        begun
    }

    #[test]
    fn while_somebody_wants_the_host_a_fresh_attempt_begins_every_second() {
        let begun = silence(120, |_| true);
        let longest = begun.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max();
        assert!(longest <= Some(ATTEMPT_INTERVAL + Duration::from_millis(20)), "{longest:?}");
        assert!(begun.len() < 170, "{}", begun.len());
    }

    #[test]
    fn without_demand_one_attempt_follows_the_other() {
        let begun = silence(120, |_| false);
        assert!(begun.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) > TIMEOUT), "{begun:?}");
        assert!(
            begun.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) <= TIMEOUT + MAX.mul_f64(1.51)),
            "{begun:?}"
        );
    }

    #[test]
    fn refusals_are_not_answered_with_a_storm() {
        let (start, mut random) = (Instant::now(), fastrand::Rng::with_seed(1));
        for (wanted, most) in [(true, 140), (false, 40)] {
            let mut schedule = Schedule::new(start, MIN, MAX);
            let (mut now, mut count) = (start, 0);
            while now < start + Duration::from_secs(100) {
                schedule.begun(now, wanted, &mut random);
                schedule.failed(now, 0, wanted, &mut random);
                count += 1;
                now = schedule.due().expect("none is under way");
            }
            assert!(count < most, "{count}");
        }
    }

    #[test]
    fn news_of_the_network_and_demand_hasten_the_next_attempt() {
        let (start, mut random) = (Instant::now(), fastrand::Rng::with_seed(1));
        let mut schedule = Schedule::new(start, MIN, MAX);
        schedule.begun(start, false, &mut random);
        assert_eq!(schedule.due(), None);
        let later = start + Duration::from_secs(3);
        schedule.wanted(later);
        assert_eq!(schedule.due(), Some(later));
        schedule.begun(later, false, &mut random);
        schedule.network_changed(later);
        assert_eq!(schedule.due(), Some(later + MIN / 4));
    }
}
