//! A client with a router.

use std::sync::Arc;

use tunnel_core::{Failure, Transport};
use tunnel_router::{Router, RouterConfig, State};

use super::host::DualHost;
use crate::{
    backend::{
        ClientSettings, Credential, RunningClient,
        legacy::{LegacyBackend, LegacyRunningClient},
        p2p::P2pClient,
        world::World,
    },
    patience::until,
};

/// A client of one host, over p2p and through the tunnel server.
pub struct DualClient<W: World> {
    p2p: P2pClient<W::Peers>,
    legacy: LegacyRunningClient<W>,
    router: Router,
    /// Whether the host has p2p.
    up: bool,
}

impl<W: World> DualClient<W> {
    pub(super) async fn start(
        peers: &W::Peers,
        legacy: &LegacyBackend<W>,
        host: &DualHost<W>,
        settings: ClientSettings,
        credentials: [Credential; 2],
        (config, up): (RouterConfig, bool),
    ) -> Self {
        let [p2p, through_server] = credentials.map(|credential| ClientSettings { credential, ..settings.clone() });
        let p2p = P2pClient::of(peers, host.ticket(), p2p).await;
        let server = legacy.server().await.address();
        let legacy = legacy.client_at(server, host.account(), through_server);
        let router =
            Router::start(Some(p2p.transport()), Some(legacy.transport()), config).expect("the settings are right");
        Self { p2p, legacy, router, up }
    }

    /// Its router.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Waits until the way through the tunnel server is open.
    pub async fn legacy_connected(&self) -> Result<(), Failure> {
        self.legacy.connected().await
    }
}

impl<W: World> RunningClient for DualClient<W> {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.router())
    }

    async fn connected(&self) -> Result<(), Failure> {
        self.legacy.connected().await?;
        let p2p = || self.router.status().p2p.expect("there is p2p");
        if self.up {
            self.p2p.connected().await?;
            until("p2p is used", || p2p().state == State::Healthy).await;
        } else {
            until("p2p has failed", || p2p().transport.health == "down").await;
        }
        Ok(())
    }

    fn close(&self) {
        self.p2p.close();
        self.legacy.close();
    }

    async fn kill(self) {
        tokio::join!(self.p2p.kill(), self.legacy.kill());
    }
}
