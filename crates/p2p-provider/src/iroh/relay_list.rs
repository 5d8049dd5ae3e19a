//! The relays that a peer knows, and which of them its endpoint may use.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use iroh::{RelayConfig, RelayMap, RelayMode, RelayUrl};

use super::config::Relays;

/// Relays that are learned from peers, at most.
const LEARNED_MAX: usize = 16;

/// The relays by URL.
#[derive(Debug, Default)]
pub(super) struct RelayList(Mutex<BTreeMap<RelayUrl, Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    config: Arc<RelayConfig>,
    listed: bool,
}

impl RelayList {
    /// The list for an endpoint.
    pub(super) fn mode(&self, relays: &Relays) -> RelayMode {
        if *relays == Relays::None {
            return RelayMode::Disabled;
        }
        let list = self.lock();
        let listed = list.values().filter(|entry| entry.listed).map(|entry| Arc::clone(&entry.config));
        RelayMode::Custom(listed.collect::<RelayMap>())
    }

    pub(super) fn new(configs: impl IntoIterator<Item = Arc<RelayConfig>>) -> Self {
        let entry = |config: Arc<RelayConfig>| (config.url.clone(), Entry { config, listed: true });
        Self(Mutex::new(configs.into_iter().map(entry).collect()))
    }

    /// Remembers a relay that a peer named. `None` if it was known, or if too many are.
    pub(super) fn learn(&self, config: RelayConfig) -> Option<Arc<RelayConfig>> {
        let mut list = self.lock();
        if list.len() >= LEARNED_MAX || list.contains_key(&config.url) {
            return None;
        }
        let config = Arc::new(config);
        let entry = Entry { config: Arc::clone(&config), listed: true };
        list.insert(config.url.clone(), entry);
        Some(config)
    }

    pub(super) fn listed(&self) -> usize {
        self.lock().values().filter(|entry| entry.listed).count()
    }

    /// Those that may be used.
    pub(super) fn urls(&self) -> Vec<RelayUrl> {
        self.lock().iter().filter(|(_, entry)| entry.listed).map(|(url, _)| url.clone()).collect()
    }

    pub(super) fn is_listed(&self, url: &RelayUrl) -> bool {
        self.lock().get(url).is_some_and(|entry| entry.listed)
    }

    /// Puts a relay on the list of those that may be used.
    pub(super) fn list(&self, url: &RelayUrl) -> Option<Arc<RelayConfig>> {
        let mut list = self.lock();
        let entry = list.get_mut(url)?;
        entry.listed = true;
        Some(Arc::clone(&entry.config))
    }

    pub(super) fn list_all(&self) {
        self.lock().values_mut().for_each(|entry| entry.listed = true);
    }

    pub(super) fn unlist(&self, url: &RelayUrl) {
        if let Some(entry) = self.lock().get_mut(url) {
            entry.listed = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RelayUrl, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
