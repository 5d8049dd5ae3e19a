//! Changes of a link in the course of a run.

use std::{collections::VecDeque, time::Duration};

use super::conditions::Conditions;

/// A direction of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Towards {
    Host,
    Gateway,
}

/// Other conditions from some moment on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    /// From the moment at which the change is ordered.
    pub(crate) after: Duration,
    pub(crate) towards: Towards,
    pub(crate) conditions: Conditions,
}

impl Change {
    /// The same for both directions.
    pub(crate) fn both(after: Duration, conditions: Conditions) -> [Self; 2] {
        [Towards::Host, Towards::Gateway].map(|towards| Self { after, towards, conditions })
    }
}

/// What is still to be changed, ordered by time. Of equal moments, what was ordered first comes first.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    waiting: VecDeque<(Duration, Change)>,
}

impl Schedule {
    /// Adds a change.
    pub(crate) fn add(&mut self, now: Duration, change: Change) {
        let at = now + change.after;
        let place = self.waiting.partition_point(|(other, _)| *other <= at);
        self.waiting.insert(place, (at, change));
    }

    /// The next change that is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Change> {
        self.waiting.front().filter(|(at, _)| *at <= now)?;
        self.waiting.pop_front().map(|(_, change)| change)
    }

    /// When the next is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.waiting.front().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn changes_come_in_the_order_of_their_moments() {
        let mut schedule = Schedule::default();
        let change = |after: u32, delay: u32| Change {
            after: MS * after,
            towards: Towards::Host,
            conditions: Conditions::delayed(MS * delay),
        };
        schedule.add(MS * 100, change(20, 1));
        schedule.add(MS * 100, change(10, 2));
        schedule.add(MS * 110, change(10, 3));
        assert_eq!(schedule.next(), Some(MS * 110));
        assert_eq!(schedule.due(MS * 109), None);
        let delays: Vec<_> = std::iter::from_fn(|| schedule.due(MS * 120)).map(|due| due.conditions.delay).collect();
        assert_eq!(delays, [MS * 2, MS, MS * 3]);
        assert_eq!(schedule.next(), None);
    }
}
