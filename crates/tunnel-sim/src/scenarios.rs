//! The scenarios.

mod dual;
mod load;
mod long_path;
mod outages;
mod restarts;
mod swarm;
mod weather;
mod whole_way;

use std::fmt;

use futures::future::LocalBoxFuture;

use crate::Stage;

/// A story that is told anew with every seed.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens, in one sentence.
    pub about: &'static str,
    pub(crate) play: fn(Stage) -> LocalBoxFuture<'static, ()>,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scenario({})", self.name)
    }
}

macro_rules! scenarios {
    ($($name:literal $path:path: $about:literal;)*) => {
        const ALL: &[Scenario] = &[$(Scenario { name: $name, about: $about, play: |stage| Box::pin($path(stage)) },)*];
    };
}

scenarios! {
    "calm" weather::calm: "every kind of request on a good network; nothing may fail";
    "bad-weather" weather::bad: "the same on a lossy, slow, reordering network; nothing may fail";
    "changing-weather" weather::changing: "a link that turns from good to bad and back under long transfers";
    "slow-readers" load::slow_readers: "slow and stalled readers among fast ones, which must not notice";
    "long-path" long_path::play: "large bodies on a path of 300 ms, which one stream would not fill";
    "burst" load::burst: "hundreds of requests at once from several clients";
    "aborts" load::aborts: "clients that give up, at every moment of a request";
    "event-streams" load::event_streams: "pieces that are sent one by one arrive one by one, beside large transfers";
    "scarce-places" load::scarce_places: "few requests at once; whoever ends, gives up or fails leaves its place to others";
    "service-failures" load::service_failures: "services that hang, break off and ignore what is sent to them";
    "churn" restarts::churn: "many clients that come, ask and vanish without a word";
    "crash-mid-body" restarts::crash_mid_body: "a host that crashes during transfers and comes back";
    "herd" restarts::herd: "many clients that lose their host at once do not dial in step";
    "rolling-restart" restarts::rolling: "a host that drains and comes back; what it has accepted is finished";
    "new-address" restarts::new_address: "a host that comes back at another address, known to the relay";
    "flapping-link" outages::flapping: "a link that goes and comes, for shorter and longer than a connection lives";
    "dead-zones" outages::dead_zones: "the link is dead for up to two minutes; the first answer comes a second after it is back";
    "dead-zones-with-news" outages::dead_zones_with_news: "the same, and the system tells that the link is back: at once";
    "partition-during-websocket" outages::partition_during_websocket: "partitions under conversations over WebSockets";
    "relay-outage" outages::relay_outage: "peers without a direct path lose their relay for a while";
    "direct-path-lost" outages::direct_path_lost: "transfers that move to the relay and back without an error";
    "stall" outages::stall: "connections that live but move nothing";
    "failing-dials" outages::failing_dials: "dials that are refused or ignored; requests fail in bounded time";
    "whole-way" whole_way::calm_and_bad: "app, gateway, host and server, in good and bad weather; nothing may fail";
    "whole-way-faults" whole_way::faults: "the same, while each of them crashes and the gateway loses its host";
    "dual-calm" dual::calm: "a client with two ways to its host, on a good network; everything goes by p2p, and is counted";
    "dual-p2p-down" dual::p2p_down: "p2p cannot connect; the tunnel server is used without losing a moment";
    "failover-mid-body" dual::failover: "responses whose transport dies under them continue over the other, byte for byte";
    "coming-back" dual::coming_back: "p2p goes and comes back; within a minute it is used again";
    "dual-flapping" dual::flapping: "p2p goes and comes for an hour; the router does not follow every time";
    "tunnel-server-faults" dual::tunnel_faults: "a tunnel server that crashes, hangs and is cut off, with p2p and without";
    "both-down" dual::both_down: "neither transport works; requests fail soon, and say why of both";
    "dual-posts" dual::posts: "posts under random faults of both transports; none is executed twice, and each says how it ended";
    "dual-websockets" dual::websockets: "WebSockets end with their transport and are opened again over the other";
    "kill-switch-and-reload" dual::kill_switch: "every setting of the router changes under load; no request notices";
    "dual-whole-way" dual::whole_way: "app, gateway, host and server, while p2p and the tunnel server fail in turns";
    "shadow" dual::shadow: "requests are repeated over the other transport; only changed files differ";
    "swarm" swarm::swarm: "everything at random: peers, weather, requests, faults";
}

/// All scenarios, in the order in which they are listed.
#[must_use]
pub const fn all() -> &'static [Scenario] {
    ALL
}

/// The scenario of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// The scenario that makes everything up from the seed.
///
/// # Panics
///
/// Never: it is in the list.
#[must_use]
pub fn swarm() -> Scenario {
    *named("swarm").expect("it is in the list")
}
