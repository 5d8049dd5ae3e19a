//! The backends `dual`, `simulated_dual` and `simulated_dual_fallen`: both transports, and a router at the client.

mod client;
mod host;

use std::{future::Future, sync::Arc};

use tunnel_core::{Handler, PathKind, TransportKind, Via};
use tunnel_router::{Reason, RouterConfig};

pub use self::{
    client::DualClient,
    host::{DeadDualHost, DualHost},
};
use super::{
    Backend, ClientSettings, Credential, HostSettings, Run,
    differences::{self, Way},
    legacy::{LegacyBackend, Server},
    world::World,
};

/// A host that can be reached over peer-to-peer connections and through a tunnel server, and clients that choose.
///
/// If p2p is not `UP`, the host's peer is gone from the start, and everything must behave as on the backend `legacy`.
#[derive(Clone)]
pub struct DualBackend<W: World, const UP: bool = true> {
    world: W,
    legacy: LegacyBackend<W>,
}

impl<W: World, const UP: bool> DualBackend<W, UP> {
    /// In this world, in which nothing has started yet.
    pub fn new(world: W) -> Self {
        Self { legacy: LegacyBackend::new(world.clone()), world }
    }

    /// The tunnel server.
    pub async fn server(&self) -> &Server<W> {
        self.legacy.server().await
    }

    /// A host with a handler for each transport, p2p first.
    pub async fn host_with(&self, handlers: [Arc<dyn Handler>; 2], settings: HostSettings) -> DualHost<W> {
        let host = DualHost::start(self.world.peers(), &self.legacy, handlers, settings).await;
        if !UP {
            host.cut_p2p().await;
        }
        host
    }

    /// A client whose router has these settings, and which presents a credential to each transport, p2p first.
    pub async fn client_with(
        &self,
        host: &DualHost<W>,
        settings: ClientSettings,
        credentials: [Credential; 2],
        config: RouterConfig,
    ) -> DualClient<W> {
        DualClient::start(self.world.peers(), &self.legacy, host, settings, credentials, (config, UP)).await
    }
}

impl<W: World, const UP: bool> Backend for DualBackend<W, UP> {
    type Host = DualHost<W>;
    type Client = DualClient<W>;

    fn via(&self) -> Via {
        if UP {
            let reason = Some(Reason::P2pHealthy.name());
            Via { transport: TransportKind::P2p, path: PathKind::Direct, reason }
        } else {
            let reason = Some(Reason::P2pDown.name());
            Via { transport: TransportKind::Legacy, path: PathKind::Server, reason }
        }
    }

    async fn host(&self, handler: Arc<dyn Handler>, settings: HostSettings) -> DualHost<W> {
        self.host_with([Arc::clone(&handler), handler], settings).await
    }

    async fn revive(&self, dead: DeadDualHost<W>, handler: Arc<dyn Handler>) -> DualHost<W> {
        DualHost::revive(self.world.peers(), &self.legacy, dead, handler, UP).await
    }

    async fn client(&self, host: &DualHost<W>, settings: ClientSettings) -> DualClient<W> {
        let credential = settings.credential;
        self.client_with(host, settings, [credential, credential], RouterConfig::default()).await
    }
}

impl<W: World, const UP: bool> Run for DualBackend<W, UP> {
    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>,
    {
        let way = if UP { Way::Dual } else { Way::Fallen };
        W::run(name, |world| differences::run(way, name, case(Self::new(world))));
    }
}
