//! The backend `simulator`: peers in a simulated network, in virtual time.

mod seeds;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex},
};

use p2p_provider::{
    P2PProvider, PeerAddr, PeerId,
    simulator::{Fault, SimNetwork, SimNode, SimP2P, SimPeerConfig},
};
use tunnel_core::{Handler, PathKind, TransportKind, Via};

pub(super) use self::seeds::run_with_seeds;
use super::{
    Backend, ClientSettings, HostSettings, PeerBackend, Run, lock,
    p2p::{DeadHost, P2pClient, P2pHost},
};

/// Peers in a simulated network.
///
/// A case runs with five seeds, twice with each, and the second run must leave the same trace as the first. The first
/// seed and the conditions come from the [`Environment`](tunnel_sim::Environment).
#[derive(Clone)]
pub struct SimBackend {
    network: SimNetwork,
    nodes: Arc<Mutex<BTreeMap<PeerId, SimNode>>>,
    frozen: Arc<Mutex<BTreeMap<PeerId, Fault>>>,
}

impl Backend for SimBackend {
    type Host = P2pHost<Self>;
    type Client = P2pClient<Self>;

    fn via(&self) -> Via {
        Via { transport: TransportKind::P2p, path: PathKind::Direct, reason: None }
    }

    async fn host(&self, handler: Arc<dyn Handler>, settings: HostSettings) -> P2pHost<Self> {
        P2pHost::start(self, handler, settings).await
    }

    async fn revive(&self, dead: DeadHost, handler: Arc<dyn Handler>) -> P2pHost<Self> {
        P2pHost::revive(self, dead, handler).await
    }

    async fn client(&self, host: &P2pHost<Self>, settings: ClientSettings) -> P2pClient<Self> {
        P2pClient::start(self, host, settings).await
    }
}

impl Run for SimBackend {
    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>,
    {
        run_with_seeds(name, |network| case(Self::new(network)));
    }
}

impl PeerBackend for SimBackend {
    type Provider = SimP2P;

    async fn peer(&self) -> SimP2P {
        let mut nodes = lock(&self.nodes);
        let node = self.network.node(&format!("n{}", nodes.len()));
        let peer = node.peer(SimPeerConfig::default()).expect("a new node has no peer");
        nodes.insert(node.id(), node);
        peer
    }

    async fn dead_peer(&self) -> PeerAddr {
        let peer = self.peer().await;
        let address = peer.local_addr();
        self.kill_peer(peer).await;
        address
    }

    async fn kill_peer(&self, peer: SimP2P) {
        self.node(peer.local_peer_id()).crash();
    }

    async fn freeze_peer(&self, peer: &SimP2P) {
        let id = peer.local_peer_id();
        let frozen = self.network.isolate(&self.node(id));
        lock(&self.frozen).insert(id, frozen);
    }

    async fn thaw_peer(&self, peer: &SimP2P) {
        drop(lock(&self.frozen).remove(&peer.local_peer_id()));
    }

    async fn revive_peer(&self, peer: PeerId) -> SimP2P {
        let node = self.node(peer);
        node.start();
        node.peer(SimPeerConfig::default()).expect("only the dead are revived")
    }
}

impl SimBackend {
    /// Peers in this network.
    pub(super) fn new(network: SimNetwork) -> Self {
        Self { network, nodes: Arc::default(), frozen: Arc::default() }
    }

    fn node(&self, peer: PeerId) -> SimNode {
        let nodes = lock(&self.nodes);
        nodes.get(&peer).expect("peers are made here").clone()
    }
}
