//! Where scenarios happen: a network with hosts and clients, watched by the oracle.

mod app;
mod caller;
mod client;
mod gateway;
mod host;
mod server;
mod tcp;
mod tunnel;
mod witness;
mod ws;

use std::time::Duration;

use futures::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use p2p_provider::simulator::{Conditions, SimNetwork};
use tokio::time::{interval, sleep};
use tunnel_core::Health;
use tunnel_legacy::server::TunnelServerConfig;
use tunnel_p2p::{ClientConfig, HostConfig, Ticket};
use tunnel_router::RouterConfig;

use self::client::Recipe;
pub use self::{
    app::SimApp, caller::Caller, client::SimClient, gateway::SimGateway, host::SimHost, server::SimServer,
    tunnel::SimTunnelServer, ws::Talk,
};
use crate::{
    Environment,
    oracle::{ABORT_LIMIT, LEGACY_ABORT_LIMIT, Oracle},
};

/// A simulated network, and what is needed to act in it. Clones share it.
#[derive(Clone)]
pub struct Stage {
    /// The network.
    pub network: SimNetwork,
    /// What must hold.
    pub oracle: Oracle,
    /// What the harness was told.
    pub environment: Environment,
    seed: u64,
}

impl Stage {
    pub(crate) fn new(network: SimNetwork, environment: Environment) -> Self {
        let oracle = Oracle::default();
        let observer = oracle.clone();
        network.observe(move |now, node, event| observer.see(now, node, event));
        environment.apply(&network);
        oracle.expect_conditions(environment.conditions.unwrap_or_default());
        Self { network, oracle, seed: environment.seed, environment }
    }

    /// Chance, from the seed and a number: each number has its own.
    #[must_use]
    pub fn random(&self, part: u64) -> fastrand::Rng {
        let mut mixed = fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        fastrand::Rng::with_seed(mixed.u64(..) ^ part.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// Sets the conditions of all links, unless the environment says otherwise.
    pub fn conditions(&self, conditions: Conditions) {
        if self.environment.conditions.is_none() {
            self.network.set_conditions(conditions);
            self.oracle.expect_conditions(conditions);
        }
    }

    /// A node with a host in front of the simulated service.
    pub async fn host(&self, name: &str) -> SimHost {
        self.tuned_host(name, |_| {}).await
    }

    /// As [`host`](Self::host), with other settings.
    pub async fn tuned_host(&self, name: &str, change: impl FnOnce(&mut HostConfig)) -> SimHost {
        SimHost::start(self, self.network.node(name), None, change).await
    }

    /// As [`host`](Self::host), which the tunnel server reaches, too.
    pub async fn dual_host(&self, name: &str, tunnel: &SimTunnelServer) -> SimHost {
        self.tuned_dual_host(name, tunnel, |_| {}).await
    }

    /// As [`dual_host`](Self::dual_host), with other settings.
    pub async fn tuned_dual_host(
        &self,
        name: &str,
        tunnel: &SimTunnelServer,
        change: impl FnOnce(&mut HostConfig),
    ) -> SimHost {
        let account = tunnel.account(name).await;
        SimHost::start(self, self.network.node(name), Some(account), change).await
    }

    /// A node with a tunnel server.
    #[must_use]
    pub fn tunnel_server(&self, name: &str) -> SimTunnelServer {
        self.tuned_tunnel_server(name, |_| {})
    }

    /// As [`tunnel_server`](Self::tunnel_server), with other settings.
    #[must_use]
    pub fn tuned_tunnel_server(&self, name: &str, change: impl FnOnce(&mut TunnelServerConfig)) -> SimTunnelServer {
        self.oracle.expect_edges();
        SimTunnelServer::start(self, self.network.node(name), change)
    }

    /// A node with an HTTP server, which does the same.
    #[must_use]
    pub fn server(&self, name: &str) -> SimServer {
        SimServer::start(self, self.network.node(name))
    }

    /// A node with a host in front of a server.
    pub async fn host_of(&self, name: &str, server: &SimServer) -> SimHost {
        SimHost::start_for(self.network.node(name), None, server).await
    }

    /// As [`host_of`](Self::host_of), which the tunnel server reaches, too.
    pub async fn dual_host_of(&self, name: &str, tunnel: &SimTunnelServer, server: &SimServer) -> SimHost {
        let account = tunnel.account(name).await;
        SimHost::start_for(self.network.node(name), Some(account), server).await
    }

    /// A node with a gateway to the host, connecting: by p2p, and through a tunnel server if the host is there, too.
    #[must_use]
    pub fn gateway(&self, name: &str, host: &SimHost) -> SimGateway {
        self.oracle.expect_edges();
        SimGateway::start(self, self.network.node(name), Recipe::both(host, RouterConfig::default()))
    }

    /// A node with an app of the gateway.
    #[must_use]
    pub fn app(&self, name: &str, gateway: &SimGateway) -> SimApp {
        SimApp::new(self, self.network.node(name), gateway)
    }

    /// A node with a client of the host, connecting: by p2p only.
    #[must_use]
    pub fn client(&self, name: &str, host: &SimHost) -> SimClient {
        self.client_with(name, host.ticket())
    }

    /// A node with a client of the host of this ticket, connecting.
    #[must_use]
    pub fn client_with(&self, name: &str, ticket: Ticket) -> SimClient {
        SimClient::start(self, self.network.node(name), Recipe::p2p(ticket), 0, |_| {})
    }

    /// As [`client`](Self::client), with other settings.
    #[must_use]
    pub fn tuned_client(&self, name: &str, host: &SimHost, change: impl FnOnce(&mut ClientConfig)) -> SimClient {
        SimClient::start(self, self.network.node(name), Recipe::p2p(host.ticket()), 0, change)
    }

    /// A node with a client that uses the tunnel server only.
    #[must_use]
    pub fn legacy_client(&self, name: &str, host: &SimHost) -> SimClient {
        SimClient::start(self, self.network.node(name), Recipe::legacy(host), 0, |_| {})
    }

    /// A node with a client that uses p2p, or else the tunnel server.
    #[must_use]
    pub fn dual_client(&self, name: &str, host: &SimHost, change: impl FnOnce(&mut RouterConfig)) -> SimClient {
        let mut routing = RouterConfig::default();
        change(&mut routing);
        SimClient::start(self, self.network.node(name), Recipe::both(host, routing), 0, |_| {})
    }

    /// Adds a line to the trace.
    pub fn note(&self, text: &str) {
        self.network.note("scenario", text);
    }

    /// Acts, while the oracle looks at the clock.
    pub(crate) async fn watched(&self, acting: impl Future<Output = ()>) {
        let auditing = async {
            let mut ticks = interval(Duration::from_secs(1));
            loop {
                ticks.tick().await;
                self.oracle.audit();
            }
        };
        tokio::select! {
            biased;
            () = acting => {}
            () = auditing => {}
        }
    }

    /// With all faults healed: every client must get an answer soon, and then nothing may be left over.
    pub async fn settle(&self, clients: &[&SimClient]) {
        self.settle_with(clients, &[]).await;
    }

    /// As [`settle`](Self::settle), with tunnel servers, on which nothing may be left over either.
    pub async fn settle_with(&self, clients: &[&SimClient], tunnels: &[&SimTunnelServer]) {
        self.note("settling");
        let mut resuming: FuturesUnordered<_> = clients.iter().map(|client| client.resume()).collect();
        while resuming.next().await.is_some() {}
        let by_p2p = clients.iter().filter(|client| client.has_p2p());
        self.come_to_rest(by_p2p.count(), longest(tunnels)).await;
        for client in clients {
            let health = client.health();
            if !matches!(health, Health::Healthy { .. }) {
                self.oracle.violate(format!("{} is not well: {health:?}", client.node.name()));
            }
        }
        self.check_tunnels(tunnels);
    }

    fn check_tunnels(&self, tunnels: &[&SimTunnelServer]) {
        for tunnel in tunnels {
            let statistics = tunnel.statistics().unwrap_or_default();
            if statistics.in_flight > 0 || statistics.buffered_bytes > 0 || statistics.ws_clients > 0 {
                self.oracle.violate(format!("the tunnel server is left with {statistics:?}"));
            }
        }
    }

    /// As [`settle`](Self::settle), for apps of so many gateways in front of one server.
    pub async fn settle_apps(&self, apps: &[&SimApp], gateways: usize, server: &SimServer) {
        self.settle_apps_with(apps, gateways, server, &[]).await;
    }

    /// As [`settle_apps`](Self::settle_apps), with tunnel servers, on which nothing may be left over either.
    pub async fn settle_apps_with(
        &self,
        apps: &[&SimApp],
        gateways: usize,
        server: &SimServer,
        tunnels: &[&SimTunnelServer],
    ) {
        self.note("settling");
        let mut resuming: FuturesUnordered<_> = apps.iter().map(|app| app.resume()).collect();
        while resuming.next().await.is_some() {}
        for app in apps {
            app.close_kept();
        }
        self.come_to_rest(gateways, longest(tunnels)).await;
        self.check_tunnels(tunnels);
        // The host gives up those that it has kept for the next request much earlier.
        if server.connections() > 0 {
            self.oracle.violate(format!("the server still has {} connections", server.connections()));
        }
    }

    /// Waits until nothing happens any more, and looks for what is left over.
    async fn come_to_rest(&self, clients: usize, longest: Duration) {
        // The longest that a service may go on for somebody who has left, and a little.
        sleep(longest + Duration::from_secs(2)).await;
        self.oracle.audit();
        self.oracle.close();
        let usage = self.network.usage();
        // Two connections per client, each with a control stream, seen from both sides.
        let connections = 2 * clients;
        if usage.connections != connections {
            self.oracle.violate(format!("{} connections are open instead of {connections}", usage.connections));
        }
        if usage.streams != 2 * connections {
            self.oracle.violate(format!("{} streams are open instead of {}", usage.streams, 2 * connections));
        }
        if usage.unread_bytes > 0 {
            self.oracle.violate(format!("{} bytes lie unread", usage.unread_bytes));
        }
    }
}

/// The longest that a service may go on for somebody who has left.
const fn longest(tunnels: &[&SimTunnelServer]) -> Duration {
    if tunnels.is_empty() { ABORT_LIMIT } else { LEGACY_ABORT_LIMIT }
}

/// Does all of it at once, in a deterministic order.
pub async fn together(acts: impl IntoIterator<Item = LocalBoxFuture<'static, ()>>) {
    let mut acts: FuturesUnordered<_> = acts.into_iter().collect();
    while acts.next().await.is_some() {}
}
