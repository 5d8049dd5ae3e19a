//! What the endpoint knows of the network around it. Iroh's own report is outside its promise of stability; this is the
//! only place that reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
    time::Duration,
};

use iroh::{Endpoint, RelayUrl, Watcher, endpoint::RelayStatus, unstable_net_report::Probe};

/// How the relay is through which a peer can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HomeRelay {
    /// Its URL.
    pub url: String,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Why there is none, if that is known.
    pub error: Option<String>,
    /// What the relay said when it refused this peer, if it did.
    pub denied: Option<String>,
}

impl HomeRelay {
    /// A relay that has not answered yet.
    #[must_use]
    pub const fn unanswered(url: String) -> Self {
        Self { url, connected: false, error: None, denied: None }
    }
}

/// What is known of the network between a peer and the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetReport {
    /// The address under which relays see this peer, over IPv4. `None`: UDP over IPv4 did not get through to any relay.
    pub public_v4: Option<SocketAddrV4>,
    /// The same over IPv6.
    pub public_v6: Option<SocketAddrV6>,
    /// Whether different relays see different addresses, so that no other peer can be told one (endpoint-dependent
    /// mapping, RFC 4787 §4.1). Known only if two relays were asked over IPv4.
    pub mapping_varies_v4: Option<bool>,
    /// The same over IPv6.
    pub mapping_varies_v6: Option<bool>,
    /// How far each relay is that answered, nearest first.
    pub relays: Vec<(String, Duration)>,
    /// Which of them told this peer its address, over UDP: those through which a direct path can be found.
    pub discovered_by: Vec<String>,
    /// Whether something between answers in the place of others (a hotel's login page). Not always known.
    pub captive_portal: Option<bool>,
}

impl NetReport {
    /// The public addresses.
    pub fn public(&self) -> impl Iterator<Item = SocketAddr> {
        self.public_v4.map(SocketAddr::V4).into_iter().chain(self.public_v6.map(SocketAddr::V6))
    }
}

pub(super) fn home_relay(endpoint: &Endpoint) -> Option<HomeRelay> {
    let statuses = endpoint.home_relay_status().get();
    let status = statuses.first()?;
    Some(HomeRelay {
        url: status.url().to_string(),
        connected: status.is_connected(),
        error: status.last_error().map(|error| format!("{error:#}")),
        denied: RelayStatus::auth_denied_reason(status).map(ToString::to_string),
    })
}

/// How far a relay is, if it has answered.
pub(super) fn latency(endpoint: &Endpoint, relay: &RelayUrl) -> Option<Duration> {
    let report = endpoint.net_report().get()?;
    report.relay_latency.iter().filter(|(_, url, _)| *url == relay).map(|(_, _, latency)| latency).min()
}

pub(super) fn net_report(endpoint: &Endpoint) -> Option<NetReport> {
    let report = endpoint.net_report().get()?;
    let mut nearest = BTreeMap::<String, Duration>::new();
    let mut discovered_by = BTreeSet::new();
    for (probe, url, latency) in report.relay_latency.iter() {
        if matches!(probe, Probe::QadIpv4 | Probe::QadIpv6) {
            discovered_by.insert(url.to_string());
        }
        let entry = nearest.entry(url.to_string()).or_insert(latency);
        *entry = (*entry).min(latency);
    }
    let mut relays: Vec<_> = nearest.into_iter().collect();
    relays.sort_by_key(|(_, latency)| *latency);
    Some(NetReport {
        public_v4: report.global_v4,
        public_v6: report.global_v6,
        mapping_varies_v4: report.mapping_varies_by_dest_ipv4,
        mapping_varies_v6: report.mapping_varies_by_dest_ipv6,
        relays,
        discovered_by: discovered_by.into_iter().collect(),
        captive_portal: report.captive_portal,
    })
}
