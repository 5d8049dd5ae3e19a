//! The backend `iroh`: real peers on loopback, one thread each.

mod peer;
mod process;

use std::{
    collections::BTreeMap,
    future::Future,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use p2p_provider::{
    P2PProvider, PeerAddr, PeerId, SecretKey,
    iroh::{IrohConfig, IrohP2P, peer_id},
};
use tokio::{
    runtime,
    time::{sleep, timeout},
};
use tunnel_core::{Handler, PathKind, TransportKind, Via};

pub use self::peer::{IrohPeer, IrohPeerListener};
use self::process::Process;
use super::{
    Backend, ClientSettings, HostSettings, PeerBackend, Run, lock,
    p2p::{DeadHost, P2pClient, P2pHost},
};

/// No case takes longer unless it hangs.
const CASE_TIMEOUT: Duration = Duration::from_mins(2);

/// When a dead peer is noticed: a little sooner than with the defaults, because several cases wait for it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the port of a killed peer may take to become free.
const PORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Peers over QUIC on 127.0.0.1.
///
/// The case runs on one thread. The packets of each peer are handled by another, which is the peer's process: once it
/// has ended, nothing that its hosts and clients still do leaves it.
#[derive(Clone, Default)]
pub struct IrohBackend(Arc<Mutex<Peers>>);

#[derive(Default)]
struct Peers {
    started: u8,
    by_id: BTreeMap<PeerId, Peer>,
    /// Sockets that nobody reads.
    silent: Vec<UdpSocket>,
}

struct Peer {
    key: SecretKey,
    address: SocketAddr,
    /// `None` after its death.
    process: Option<Arc<Process>>,
}

/// Runs a case on one thread.
pub(super) fn run_in_real_time(name: &str, case: impl Future<Output = ()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let done = runtime.block_on(async { timeout(CASE_TIMEOUT, Box::pin(case)).await });
    assert!(done.is_ok(), "{name} did not end within {CASE_TIMEOUT:?}");
}

impl Backend for IrohBackend {
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

impl Run for IrohBackend {
    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>,
    {
        run_in_real_time(name, case(Self::default()));
    }
}

impl PeerBackend for IrohBackend {
    type Provider = IrohPeer;

    async fn peer(&self) -> IrohPeer {
        let key = self.key();
        self.start(key, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn dead_peer(&self) -> PeerAddr {
        let id = peer_id(&self.key());
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        self.lock().silent.push(socket);
        PeerAddr { direct: vec![address], ..PeerAddr::new(id) }
    }

    async fn kill_peer(&self, peer: IrohPeer) {
        let process = {
            let mut peers = self.lock();
            peers.by_id.get_mut(&peer.local_peer_id()).and_then(|peer| peer.process.take())
        };
        // First the process and its tasks, so that nobody is left to say goodbye.
        process.expect("it lives").kill();
        drop(peer);
    }

    async fn freeze_peer(&self, peer: &IrohPeer) {
        let process = self.lock().by_id[&peer.local_peer_id()].process.clone();
        process.expect("it lives").freeze().await;
    }

    async fn thaw_peer(&self, peer: &IrohPeer) {
        let process = self.lock().by_id[&peer.local_peer_id()].process.clone();
        process.expect("it lives").thaw();
    }

    async fn revive_peer(&self, peer: PeerId) -> IrohPeer {
        let (key, address) = {
            let peers = self.lock();
            let peer = &peers.by_id[&peer];
            assert!(peer.process.is_none(), "only the dead can be revived");
            (peer.key.clone(), peer.address)
        };
        self.start(key, address).await
    }
}

impl IrohBackend {
    async fn start(&self, key: SecretKey, address: SocketAddr) -> IrohPeer {
        let process = Arc::new(Process::start());
        let mut config = IrohConfig::loopback(key.clone());
        config.bind = vec![address];
        config.idle_timeout = IDLE_TIMEOUT;
        config.path_idle_timeout = IDLE_TIMEOUT * 2 / 3;
        config.keep_alive_interval = IDLE_TIMEOUT / 5;
        let bound = process.inside(async {
            loop {
                match IrohP2P::bind(config.clone()).await {
                    Ok(peer) => return peer,
                    // The last tasks that know the socket of a killed peer end a moment later.
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        });
        let peer = timeout(PORT_TIMEOUT, bound).await.expect("loopback can be bound");
        let address = peer.bound_sockets()[0];
        let entry = Peer { key, address, process: Some(Arc::clone(&process)) };
        self.lock().by_id.insert(peer.local_peer_id(), entry);
        IrohPeer::new(peer, process)
    }

    /// The next key, the same in every run.
    fn key(&self) -> SecretKey {
        let mut peers = self.lock();
        peers.started += 1;
        SecretKey::from_bytes([peers.started; 32])
    }

    fn lock(&self) -> MutexGuard<'_, Peers> {
        lock(&self.0)
    }
}
