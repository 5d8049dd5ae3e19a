//! What must hold for routers: p2p is used again soon after it works again, and not given up too often.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use tunnel_router::{RETURN_WITHIN, SWITCHES_PER_HOUR_MAX};

const HOUR: Duration = Duration::from_hours(1);

/// How often the oracle looks.
const STEP: Duration = Duration::from_secs(1);

/// What the oracle sees of a router at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Whether p2p itself says that it is connected.
    pub connected: bool,
    /// How often the router has begun or ceased to use p2p.
    pub switches: u64,
}

/// Names a router to the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch(usize);

#[derive(Default)]
pub(super) struct Routers(Vec<Watched>);

struct Watched {
    name: String,
    look: Option<Box<dyn Fn() -> Sight + Send>>,
    /// Since when p2p works and nothing is wrong with the network.
    well_since: Option<Instant>,
    switches: u64,
    /// When it has switched within the last hour, and how often at once.
    recent: VecDeque<(Instant, u64)>,
}

impl Routers {
    /// Watches the router on the node of this name.
    pub(super) fn watch(&mut self, name: &str, look: Box<dyn Fn() -> Sight + Send>) -> Watch {
        let name = name.to_owned();
        self.0.push(Watched { name, look: Some(look), well_since: None, switches: 0, recent: VecDeque::new() });
        Watch(self.0.len() - 1)
    }

    /// Its process has ended.
    pub(super) fn forget(&mut self, Watch(index): Watch) {
        if let Some(watched) = self.0.get_mut(index) {
            watched.look = None;
        }
    }

    /// Looks at all of them; returns what is wrong.
    pub(super) fn look(&mut self, network_is_well: bool) -> Vec<String> {
        self.0.iter_mut().filter_map(|watched| watched.look(network_is_well)).collect()
    }

    /// A connection of this node has ended.
    pub(super) fn lost_connection(&mut self, node: &str) {
        for watched in self.0.iter_mut().filter(|watched| watched.name == node) {
            watched.well_since = None;
        }
    }

    /// Whether by now p2p must be used for a request that began at this moment, if nothing but its health decides.
    pub(super) fn must_use_p2p(&self, Watch(index): Watch, began: Instant) -> bool {
        let well_since = self.0.get(index).and_then(|watched| watched.well_since);
        well_since.is_some_and(|since| began > since + RETURN_WITHIN + STEP)
    }
}

impl Watched {
    fn look(&mut self, network_is_well: bool) -> Option<String> {
        let (now, sight) = (Instant::now(), self.look.as_ref()?());
        if !(network_is_well && sight.connected) {
            self.well_since = None;
        } else if self.well_since.is_none() {
            self.well_since = Some(now);
        }
        let more = sight.switches.saturating_sub(self.switches);
        self.switches = sight.switches;
        if more == 0 {
            return None;
        }
        self.recent.push_back((now, more));
        while self.recent.front().is_some_and(|(at, _)| now - *at >= HOUR) {
            self.recent.pop_front();
        }
        let within: u64 = self.recent.iter().map(|(_, count)| count).sum();
        (within > SWITCHES_PER_HOUR_MAX as u64)
            .then(|| format!("the router of {} has switched {within} times within an hour", self.name))
    }
}
