//! What happens to networks and processes while requests are under way, and what must come of it.

mod moves;
mod paths;
mod processes;
mod relays;
mod stage;
mod tunnel;
mod zones;

use std::{fmt, pin::Pin};

use anyhow::Result;

use crate::{process::Product, record::Record};

type Running = Pin<Box<dyn Future<Output = Result<Record>>>>;

/// A scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What must hold.
    pub(crate) about: &'static str,
    run: fn(Product) -> Running,
}

impl Scenario {
    /// Plays it once.
    pub(crate) async fn run(&self, product: Product) -> Result<Record> {
        (self.run)(product).await
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "direct-blocked",
        about: "UDP between the two stops in the middle of a download: it goes on over the relay",
        run: |product| Box::pin(paths::direct_blocked(product)),
    },
    Scenario {
        name: "gateway-rebound",
        about: "the gateway's router forgets its flows and takes another port in the middle of a download: it goes on",
        run: |product| Box::pin(paths::rebound(product, paths::Side::Gateway)),
    },
    Scenario {
        name: "host-rebound",
        about: "the same at the host's router",
        run: |product| Box::pin(paths::rebound(product, paths::Side::Host)),
    },
    Scenario {
        name: "relay-killed-direct",
        about: "the relay dies while the path is direct: nobody notices",
        run: |product| Box::pin(relays::killed_while_direct(product)),
    },
    Scenario {
        name: "relay-killed-relayed",
        about: "the relay dies while requests go through it, another is left: requests are answered again within 3 s",
        run: |product| Box::pin(relays::killed_while_relayed(product, relays::Home::Same)),
    },
    Scenario {
        name: "relay-killed-other-home",
        about: "the same, but the gateway's own home is the relay that is left: within 3 s",
        run: |product| Box::pin(relays::killed_while_relayed(product, relays::Home::Other)),
    },
    Scenario {
        name: "relay-restarted",
        about: "the only relay dies and comes back: requests are answered again soon after",
        run: |product| Box::pin(relays::restarted(product)),
    },
    Scenario {
        name: "gateway-moves",
        about: "the gateway goes to another network, idle and in the middle of a download",
        run: |product| Box::pin(moves::one(product, moves::Mover::Gateway)),
    },
    Scenario {
        name: "host-moves",
        about: "the host goes to another network, idle and in the middle of a download",
        run: |product| Box::pin(moves::one(product, moves::Mover::Host)),
    },
    Scenario {
        name: "both-move",
        about: "both go to other networks at once, idle and in the middle of a download",
        run: |product| Box::pin(moves::one(product, moves::Mover::Both)),
    },
    Scenario {
        name: "dead-zone-swallowed",
        about: "the gateway's link swallows everything for 5 s and for 30 s: answers come within 3 s of its return",
        run: |product| Box::pin(zones::dead(product, stage::Plan::HOMES, zones::Death::Swallowed)),
    },
    Scenario {
        name: "dead-zone-swallowed-relayed",
        about: "the same, where only the relay connects the two",
        run: |product| Box::pin(zones::dead(product, stage::Plan::FIRMS, zones::Death::Swallowed)),
    },
    Scenario {
        name: "dead-zone-interface",
        about: "the gateway's interface is down for 5 s and for 30 s: answers come within 1.5 s of its return",
        run: |product| Box::pin(zones::dead(product, stage::Plan::HOMES, zones::Death::Interface)),
    },
    Scenario {
        name: "dead-zone-interface-relayed",
        about: "the same, where only the relay connects the two",
        run: |product| Box::pin(zones::dead(product, stage::Plan::FIRMS, zones::Death::Interface)),
    },
    Scenario {
        name: "tunnel-only",
        about: "no UDP and no relay, only the tunnel server: every GET is answered, and at once after the first",
        run: |product| Box::pin(tunnel::only(product)),
    },
    Scenario {
        name: "tunnel-takes-over",
        about: "p2p is lost in the middle of a download, with a tunnel server beside it: no GET fails, the download goes on",
        run: |product| Box::pin(tunnel::takes_over(product)),
    },
    Scenario {
        name: "host-suspended",
        about: "the host's machine sleeps for 20 s: requests are answered again soon after",
        run: |product| Box::pin(processes::suspended(product)),
    },
    Scenario {
        name: "host-restarted",
        about: "the host's process dies and is started again: requests are answered again soon after",
        run: |product| Box::pin(processes::restarted(product)),
    },
];
