//! Numbers for what has none of its own, or one that is taken.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Numbers that are remembered after their owners have gone. A server that still speaks of an older one has had time for
/// as many newer ones.
const RETIRED_MAX: usize = 16_384;

pub(super) struct Ids(Mutex<fastrand::Rng>);

impl Ids {
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self(Mutex::new(seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)))
    }

    /// The wanted number if it is free, else a random one. Never 0 unless wanted: on WebSockets 0 means everybody.
    pub(super) fn free(&self, wanted: Option<u64>, is_taken: impl Fn(u64) -> bool) -> u64 {
        if let Some(wanted) = wanted.filter(|wanted| !is_taken(*wanted)) {
            return wanted;
        }
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Of 2^64 numbers few are taken: the loop ends at once.
            let id = random.u64(1..);
            if !is_taken(id) {
                return id;
            }
        }
    }
}

/// Numbers of those who have gone, of which the server may not know yet: what it says to them must not reach whoever
/// chooses the same number.
#[derive(Default)]
pub(super) struct Retired {
    ids: BTreeSet<u64>,
    /// The oldest first.
    order: VecDeque<u64>,
}

impl Retired {
    pub(super) fn insert(&mut self, id: u64) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > RETIRED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.ids.contains(&id)
    }
}
