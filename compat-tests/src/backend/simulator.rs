//! The backend `simulator`: peers in a simulated network, in virtual time.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use p2p_provider::{
    P2PProvider, PeerAddr, PeerId,
    simulator::{SimNetwork, SimNode, SimP2P, SimPeerConfig, TraceSummary, run},
};
use tokio::time::timeout;
use tunnel_core::{Handler, PathKind, TransportKind, Via};
use tunnel_sim::Environment;

use super::{
    Backend, ClientSettings, HostSettings, PeerBackend,
    p2p::{DeadHost, P2pClient, P2pHost},
};

/// No case takes longer, in virtual time, unless it hangs.
const CASE_TIMEOUT: Duration = Duration::from_hours(24);

/// A case runs with so many seeds, from the first one on.
const SEEDS: u64 = 5;

/// Peers in a simulated network.
///
/// A case runs with five seeds, twice with each, and the second run must leave the same trace as the first. The first
/// seed and the conditions come from the [`Environment`].
#[derive(Clone)]
pub struct SimBackend {
    network: SimNetwork,
    nodes: Arc<Mutex<BTreeMap<PeerId, SimNode>>>,
}

impl Backend for SimBackend {
    const NAME: &'static str = "simulator";
    const VIA: Via = Via { transport: TransportKind::P2p, path: PathKind::Direct, reason: None };

    type Host = P2pHost<Self>;
    type Client = P2pClient<Self>;

    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>,
    {
        let mut environment = Environment::read().unwrap_or_else(|error| panic!("{error}"));
        for _ in 0..SEEDS {
            run_twice(name, &environment, &case);
            environment.seed = environment.seed.wrapping_add(1);
        }
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

/// Runs a case twice and compares the traces.
fn run_twice<F, Fut>(name: &str, environment: &Environment, case: &F)
where
    F: Fn(SimBackend) -> Fut,
    Fut: Future<Output = ()>,
{
    let first = trace(name, environment, case);
    let second = trace(name, environment, case);
    if first != second {
        let texts = (first.text.unwrap_or_default(), second.text.unwrap_or_default());
        let mut lines = texts.0.lines().zip(texts.1.lines()).enumerate();
        let difference = lines.find(|(_, (one, other))| one != other);
        panic!("{name}: two runs with seed {} differ, first in {difference:?}", environment.seed);
    }
}

/// Runs a case and returns its trace.
fn trace<F, Fut>(name: &str, environment: &Environment, case: &F) -> TraceSummary
where
    F: Fn(SimBackend) -> Fut,
    Fut: Future<Output = ()>,
{
    run(environment.seed, async |network| {
        // Shown only when the case fails.
        eprintln!("{name}: replay with SIMULATOR_SEED={}", environment.seed);
        network.keep_trace();
        environment.apply(&network);
        let backend = SimBackend { network: network.clone(), nodes: Arc::default() };
        let done = timeout(CASE_TIMEOUT, Box::pin(case(backend))).await;
        assert!(done.is_ok(), "{name} did not end within {CASE_TIMEOUT:?} of virtual time");
        network.trace()
    })
}

impl PeerBackend for SimBackend {
    type Provider = SimP2P;

    async fn peer(&self) -> SimP2P {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.network.isolate(&self.node(peer.local_peer_id())).forever();
    }

    async fn revive_peer(&self, peer: PeerId) -> SimP2P {
        let node = self.node(peer);
        node.start();
        node.peer(SimPeerConfig::default()).expect("only the dead are revived")
    }
}

impl SimBackend {
    fn node(&self, peer: PeerId) -> SimNode {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.get(&peer).expect("peers are made here").clone()
    }
}
