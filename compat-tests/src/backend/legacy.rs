//! The backends `legacy` and `simulated_legacy`: a host, its clients, and a tunnel server between them.

mod client;
mod host;
mod server;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::OnceCell;
use tunnel_core::{Handler, PathKind, TransportKind, Via};

pub use self::{
    client::LegacyRunningClient,
    host::{DeadLegacyHost, LegacyRunningHost},
    server::{Account, Server},
};
use super::{
    Backend, ClientSettings, HostSettings, Run,
    differences::{self, Way},
    world::World,
};

/// One tunnel server, with the mistakes of the published one mended, and whoever is connected to it.
///
/// The cases in the [table of differences](super::differences) must fail as it says; all others pass.
#[derive(Clone)]
pub struct LegacyBackend<W: World>(Arc<Inner<W>>);

struct Inner<W: World> {
    world: W,
    server: OnceCell<Server<W>>,
    hosts: AtomicUsize,
}

impl<W: World> LegacyBackend<W> {
    /// In this world, in which nothing has started yet.
    pub fn new(world: W) -> Self {
        Self(Arc::new(Inner { world, server: OnceCell::new(), hosts: AtomicUsize::new(0) }))
    }

    /// The tunnel server, which starts with the first host.
    pub async fn server(&self) -> &Server<W> {
        self.0.server.get_or_init(|| Server::new(&self.0.world)).await
    }

    /// A client of a tunnel server that may be another one, with the account of a host.
    pub(super) fn client_at(
        &self,
        server: std::net::SocketAddr,
        account: &Account,
        settings: ClientSettings,
    ) -> LegacyRunningClient<W> {
        LegacyRunningClient::start(&self.0.world, server, account, settings)
    }
}

impl<W: World> Backend for LegacyBackend<W> {
    type Host = LegacyRunningHost<W>;
    type Client = LegacyRunningClient<W>;

    fn via(&self) -> Via {
        Via { transport: TransportKind::Legacy, path: PathKind::Server, reason: None }
    }

    async fn host(&self, handler: Arc<dyn Handler>, settings: HostSettings) -> LegacyRunningHost<W> {
        let server = self.server().await;
        let number = self.0.hosts.fetch_add(1, Relaxed);
        let client_id = settings.client_id.clone().unwrap_or_else(|| format!("home-{number}"));
        let account = server.register(&client_id).await;
        LegacyRunningHost::start(&self.0.world, server, account, handler, settings).await
    }

    async fn revive(&self, dead: DeadLegacyHost<W>, handler: Arc<dyn Handler>) -> LegacyRunningHost<W> {
        LegacyRunningHost::revive(dead, handler).await
    }

    async fn client(&self, host: &LegacyRunningHost<W>, settings: ClientSettings) -> LegacyRunningClient<W> {
        self.client_at(self.server().await.address(), host.account(), settings)
    }
}

impl<W: World> Run for LegacyBackend<W> {
    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>,
    {
        W::run(name, |world| differences::run(Way::Legacy, name, case(Self::new(world))));
    }
}
