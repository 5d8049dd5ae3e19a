//! A client whose requests go through a receiver.

mod collect;
mod sink;
mod transport;
mod websockets;

use std::sync::Arc;

use tunnel_core::{Failure, Transport};

use self::transport::TunnelTransport;
use super::host::FacadeHost;
use crate::backend::{ClientSettings, PeerBackend, RunningClient, p2p::P2pClient};

/// A tunnel server, as far as a case sees it, on a peer of its own.
pub struct FacadeClient<B: PeerBackend> {
    p2p: P2pClient<B>,
    transport: Arc<TunnelTransport>,
}

impl<B: PeerBackend> FacadeClient<B> {
    pub(super) async fn start(peers: &B, host: &FacadeHost<B>, settings: ClientSettings) -> Self {
        let body_idle_timeout = settings.body_idle_timeout;
        let p2p = P2pClient::start(peers, host.p2p(), settings).await;
        let transport = Arc::new(TunnelTransport::new(p2p.transport(), body_idle_timeout));
        Self { p2p, transport }
    }
}

impl<B: PeerBackend> RunningClient for FacadeClient<B> {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport) as Arc<dyn Transport>
    }

    async fn connected(&self) -> Result<(), Failure> {
        self.p2p.connected().await
    }

    fn close(&self) {
        self.p2p.close();
    }

    async fn kill(self) {
        self.p2p.kill().await;
    }
}
