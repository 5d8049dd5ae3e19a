//! A host whose requests go to the message loop of a server.

use std::{sync::Arc, time::Duration};

use tunnel_core::Handler;

use super::server::Server;
use crate::backend::{
    HostSettings, PeerBackend, RunningHost,
    p2p::{DeadHost, P2pHost},
};

/// A home server on a peer of its own.
pub struct FacadeHost<B: PeerBackend> {
    p2p: P2pHost<B>,
    server: Server,
    max_websockets: usize,
}

/// What is left of a [`FacadeHost`].
pub struct DeadFacadeHost {
    p2p: DeadHost,
    max_websockets: usize,
}

impl<B: PeerBackend> FacadeHost<B> {
    pub(super) async fn start(peers: &B, handler: Arc<dyn Handler>, settings: HostSettings) -> Self {
        let max_websockets = settings.max_websockets as usize;
        let (server, transports) = Server::start(handler, max_websockets);
        Self { p2p: P2pHost::start(peers, transports, settings).await, server, max_websockets }
    }

    pub(super) async fn revive(peers: &B, dead: DeadFacadeHost, handler: Arc<dyn Handler>) -> Self {
        let max_websockets = dead.max_websockets;
        let (server, transports) = Server::start(handler, max_websockets);
        Self { p2p: P2pHost::revive(peers, dead.p2p, transports).await, server, max_websockets }
    }

    /// What clients need.
    pub(super) const fn p2p(&self) -> &P2pHost<B> {
        &self.p2p
    }
}

impl<B: PeerBackend> RunningHost for FacadeHost<B> {
    type Dead = DeadFacadeHost;

    async fn drain(self, grace: Duration) -> (bool, DeadFacadeHost) {
        let (ended, p2p) = self.p2p.drain(grace).await;
        self.server.close();
        (ended, DeadFacadeHost { p2p, max_websockets: self.max_websockets })
    }

    async fn stop(self) -> DeadFacadeHost {
        self.server.close();
        DeadFacadeHost { p2p: self.p2p.stop().await, max_websockets: self.max_websockets }
    }

    async fn kill(self) -> DeadFacadeHost {
        // First the peer, so that nobody is left to pass on what the server says when it is dropped.
        let p2p = self.p2p.kill().await;
        drop(self.server);
        DeadFacadeHost { p2p, max_websockets: self.max_websockets }
    }
}
