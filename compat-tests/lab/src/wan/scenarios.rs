//! What happens to a link, or beside a transfer, and what must come of it.

mod changes;
mod links;
mod recovery;
mod requests;
mod sharing;
mod stage;
mod start;

use std::{fmt, pin::Pin, time::Duration};

use anyhow::Result;

pub(crate) use self::stage::Setting;
use self::{
    changes::Gap,
    links::{DEEP_QUEUE, JITTER, SATELLITE},
};
use crate::{record::Record, wan::leg::Controller};

type Running = Pin<Box<dyn Future<Output = Result<Record>>>>;

/// A scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What must hold.
    pub(crate) about: &'static str,
    run: fn(Setting) -> Running,
}

impl Scenario {
    /// Plays it once.
    pub(crate) async fn run(&self, setting: Setting) -> Result<Record> {
        (self.run)(setting).await
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "fair-gateways",
        about: "two gateways download from one host for 20 s: each has 0.35 to 0.65 of the bytes",
        run: |setting| Box::pin(sharing::gateways(setting)),
    },
    Scenario {
        name: "beside-cubic-1bdp",
        about: "a download beside TCP Cubic for 20 s, queue 1 BDP: each has at least a quarter",
        run: |setting| Box::pin(sharing::beside(setting, Controller::Cubic, 1.0)),
    },
    Scenario {
        name: "beside-cubic-2bdp",
        about: "the same, queue 2 BDP",
        run: |setting| Box::pin(sharing::beside(setting, Controller::Cubic, 2.0)),
    },
    Scenario {
        name: "beside-bbr-1bdp",
        about: "a download beside TCP BBR for 20 s, queue 1 BDP: each has at least a quarter",
        run: |setting| Box::pin(sharing::beside(setting, Controller::Bbr, 1.0)),
    },
    Scenario {
        name: "beside-bbr-2bdp",
        about: "the same, queue 2 BDP",
        run: |setting| Box::pin(sharing::beside(setting, Controller::Bbr, 2.0)),
    },
    Scenario {
        name: "rate-change",
        about: "50 Mbit/s, 5 and 50 again in the middle of a download: 0.8 of the link within 3 s each time",
        run: |setting| Box::pin(changes::rate(setting)),
    },
    Scenario {
        name: "blackout-300ms",
        about: "nothing passes for 300 ms in the middle of a download: 0.8 of the link within 3 s, on the same connection",
        run: |setting| Box::pin(changes::blackout(setting, Duration::from_millis(300))),
    },
    Scenario {
        name: "dead-zone-5-swallowed",
        about: "nothing passes for 5 s, and nothing tells: requests are answered within 3 s after it",
        run: |setting| Box::pin(changes::dead_zone(setting, seconds(5), Gap::Swallowed)),
    },
    Scenario {
        name: "dead-zone-5-unplugged",
        about: "the gateway's interface is down for 5 s: requests are answered within 1 s + 2 RTT after it",
        run: |setting| Box::pin(changes::dead_zone(setting, seconds(5), Gap::Unplugged)),
    },
    Scenario {
        name: "dead-zone-30-swallowed",
        about: "nothing passes for 30 s, and nothing tells: requests are answered within 3 s after it",
        run: |setting| Box::pin(changes::dead_zone(setting, seconds(30), Gap::Swallowed)),
    },
    Scenario {
        name: "dead-zone-30-unplugged",
        about: "the gateway's interface is down for 30 s: requests are answered within 1 s + 2 RTT after it",
        run: |setting| Box::pin(changes::dead_zone(setting, seconds(30), Gap::Unplugged)),
    },
    Scenario {
        name: "dead-zone-120-swallowed",
        about: "nothing passes for 120 s, and nothing tells: requests are answered within 3 s after it",
        run: |setting| Box::pin(changes::dead_zone(setting, seconds(120), Gap::Swallowed)),
    },
    Scenario {
        name: "dead-zone-120-unplugged",
        about: "the gateway's interface is down for 120 s: requests are answered within 1 s + 2 RTT after it",
        run: |setting| Box::pin(changes::dead_zone(setting, seconds(120), Gap::Unplugged)),
    },
    Scenario {
        name: "deep-queue",
        about: "a queue of 1 s: 0.8 of the link within 3 s; the delay of small requests is told",
        run: |setting| Box::pin(links::over(setting, DEEP_QUEUE)),
    },
    Scenario {
        name: "satellite",
        about: "a round trip of 600 ms: 0.8 of the link within 10 round trips",
        run: |setting| Box::pin(links::over(setting, SATELLITE)),
    },
    Scenario {
        name: "jitter",
        about: "5 ms of jitter that reorders packets: 0.8 of the link within 3 s",
        run: |setting| Box::pin(links::over(setting, JITTER)),
    },
    Scenario {
        name: "start",
        about: "the first MiB of an idle session, of TCP connections, and the first answer of a new gateway; only told",
        run: |setting| Box::pin(start::start(setting)),
    },
    Scenario {
        name: "websocket",
        about: "echoes of a WebSocket beside a download: none is lost or wrong; their delay is told",
        run: |setting| Box::pin(requests::websocket(setting)),
    },
    Scenario {
        name: "mixed",
        about: "2 % loss, requests of 1 KiB to 4 MiB in both directions, several at once: none fails, on one connection",
        run: |setting| Box::pin(requests::mixed(setting)),
    },
];
