//! An Iroh peer whose tasks live in a process of its own.

use std::sync::Arc;

use p2p_provider::{
    ConnectionConfig, ConnectionInfo, NetworkChanges, P2PError, P2PListener, P2PProvider, PeerAddr, PeerId,
    iroh::{IrohConnection, IrohListener, IrohP2P},
};

use super::process::Process;

/// A peer. Its connections can be used from anywhere; the tasks behind them live in its process.
#[derive(Clone)]
pub struct IrohPeer {
    peer: IrohP2P,
    process: Arc<Process>,
}

/// The listener of an [`IrohPeer`].
pub struct IrohPeerListener {
    listener: IrohListener,
    process: Arc<Process>,
}

impl IrohPeer {
    pub(super) const fn new(peer: IrohP2P, process: Arc<Process>) -> Self {
        Self { peer, process }
    }
}

impl P2PProvider for IrohPeer {
    type Connection = IrohConnection;
    type Listener = IrohPeerListener;

    async fn connect(&self, peer: &PeerAddr, config: &ConnectionConfig) -> Result<IrohConnection, P2PError> {
        self.process.inside(self.peer.connect(peer, config)).await
    }

    async fn listen(&self, protocols: &[&[u8]]) -> Result<IrohPeerListener, P2PError> {
        let listener = self.process.inside(self.peer.listen(protocols)).await?;
        Ok(IrohPeerListener { listener, process: Arc::clone(&self.process) })
    }

    fn local_peer_id(&self) -> PeerId {
        self.peer.local_peer_id()
    }

    fn local_addr(&self) -> PeerAddr {
        self.peer.local_addr()
    }

    fn network_changes(&self) -> NetworkChanges {
        self.peer.network_changes()
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        self.peer.connections()
    }

    fn disconnect(&self, peer: PeerId, code: u64, reason: &str) -> usize {
        self.peer.disconnect(peer, code, reason)
    }

    async fn close(&self) {
        self.process.inside(self.peer.close()).await;
    }
}

impl P2PListener for IrohPeerListener {
    type Connection = IrohConnection;

    async fn accept(&mut self) -> Option<IrohConnection> {
        self.process.inside(self.listener.accept()).await
    }
}
