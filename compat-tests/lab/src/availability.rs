//! What requests that are made all the time say about a disturbance.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use patchbay::Device;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    http::{Answer, Ending, GATEWAY, Get, request},
    record::Record,
};

/// How often a request is made.
const EVERY: Duration = Duration::from_millis(50);

/// Bytes of each.
const SMALL: u64 = 1000;

/// How long each may wait for its answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Requests all the time, whether or not those before have been answered.
#[derive(Debug)]
pub(crate) struct Watch {
    enough: Arc<AtomicBool>,
    answers: AbortOnDropHandle<Vec<Answer>>,
}

impl Watch {
    /// Begins to ask the gateway on this device. Dropping it stops at once.
    pub(crate) fn begin(device: &Device) -> Result<Self> {
        let enough = Arc::new(AtomicBool::new(false));
        let answers = device.spawn({
            let enough = enough.clone();
            async move |_| ask(&enough).await
        })?;
        Ok(Self { enough, answers: AbortOnDropHandle::new(answers) })
    }

    /// Stops asking and waits for what has been asked.
    pub(crate) async fn end(self) -> Result<Vec<Answer>> {
        self.enough.store(true, Ordering::Relaxed);
        self.answers.await.context("a request panicked")
    }
}

async fn ask(enough: &AtomicBool) -> Vec<Answer> {
    let mut asking = JoinSet::new();
    while !enough.load(Ordering::Relaxed) {
        let get = Get { patience: PATIENCE, ..Get::new(SMALL) };
        asking.spawn(async move { request(GATEWAY, &get).await });
        sleep(EVERY).await;
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|answer| answer.started);
    answers
}

/// How well a gateway answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Availability {
    pub(crate) asked: usize,
    pub(crate) refused: usize,
    pub(crate) unanswered: usize,
    pub(crate) cut: usize,
    pub(crate) wrong: usize,
    /// From the disturbance to the first right answer to a request that was made after it.
    pub(crate) back: Option<Duration>,
    /// The longest time without a right answer.
    pub(crate) outage: Duration,
}

impl Availability {
    /// Of these answers, ordered by their beginning, with a disturbance at this moment.
    pub(crate) fn of(answers: &[Answer], disturbed: Instant) -> Self {
        let mut this = Self { asked: answers.len(), ..Self::default() };
        for answer in answers {
            match &answer.ending {
                Ending::Complete => {}
                Ending::Refused(_) => this.refused += 1,
                Ending::NoAnswer(_) => this.unanswered += 1,
                Ending::Cut(_) => this.cut += 1,
                Ending::Wrong(_) => this.wrong += 1,
            }
        }
        let right = || answers.iter().filter(|answer| answer.is_complete());
        let after = right().filter(|answer| answer.started >= disturbed);
        this.back = after.map(|answer| answer.ended - disturbed).min();
        // Who begins or ends without an answer has had none until then, and none since.
        let began = answers.iter().map(|answer| answer.started).min();
        let ended = answers.iter().map(|answer| answer.ended).max();
        let mut ends: Vec<_> = right().map(|answer| answer.ended).chain(began).chain(ended).collect();
        ends.sort_unstable();
        this.outage = ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        this
    }

    /// Requests without the right answer.
    pub(crate) const fn failed(&self) -> usize {
        self.refused + self.unanswered + self.cut + self.wrong
    }

    /// Notes it; wrong bytes never pass.
    pub(crate) fn note(&self, record: &mut Record) {
        record.time("outage", self.outage);
        record.count("GETs", self.asked);
        record.count("GETs failed", self.failed());
        if self.wrong > 0 {
            record.wrong_bytes = true;
            record.fail(format!("{} answers had wrong bytes", self.wrong));
        }
    }
}

/// The first of the failures, for people.
pub(crate) fn first_failure(answers: &[Answer]) -> Option<String> {
    answers.iter().find(|answer| !answer.is_complete()).map(Answer::describe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(zero: Instant, started: u64, ended: u64, ending: Ending) -> Answer {
        let at = |millis| zero + Duration::from_millis(millis);
        Answer { started: at(started), ended: at(ended), ending, ..Answer::new() }
    }

    #[test]
    fn requests_from_before_the_disturbance_do_not_say_that_it_is_over() {
        let zero = Instant::now();
        let answers = [
            answer(zero, 0, 10, Ending::Complete),
            answer(zero, 90, 110, Ending::Complete),
            answer(zero, 150, 400, Ending::Refused(502)),
            answer(zero, 200, 900, Ending::Complete),
            answer(zero, 250, 850, Ending::Complete),
            answer(zero, 900, 910, Ending::Complete),
        ];
        let availability = Availability::of(&answers, zero + Duration::from_millis(100));
        assert_eq!(availability.back, Some(Duration::from_millis(750)));
        assert_eq!(availability.outage, Duration::from_millis(740));
        assert_eq!((availability.asked, availability.failed(), availability.refused), (6, 1, 1));
    }

    #[test]
    fn nothing_after_the_disturbance_is_no_recovery() {
        let zero = Instant::now();
        let answers = [answer(zero, 0, 10, Ending::Complete), answer(zero, 50, 60, Ending::Wrong(String::new()))];
        let availability = Availability::of(&answers, zero + Duration::from_millis(20));
        assert_eq!((availability.back, availability.wrong), (None, 1));
        assert_eq!(availability.outage, Duration::from_millis(50));
        let mut record = Record::default();
        availability.note(&mut record);
        assert!(!record.held());
    }
}
