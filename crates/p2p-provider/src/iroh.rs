//! Peers over QUIC, by Iroh: direct where the networks allow it, through a relay otherwise.
//!
//! One process needs one [`IrohP2P`] per key. Its packets are handled by tasks on the runtime on which it was
//! [bound](IrohP2P::bind); on a current-thread runtime small requests are 1.9 to 2.6 times as fast as on a shared pool
//! (no hand-over between threads), so programs for which latency counts bind it on one and do their stream work there.

mod addresses;
mod attempts;
mod care;
mod check;
mod config;
mod connection;
mod current;
mod endpoint;
mod listener;
mod path;
mod registry;
mod relay_list;
mod report;
mod stream;

use std::{net::SocketAddr, sync::Arc};

use iroh::{Endpoint, Watcher, endpoint::RelayStatus};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use self::{
    attempts::Attempts,
    care::{Care, Counters},
    current::Current,
    listener::ListenerSlot,
    registry::Registry,
    relay_list::RelayList,
};
pub use self::{
    care::CareReport,
    check::{CheckError, RelayAnswer, ask_lookup, ask_relay, enter_relay},
    config::{CongestionControl, IrohConfig, Lookup, Publish, Relay, Relays, is_public},
    connection::IrohConnection,
    listener::IrohListener,
    report::{HomeRelay, NetReport},
    stream::{IrohRecvStream, IrohSendStream},
};
use crate::{
    ConnectionConfig, ConnectionInfo, Direction, NetworkChanges, P2PError, P2PProvider, PeerAddr, PeerId, SecretKey,
    network_changes::NetworkNews,
};

/// Relays that one peer's address may teach us.
const RELAYS_OF_PEER_MAX: usize = 8;

/// The peer id that belongs to a secret key.
#[must_use]
pub fn peer_id(key: &SecretKey) -> PeerId {
    PeerId(*iroh::SecretKey::from_bytes(&key.to_bytes()).public().as_bytes())
}

/// One peer on the Iroh network. Clones share it.
///
/// It takes care of itself: a home relay that fails is left for another, a machine that slept or changed its network is
/// noticed, and an endpoint that is wedged is made anew, with the same key and port.
#[derive(Clone, Debug)]
pub struct IrohP2P {
    shared: Arc<Shared>,
    _care: Arc<AbortOnDropHandle<()>>,
}

/// What a peer, its listener and its care have in common.
#[derive(Debug)]
struct Shared {
    config: IrohConfig,
    current: Current,
    registry: Arc<Registry>,
    listener: Arc<ListenerSlot>,
    relays: RelayList,
    attempts: Attempts,
    counters: Counters,
    news: NetworkNews,
}

impl IrohP2P {
    /// Opens the peer's sockets. Waits for no relay: what a direct path can do works at once, also while a relay does not
    /// answer. See [`online`](Self::online).
    ///
    /// Must be called on a tokio runtime, which then drives the peer. Dropping the future opens nothing.
    pub async fn bind(config: IrohConfig) -> Result<Self, P2PError> {
        // Iroh's own future has over 20 KiB, which callers need not carry in theirs.
        Box::pin(Self::open(config)).await
    }

    async fn open(config: IrohConfig) -> Result<Self, P2PError> {
        let relays = RelayList::new(config.relays.configs()?);
        let endpoint = endpoint::open(&config, &relays, &[]).await?;
        endpoint::settled(&endpoint).await;
        let shared = Arc::new(Shared {
            config,
            current: Current::new(endpoint),
            registry: Arc::default(),
            listener: Arc::default(),
            relays,
            attempts: Attempts::default(),
            counters: Counters::default(),
            news: NetworkNews::default(),
        });
        let care = spawn(Care::new(Arc::clone(&shared)).run());
        Ok(Self { shared, _care: Arc::new(care) })
    }

    /// Waits until the peer can be reached through a relay: forever if it has none, or if none answers. Cancel safe.
    pub async fn online(&self) {
        while let Ok((_, endpoint)) = self.shared.endpoint().await {
            let mut relays = endpoint.home_relay_status();
            let online = async {
                while !relays.get().iter().any(RelayStatus::is_connected) {
                    if relays.updated().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            tokio::select! {
                biased;
                () = online => return,
                // Another one follows.
                () = endpoint.closed() => tokio::task::yield_now().await,
            }
        }
        std::future::pending::<()>().await;
    }

    /// The URLs of the relays that were configured. None of those that are learned from peers.
    #[must_use]
    pub fn relays(&self) -> Vec<String> {
        self.shared.config.relays.list().into_iter().map(|relay| relay.url).collect()
    }

    /// The UDP sockets of this peer.
    #[must_use]
    pub fn bound_sockets(&self) -> Vec<SocketAddr> {
        self.shared.current.last().sockets
    }

    /// All addresses at which this peer believes to be reachable, also those that are not
    /// [published](IrohConfig::publish).
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shared.current.last().addr.ip_addrs().copied().collect()
    }

    /// What the peer did to stay reachable.
    #[must_use]
    pub fn care(&self) -> CareReport {
        self.shared.counters.report(self.shared.news.count())
    }

    /// How the relay is through which this peer can be reached; `None` without one.
    #[must_use]
    pub fn home_relay(&self) -> Option<HomeRelay> {
        report::home_relay(&self.shared.current.get()?)
    }

    /// What is known of the network between this peer and the world, once the relays have been asked; `None` before. It is
    /// renewed about twice a minute.
    #[must_use]
    pub fn net_report(&self) -> Option<NetReport> {
        report::net_report(&self.shared.current.get()?)
    }
}

impl Shared {
    /// An endpoint to work with, and its number.
    async fn endpoint(&self) -> Result<(u64, Endpoint), P2PError> {
        self.current.open().await.ok_or(P2PError::Closed)
    }

    /// Learns the relays that a peer names, if that is wanted.
    async fn learn_relays(&self, endpoint: &Endpoint, peer: &PeerAddr) {
        let Relays::OfPeers { token } = &self.config.relays else { return };
        for url in peer.relays.iter().take(RELAYS_OF_PEER_MAX) {
            let Ok(config) = Relay::new(url).token(token.clone()).config() else { continue };
            if let Some(config) = self.relays.learn(config) {
                endpoint.insert_relay(config.url.clone(), config).await;
            }
        }
    }
}

impl P2PProvider for IrohP2P {
    type Connection = IrohConnection;
    type Listener = IrohListener;

    async fn connect(&self, peer: &PeerAddr, config: &ConnectionConfig) -> Result<IrohConnection, P2PError> {
        let shared = &self.shared;
        if shared.current.is_closed() {
            return Err(P2PError::Closed);
        }
        if peer.direct.is_empty() && peer.relays.is_empty() && shared.config.lookups.is_empty() {
            return Err(P2PError::NoAddress { peer: peer.id });
        }
        let address = addresses::remote(peer)?;
        let dialling = shared.registry.dialling(peer.id);
        let began = Instant::now();
        let attempt = async {
            loop {
                let (generation, endpoint) = shared.endpoint().await?;
                shared.learn_relays(&endpoint, peer).await;
                match endpoint.connect(address.clone(), &config.protocol).await {
                    Ok(connection) => break Ok(connection),
                    // It is being made anew.
                    Err(_) if shared.current.is_retired(generation) => {}
                    Err(error) => break Err(endpoint::connect_error(&error, peer.id, config)),
                }
            }
        };
        let timed_out = P2PError::ConnectTimeout { peer: peer.id, timeout: config.connect_timeout };
        let result = timeout(config.connect_timeout, attempt).await.unwrap_or(Err(timed_out));
        match &result {
            Err(P2PError::ConnectTimeout { .. }) => shared.attempts.timed_out(began),
            _ => shared.attempts.answered(),
        }
        drop(dialling);
        Ok(shared.registry.open(result?, Direction::Outgoing, peer.relays.len()))
    }

    async fn listen(&self, protocols: &[&[u8]]) -> Result<IrohListener, P2PError> {
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let (_, endpoint) = self.shared.endpoint().await?;
        let claim = self.shared.listener.claim(protocols.clone()).ok_or(P2PError::AlreadyListening)?;
        endpoint.set_alpns(protocols);
        Ok(IrohListener::new(Arc::clone(&self.shared), claim))
    }

    fn local_peer_id(&self) -> PeerId {
        peer_id(&self.shared.config.secret_key)
    }

    fn local_addr(&self) -> PeerAddr {
        addresses::local(&self.shared.current.last().addr, &self.shared.config)
    }

    fn network_changes(&self) -> NetworkChanges {
        self.shared.news.subscribe()
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        self.shared.registry.list()
    }

    fn disconnect(&self, peer: PeerId, code: u64, reason: &str) -> usize {
        self.shared.registry.disconnect(peer, code, reason)
    }

    async fn close(&self) {
        if let Some(endpoint) = self.shared.current.close() {
            endpoint.close().await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the handle is the owner")]
fn spawn(future: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(future))
}
