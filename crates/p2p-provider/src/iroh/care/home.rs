//! Decides which relays are left alone for a while: a home that fails, and any other through which nothing comes any more.
//!
//! Left alone, Iroh 1.4 stays with a relay that is gone for 42 to 51 s although another one is configured, since its next
//! look at all of them comes late. Taking the failed one off the list makes it look at once: measured 0.2 to 0.3 s.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// A relay that does not answer a dial for this long has failed, too. Iroh itself waits 10 s.
const DIAL_MAX: Duration = Duration::from_secs(3);

/// ... and for so many round trips: name, TCP, TLS, HTTP, the relay's own handshake, and what is lost of them.
const DIAL_ROUND_TRIPS: u32 = 8;

/// How long a failed relay stays off the list: at first, and at most.
const OFF_MIN: Duration = Duration::from_secs(15);
const OFF_MAX: Duration = Duration::from_mins(4);

/// A relay that was home for this long without failing is trusted again.
const TRUSTED_AFTER: Duration = Duration::from_mins(1);

/// How the home relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home<U> {
    pub(super) url: U,
    pub(super) link: Link,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Up,
    Dialling,
    Failed,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step<U> {
    /// Take this relay off the list, and look at the others at once.
    Remove(U),
    /// Put this one on the list again.
    Restore(U),
}

/// Which relays are off the list, and until when. Pure: what it says is for others to do.
pub(super) struct HomeCare<U> {
    off: BTreeMap<U, Instant>,
    /// How long each was off the last time.
    pauses: BTreeMap<U, Duration>,
    /// The home relay, and since when it has been as it is.
    seen: Option<(Home<U>, Instant)>,
}

impl<U: Ord + Clone> HomeCare<U> {
    pub(super) const fn new() -> Self {
        Self { off: BTreeMap::new(), pauses: BTreeMap::new(), seen: None }
    }

    /// Looks at the home relay, which is `far`, and at others that were found `dead`; `listed` relays are on the list. Ask at
    /// each change, and every second.
    pub(super) fn look(
        &mut self,
        now: Instant,
        home: Option<&Home<U>>,
        far: Duration,
        dead: &[U],
        listed: usize,
    ) -> Vec<Step<U>> {
        let since = match (&self.seen, home) {
            (Some((seen, since)), Some(home)) if seen == home => *since,
            _ => now,
        };
        self.seen = home.map(|home| (home.clone(), since));
        let mut steps: Vec<_> =
            self.off.iter().filter(|(_, until)| **until <= now).map(|(url, _)| url.clone()).collect();
        let for_long = now.saturating_duration_since(since);
        let home_failed = match home {
            Some(Home { url, link: Link::Failed }) => Some(url),
            Some(Home { url, link: Link::Dialling }) if for_long >= DIAL_MAX.max(far * DIAL_ROUND_TRIPS) => Some(url),
            Some(Home { url, link: Link::Up }) => {
                if for_long >= TRUSTED_AFTER {
                    self.pauses.remove(url);
                }
                None
            }
            _ => None,
        };
        let mut failed: Vec<&U> =
            home_failed.into_iter().chain(dead).filter(|url| !self.off.contains_key(*url)).collect();
        failed.sort_unstable();
        failed.dedup();
        if !failed.is_empty() && listed <= failed.len() {
            // The last ones: any of the others is as good.
            steps = self.off.keys().cloned().collect();
        }
        self.off.retain(|url, _| !steps.contains(url));
        let mut left = listed + steps.len();
        let mut steps: Vec<_> = steps.into_iter().map(Step::Restore).collect();
        for url in failed {
            if left <= 1 {
                break;
            }
            left -= 1;
            let pause = self.pauses.get(url).map_or(OFF_MIN, |pause| (*pause * 2).min(OFF_MAX));
            self.pauses.insert(url.clone(), pause);
            self.off.insert(url.clone(), now + pause);
            steps.push(Step::Remove(url.clone()));
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEAR: Duration = Duration::from_millis(10);

    fn home(url: &'static str, link: Link) -> Home<&'static str> {
        Home { url, link }
    }

    #[test]
    fn a_failed_home_makes_room_for_another_and_comes_back() {
        let (start, mut care) = (Instant::now(), HomeCare::new());
        assert_eq!(care.look(start, Some(&home("a", Link::Up)), NEAR, &[], 2), []);
        assert_eq!(care.look(start, Some(&home("a", Link::Failed)), NEAR, &[], 2), [Step::Remove("a")]);
        assert_eq!(care.look(start, Some(&home("a", Link::Failed)), NEAR, &[], 1), [], "once");
        assert_eq!(care.look(start + OFF_MIN, Some(&home("b", Link::Up)), NEAR, &[], 1), [Step::Restore("a")]);
        assert_eq!(care.look(start + OFF_MIN, Some(&home("a", Link::Failed)), NEAR, &[], 2), [Step::Remove("a")]);
        let twice = start + OFF_MIN + OFF_MIN;
        assert_eq!(care.look(twice, Some(&home("b", Link::Up)), NEAR, &[], 1), [], "longer after the second time");
        assert_eq!(care.look(twice + OFF_MIN, Some(&home("b", Link::Up)), NEAR, &[], 1), [Step::Restore("a")]);
    }

    #[test]
    fn an_only_relay_is_never_taken_off() {
        let (start, mut care) = (Instant::now(), HomeCare::new());
        assert_eq!(care.look(start, Some(&home("a", Link::Failed)), NEAR, &[], 1), []);
        assert_eq!(care.look(start + OFF_MAX, Some(&home("a", Link::Dialling)), NEAR, &[], 1), []);
    }

    #[test]
    fn the_last_one_calls_the_others_back() {
        let (start, mut care) = (Instant::now(), HomeCare::new());
        assert_eq!(care.look(start, Some(&home("a", Link::Failed)), NEAR, &[], 2), [Step::Remove("a")]);
        let steps = care.look(start, Some(&home("b", Link::Failed)), NEAR, &[], 1);
        assert_eq!(steps, [Step::Restore("a"), Step::Remove("b")]);
    }

    #[test]
    fn others_that_are_dead_are_left_too_but_never_all() {
        let (start, mut care) = (Instant::now(), HomeCare::new());
        let up = home("a", Link::Up);
        assert_eq!(care.look(start, Some(&up), NEAR, &["b"], 3), [Step::Remove("b")]);
        assert_eq!(care.look(start, Some(&up), NEAR, &["b"], 2), [], "once");
        let steps = care.look(start, Some(&home("a", Link::Failed)), NEAR, &["c"], 2);
        assert_eq!(steps, [Step::Restore("b"), Step::Remove("a"), Step::Remove("c")]);
    }

    #[test]
    fn a_dial_that_takes_long_is_a_failure() {
        let (start, mut care) = (Instant::now(), HomeCare::new());
        let dialling = home("a", Link::Dialling);
        assert_eq!(care.look(start, Some(&dialling), NEAR, &[], 2), []);
        assert_eq!(care.look(start + DIAL_MAX / 2, Some(&dialling), NEAR, &[], 2), []);
        assert_eq!(care.look(start + DIAL_MAX, Some(&dialling), NEAR, &[], 2), [Step::Remove("a")]);
    }

    #[test]
    fn a_relay_that_is_far_may_take_longer() {
        let (start, mut care, far) = (Instant::now(), HomeCare::new(), Duration::from_millis(1200));
        let dialling = home("a", Link::Dialling);
        assert_eq!(care.look(start, Some(&dialling), far, &[], 2), []);
        assert_eq!(care.look(start + DIAL_MAX, Some(&dialling), far, &[], 2), []);
        assert_eq!(care.look(start + far * DIAL_ROUND_TRIPS, Some(&dialling), far, &[], 2), [Step::Remove("a")]);
    }

    proptest! {
        /// Whatever fails in whatever order: the list is never empty, and what was taken off comes back.
        #[test]
        fn the_list_is_never_empty(events in prop::collection::vec((0u8..4, 0u8..3, 0u64..20), 1..200)) {
            let mut now = Instant::now();
            let mut care = HomeCare::new();
            let mut listed: std::collections::BTreeSet<u8> = (0..4).collect();
            for (url, link, wait) in events {
                now += Duration::from_secs(wait);
                let link = [Link::Up, Link::Dialling, Link::Failed][usize::from(link)];
                let steps = care.look(now, Some(&Home { url, link }), NEAR, &[], listed.len());
                for step in steps {
                    match step {
                        Step::Remove(url) => prop_assert!(listed.remove(&url), "it was on the list"),
                        Step::Restore(url) => prop_assert!(listed.insert(url), "it was off the list"),
                    }
                }
                prop_assert!(!listed.is_empty());
            }
            care.look(now + OFF_MAX, None, NEAR, &[], listed.len()).into_iter().for_each(|step| if let Step::Restore(url) = step {
                listed.insert(url);
            });
            prop_assert_eq!(listed.len(), 4);
        }
    }
}
