//! The record of one request: whatever happens to it is counted once.

use std::sync::Arc;

use tunnel_core::{Failure, SendError, TransportKind};

use super::shared::Shared;
use crate::{
    Outcome, Reason,
    decisions::{Entry, Number},
};

/// Dropping it before the end says that the caller gave up.
pub(crate) struct Record {
    shared: Arc<Shared>,
    number: Number,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Answered,
    Ended,
}

impl Record {
    pub(crate) fn new(shared: &Arc<Shared>, entry: Entry) -> Self {
        Self { shared: Arc::clone(shared), number: shared.decisions.push(entry), phase: Phase::Waiting }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn answered(&mut self, kind: TransportKind, reason: Reason, status: u16) {
        self.phase = Phase::Answered;
        self.shared.counters.answered.of(kind)[reason as usize].one();
        self.update(|entry| {
            entry.answer = Some((kind, reason));
            entry.status = Some(status);
        });
    }

    pub(crate) fn hedged(&self) {
        self.shared.counters.hedges_started.one();
        self.update(|entry| entry.hedged = true);
    }

    pub(crate) fn failed_over(&self) {
        self.update(|entry| entry.failovers = entry.failovers.saturating_add(1));
    }

    pub(crate) fn completed(&mut self) {
        self.end(Outcome::Complete);
    }

    /// It was answered over `kind` last, and broke off.
    pub(crate) fn cut(&mut self, kind: TransportKind, failure: &Failure) {
        if self.phase != Phase::Ended {
            self.shared.counters.cut.of(kind).one();
        }
        self.end(Outcome::Cut(failure.kind()));
    }

    pub(crate) fn failed(&mut self, error: &SendError) {
        let kind = error.failure().kind();
        self.shared.counters.failed.one();
        self.end(if error.may_have_been_delivered() { Outcome::Unknown(kind) } else { Outcome::NotDelivered(kind) });
    }

    fn end(&mut self, outcome: Outcome) {
        if self.phase == Phase::Ended {
            return;
        }
        self.phase = Phase::Ended;
        let now = self.shared.now();
        self.update(|entry| {
            entry.outcome = outcome;
            entry.end = Some(now);
        });
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        self.shared.decisions.update(self.number, change);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.phase == Phase::Waiting {
            self.shared.counters.abandoned.one();
        }
        self.end(Outcome::Abandoned);
    }
}
