//! What is under way, so that a client can see when the service notices that it has left.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

/// Counts what is under way. One entry per open request: no more than there are connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Active(Arc<Mutex<Counts>>);

type Counts = BTreeMap<(Kind, Option<String>), usize>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Endless,
    Upload,
    WebSocket,
}

impl Active {
    /// Counts one more, until the entry is dropped.
    pub(super) fn enter(&self, kind: Kind, tag: Option<String>) -> Entry {
        let key = (kind, tag);
        *self.lock().entry(key.clone()).or_default() += 1;
        Entry { active: self.clone(), key }
    }

    /// How many of each kind there are, of this tag or of any.
    pub(super) fn counts(&self, tag: Option<&str>) -> Value {
        let counts = self.lock();
        let sum = |wanted: Kind| -> usize {
            let entries = counts.iter().filter(|((kind, _), _)| *kind == wanted);
            entries.filter(|((_, given), _)| tag.is_none() || given.as_deref() == tag).map(|(_, count)| count).sum()
        };
        json!({ "endless": sum(Kind::Endless), "uploads": sum(Kind::Upload), "websockets": sum(Kind::WebSocket) })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts for as long as it lives.
#[derive(Debug)]
pub(super) struct Entry {
    active: Active,
    key: (Kind, Option<String>),
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut counts = self.active.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_count_per_tag_and_while_they_live() {
        let active = Active::default();
        let one = active.enter(Kind::Upload, Some("a".into()));
        let _two = active.enter(Kind::Upload, None);
        assert_eq!(active.counts(None)["uploads"], 2);
        assert_eq!(active.counts(Some("a")), json!({ "endless": 0, "uploads": 1, "websockets": 0 }));
        drop(one);
        assert_eq!(active.counts(Some("a"))["uploads"], 0);
        assert_eq!(active.lock().len(), 1);
    }
}
