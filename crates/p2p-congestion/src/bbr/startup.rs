//! When start-up has filled the path.

use std::time::{Duration, Instant};

use crate::{delivery::Sample, queue::QueueDetector, round::Finished};

/// 4 ln 2: the smallest gain that can double the rate in every round (draft-ietf-ccwg-bbr).
pub(super) const PACING_GAIN: f64 = 2.77;

/// The rate doubles, and so does what is in flight.
pub(super) const WINDOW_GAIN: f64 = 2.0;

/// A round whose rate did not grow by this much is a plateau ...
const GROWTH: f64 = 1.25;

/// ... and this many of them in a row are the end.
const ROUNDS: u32 = 3;

/// Why start-up is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The rate has stopped growing: it is that of the path.
    Plateau,
    /// A queue stands. The path may be able to do more, if the queue is another's.
    Queue,
}

/// Looks for the end of start-up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Startup {
    rate: f64,
    plateau: u32,
    queue: QueueDetector,
}

impl Startup {
    /// Takes a sample, and the round if it has ended one.
    pub(super) fn sample(
        &mut self,
        now: Instant,
        sample: &Sample,
        empty: Duration,
        rate: f64,
        finished: Option<&Finished>,
    ) -> Option<Exit> {
        if self.queue.sample(sample.rtt, empty, sample.packets, now) && !sample.app_limited {
            return Some(Exit::Queue);
        }
        // A round in which the application had nothing to send does not tell what the path can do.
        if finished.is_none_or(|finished| finished.app_limited) {
            return None;
        }
        if rate >= self.rate * GROWTH {
            self.rate = rate;
            self.plateau = 0;
            return None;
        }
        self.plateau += 1;
        (self.plateau >= ROUNDS).then_some(Exit::Plateau)
    }
}
