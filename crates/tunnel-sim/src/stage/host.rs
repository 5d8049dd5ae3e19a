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
use tunnel_p2p::{Host, HostConfig, Ticket, TicketSecret};

use super::{SimServer, Stage, witness::Witness};
use crate::service::Service;

/// A host on a node of its own.
pub struct SimHost {
    /// The node.
    pub node: SimNode,
    /// What every process of the host starts with anew.
    handler: Box<dyn Fn() -> Arc<dyn Handler>>,
    config: HostConfig,
    running: Mutex<Option<(SimP2P, Host<SimP2P>)>>,
}

impl SimHost {
    pub(super) async fn start(stage: &Stage, node: SimNode, change: impl FnOnce(&mut HostConfig)) -> Self {
        let oracle = stage.oracle.clone();
        Self::with(node, Box::new(move || Service::new(oracle.clone())), change).await
    }

    pub(super) async fn start_for(node: SimNode, server: &SimServer) -> Self {
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
        Self::with(node, Box::new(handler), |_| {}).await
    }

    async fn with(
        node: SimNode,
        handler: Box<dyn Fn() -> Arc<dyn Handler>>,
        change: impl FnOnce(&mut HostConfig),
    ) -> Self {
        let mut config = HostConfig::new(TicketSecret::from(SecretKey::from_bytes(node.id().0)));
        config.body_idle_timeout = Duration::from_secs(30);
        change(&mut config);
        let this = Self { node, handler, config, running: Mutex::new(None) };
        this.run().await;
        this
    }

    async fn run(&self) {
        let peer = self.node.peer(SimPeerConfig::default()).expect("the node runs and has no peer");
        let handler = Witness::new(TransportKind::P2p, (self.handler)());
        let host = Host::start(peer.clone(), handler, self.config.clone()).await.expect("nobody listens yet");
        *self.running() = Some((peer, host));
    }

    fn running(&self) -> MutexGuard<'_, Option<(SimP2P, Host<SimP2P>)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What clients need, with the address of now.
    ///
    /// # Panics
    ///
    /// When the host does not run.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.running().as_ref().map(|(_, host)| host.ticket()).expect("the host runs")
    }

    /// Ends its process without a word.
    pub fn crash(&self) {
        self.node.crash();
        self.running().take();
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

    /// Lets it finish what it has, then ends it in order and starts it again. Whether all was finished in time.
    ///
    /// # Panics
    ///
    /// When the host does not run.
    pub async fn roll(&self, grace: Duration) -> bool {
        let running = self.running().take();
        let (peer, host) = running.expect("the host runs");
        let finished = host.drain(grace).await;
        peer.close().await;
        self.node.crash();
        self.restart().await;
        finished
    }
}
