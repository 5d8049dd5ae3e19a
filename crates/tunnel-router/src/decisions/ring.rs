//! The ring of the last decisions.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tunnel_core::TransportKind;

use super::{Decision, Outcome, Short, Verb};
use crate::{Mode, Reason};

/// How many decisions are kept.
const KEPT: usize = 256;

/// One decision, without a pointer in it for ordinary methods.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) verb: Verb,
    pub(crate) path: Short<120>,
    pub(crate) client_id: Option<Short<60>>,
    pub(crate) mode: Mode,
    pub(crate) answer: Option<(TransportKind, Reason)>,
    pub(crate) hedged: bool,
    pub(crate) failovers: u8,
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    pub(crate) begin: Duration,
    pub(crate) end: Option<Duration>,
}

/// The number of an entry, by which it is found as long as it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(u64);

#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The number of the oldest one kept.
    first: u64,
    kept: VecDeque<Entry>,
}

impl Ring {
    pub(crate) fn push(&self, entry: Entry) -> Number {
        let mut entries = self.lock();
        if entries.kept.len() == KEPT {
            entries.kept.pop_front();
            entries.first += 1;
        }
        entries.kept.push_back(entry);
        Number(entries.first + entries.kept.len() as u64 - 1)
    }

    /// Changes an entry, if it is still kept.
    pub(crate) fn update(&self, number: Number, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.lock();
        let index = number.0.checked_sub(entries.first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| entries.kept.get_mut(index)) {
            change(entry);
        }
    }

    /// All that are kept, newest first.
    pub(crate) fn newest_first(&self, now: Duration) -> Vec<Decision> {
        self.lock().kept.iter().rev().map(|entry| entry.decision(now)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
