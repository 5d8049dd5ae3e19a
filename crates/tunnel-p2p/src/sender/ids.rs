//! Numbers for what has none of its own, or one that is taken.

use std::sync::{Mutex, PoisonError};

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
