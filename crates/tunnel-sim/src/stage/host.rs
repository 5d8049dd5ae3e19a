//! A node with a host.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_provider::{
    P2PProvider, SecretKey,
    simulator::{SimNode, SimP2P, SimPeerConfig},
};
use tunnel_core::{Handler, TransportKind};
use tunnel_edge::{LocalService, Profile, ServiceConfig, ServiceTarget};
use tunnel_legacy::{LegacyHost, LegacyHostConfig};
use tunnel_p2p::{Host, HostConfig, Ticket, TicketSecret};

use super::{SimServer, Stage, tunnel::Account, witness::Witness};
use crate::service::Service;

/// A host on a node of its own: reached by p2p, and through a tunnel server if it has an account there.
pub struct SimHost {
    /// The node.
    pub node: SimNode,
    /// What every process of the host starts with anew.
    handler: Box<dyn Fn() -> Arc<dyn Handler>>,
    config: HostConfig,
    account: Option<Account>,
    p2p: Mutex<Option<(SimP2P, Host<SimP2P>)>>,
    legacy: Mutex<Option<LegacyHost>>,
}

impl SimHost {
    pub(super) async fn start(
        stage: &Stage,
        node: SimNode,
        account: Option<Account>,
        change: impl FnOnce(&mut HostConfig),
    ) -> Self {
        let oracle = stage.oracle.clone();
        Self::with(node, Box::new(move || Service::new(oracle.clone())), account, change).await
    }

    pub(super) async fn start_for(node: SimNode, account: Option<Account>, server: &SimServer) -> Self {
        let (near, address) = (node.clone(), server.address());
        let target = ServiceTarget::Tcp { host: address.ip().to_string(), port: address.port() };
        let mut config = ServiceConfig::new(target);
        config.profile = Profile::Plain;
        config.body_idle_timeout = Duration::from_secs(30);
        let handler = move || -> Arc<dyn Handler> {
            let node = near.clone();
            let connect = move || {
                let node = node.clone();
                async move { node.connect_tcp(address).await }
            };
            Arc::new(LocalService::with_connector(config.clone(), connect).expect("the settings are right"))
        };
        Self::with(node, Box::new(handler), account, |_| {}).await
    }

    async fn with(
        node: SimNode,
        handler: Box<dyn Fn() -> Arc<dyn Handler>>,
        account: Option<Account>,
        change: impl FnOnce(&mut HostConfig),
    ) -> Self {
        let mut config = HostConfig::new(TicketSecret::from(SecretKey::from_bytes(node.id().0)));
        config.body_idle_timeout = Duration::from_secs(30);
        change(&mut config);
        let this = Self { node, handler, config, account, p2p: Mutex::default(), legacy: Mutex::default() };
        this.run().await;
        this
    }

    async fn run(&self) {
        let handler = (self.handler)();
        self.run_p2p(Arc::clone(&handler)).await;
        self.run_legacy(handler);
    }

    async fn run_p2p(&self, handler: Arc<dyn Handler>) {
        let peer = self.node.peer(SimPeerConfig::default()).expect("the node runs and has no peer");
        let handler = Witness::new(TransportKind::P2p, handler);
        let host = Host::start(peer.clone(), handler, self.config.clone()).await.expect("nobody listens yet");
        *lock(&self.p2p) = Some((peer, host));
    }

    fn run_legacy(&self, handler: Arc<dyn Handler>) {
        let Some(account) = &self.account else { return };
        let mut config = LegacyHostConfig::new(account.url(), &account.client_id, &account.token);
        // Otherwise it would come from the system.
        config.seed = Some(u64::from_be_bytes(std::array::from_fn(|i| self.node.id().0[i])));
        let (node, address) = (self.node.clone(), account.address);
        let connect = move || {
            let node = node.clone();
            async move { node.connect_tcp(address).await }
        };
        let handler = Witness::new(TransportKind::Legacy, handler);
        let host = LegacyHost::with_connector(config, handler, connect).expect("the settings are right");
        *lock(&self.legacy) = Some(host);
    }

    /// What clients need, with the address of now.
    ///
    /// # Panics
    ///
    /// When the host does not run.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        lock(&self.p2p).as_ref().map(|(_, host)| host.ticket()).expect("the host runs")
    }

    pub(super) fn account(&self) -> Option<Account> {
        self.account.clone()
    }

    /// Ends its process without a word.
    pub fn crash(&self) {
        self.node.crash();
        lock(&self.p2p).take();
        lock(&self.legacy).take();
    }

    /// Starts it again after a crash.
    pub async fn restart(&self) {
        self.node.start();
        self.run().await;
    }

    /// Starts it again after a crash, at a new address.
    pub async fn restart_elsewhere(&self) {
        self.node.start_elsewhere();
        self.run().await;
    }

    /// Closes its p2p connections, and takes no more; the tunnel server still reaches it.
    pub async fn close_p2p(&self) {
        let running = lock(&self.p2p).take();
        if let Some((peer, host)) = running {
            drop(host);
            peer.close().await;
        }
    }

    /// Leaves the tunnel server; p2p still reaches it.
    pub fn close_legacy(&self) {
        lock(&self.legacy).take();
    }

    /// Is reached in every way again.
    pub async fn open_again(&self) {
        if lock(&self.p2p).is_none() {
            self.run_p2p((self.handler)()).await;
        }
        if lock(&self.legacy).is_none() {
            self.run_legacy((self.handler)());
        }
    }

    /// Lets it finish what it has, then ends it in order and starts it again. Whether all was finished in time.
    ///
    /// # Panics
    ///
    /// When the host does not run.
    pub async fn roll(&self, grace: Duration) -> bool {
        let running = lock(&self.p2p).take();
        let (peer, host) = running.expect("the host runs");
        let finished = host.drain(grace).await;
        peer.close().await;
        self.node.crash();
        lock(&self.legacy).take();
        self.restart().await;
        finished
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
