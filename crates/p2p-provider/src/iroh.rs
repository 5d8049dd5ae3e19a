//! Peers over QUIC, by Iroh: direct where the networks allow it, through a relay otherwise.
//!
//! One process needs one [`IrohP2P`] per key. Its packets are handled by tasks on the runtime on which it was
//! [bound](IrohP2P::bind); on a current-thread runtime small requests are 1.9 to 2.6 times as fast as on a shared pool
//! (no hand-over between threads), so programs for which latency counts bind it on one and do their stream work there.

mod config;
mod connection;
mod listener;
mod path;
mod registry;
mod stream;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayConfig, RelayMap, RelayMode, RelayUrl, TransportAddr, Watcher,
    endpoint::{
        BindError, ConnectError, ConnectingError, ConnectionError, PortmapperConfig, TransportErrorCode, presets,
    },
};
use tokio::time::timeout;

pub use self::{
    config::{CongestionControl, IrohConfig, Relays},
    connection::IrohConnection,
    listener::IrohListener,
    stream::{IrohRecvStream, IrohSendStream},
};
use self::{listener::ListenerSlot, registry::Registry};
use crate::{ConnectionConfig, ConnectionInfo, Direction, P2PError, P2PProvider, PeerAddr, PeerId, SecretKey};

/// TLS alert 120, `no_application_protocol` (RFC 7301 §3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// How long [`IrohP2P::bind`] waits to learn its own addresses.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long [`IrohP2P::bind`] waits for a relay, if one is configured.
const RELAY_TIMEOUT: Duration = Duration::from_secs(5);

/// The peer id that belongs to a secret key.
#[must_use]
pub fn peer_id(key: &SecretKey) -> PeerId {
    PeerId(*iroh::SecretKey::from_bytes(&key.to_bytes()).public().as_bytes())
}

/// One peer on the Iroh network. Clones share it.
#[derive(Clone, Debug)]
pub struct IrohP2P {
    endpoint: Endpoint,
    registry: Arc<Registry>,
    listener: Arc<ListenerSlot>,
}

impl IrohP2P {
    /// Opens the peer's sockets and, if relays are configured, waits up to 5 s until one of them answers.
    ///
    /// Must be called on a tokio runtime, which then drives the peer. Dropping the future opens nothing.
    pub async fn bind(config: IrohConfig) -> Result<Self, P2PError> {
        // Iroh's own future has over 20 KiB, which callers need not carry in theirs.
        Box::pin(Self::open(config)).await
    }

    async fn open(config: IrohConfig) -> Result<Self, P2PError> {
        let addresses = config.bind.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let relay_mode = relay_mode(&config.relays)?;
        let has_relays = !matches!(relay_mode, RelayMode::Disabled);
        let mut builder = Endpoint::builder(presets::Minimal)
            .secret_key(iroh::SecretKey::from_bytes(&config.secret_key.to_bytes()))
            .relay_mode(relay_mode)
            .portmapper_config(if config.port_mapping {
                PortmapperConfig::default()
            } else {
                PortmapperConfig::Disabled
            })
            .transport_config(config.transport()?)
            .clear_ip_transports();
        for (address, required) in &config.bind_addresses() {
            let options = iroh::endpoint::BindOpts::default().set_is_required(*required);
            builder = builder
                .bind_addr_with_opts(*address, options)
                .map_err(|error| P2PError::Config { field: "bind", message: format!("{address}: {error}") })?;
        }
        let endpoint = builder.bind().await.map_err(|error| bind_error(&error, addresses))?;
        // Both are best effort: without a network the peer still starts, and is reachable once there is one.
        let mut watcher = endpoint.watch_addr();
        let known = async {
            let mut address = watcher.get();
            while address.is_empty() {
                address = watcher.updated().await.ok()?;
            }
            Some(())
        };
        timeout(ADDRESS_TIMEOUT, known).await.ok();
        if has_relays {
            timeout(RELAY_TIMEOUT, endpoint.online()).await.ok();
        }
        Ok(Self { endpoint, registry: Arc::default(), listener: Arc::default() })
    }

    /// The UDP sockets of this peer.
    #[must_use]
    pub fn bound_sockets(&self) -> Vec<SocketAddr> {
        self.endpoint.bound_sockets()
    }
}

impl P2PProvider for IrohP2P {
    type Connection = IrohConnection;
    type Listener = IrohListener;

    async fn connect(&self, peer: &PeerAddr, config: &ConnectionConfig) -> Result<IrohConnection, P2PError> {
        if self.endpoint.is_closed() {
            return Err(P2PError::Closed);
        }
        if peer.direct.is_empty() && peer.relays.is_empty() {
            return Err(P2PError::NoAddress { peer: peer.id });
        }
        let address = endpoint_addr(peer)?;
        let dialling = self.registry.dialling(peer.id);
        let attempt = self.endpoint.connect(address, &config.protocol);
        let connection = match timeout(config.connect_timeout, attempt).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(connect_error(&error, peer.id, config)),
            Err(_) => return Err(P2PError::ConnectTimeout { peer: peer.id, timeout: config.connect_timeout }),
        };
        drop(dialling);
        Ok(self.registry.open(connection, Direction::Outgoing))
    }

    async fn listen(&self, protocols: &[&[u8]]) -> Result<IrohListener, P2PError> {
        if self.endpoint.is_closed() {
            return Err(P2PError::Closed);
        }
        let claim = self.listener.claim().ok_or(P2PError::AlreadyListening)?;
        self.endpoint.set_alpns(protocols.iter().map(|protocol| protocol.to_vec()).collect());
        Ok(IrohListener::new(self.endpoint.clone(), Arc::clone(&self.registry), claim))
    }

    fn local_peer_id(&self) -> PeerId {
        PeerId(*self.endpoint.id().as_bytes())
    }

    fn local_addr(&self) -> PeerAddr {
        let address = self.endpoint.addr();
        PeerAddr {
            id: self.local_peer_id(),
            direct: address.ip_addrs().copied().collect(),
            relays: address.relay_urls().map(ToString::to_string).collect(),
        }
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        self.registry.list()
    }

    fn disconnect(&self, peer: PeerId, code: u64, reason: &str) -> usize {
        self.registry.disconnect(peer, code, reason)
    }

    async fn close(&self) {
        self.endpoint.close().await;
    }
}

fn relay_mode(relays: &Relays) -> Result<RelayMode, P2PError> {
    Ok(match relays {
        Relays::None => RelayMode::Disabled,
        Relays::N0 => RelayMode::Default,
        Relays::Custom(urls) => {
            let configs: Result<Vec<_>, _> =
                urls.iter().map(|url| Ok(RelayConfig::new(relay_url(url)?, None))).collect();
            RelayMode::Custom(configs?.into_iter().collect::<RelayMap>())
        }
    })
}

fn relay_url(url: &str) -> Result<RelayUrl, P2PError> {
    url.parse().map_err(|error| P2PError::Config {
        field: "relay",
        message: format!("'{url}' is not a URL ({error}); write it like https://relay.example.org"),
    })
}

fn endpoint_addr(peer: &PeerAddr) -> Result<EndpointAddr, P2PError> {
    let id = EndpointId::from_bytes(&peer.id.0).map_err(|_| P2PError::Config {
        field: "peer id",
        message: format!("{} is not an Ed25519 public key; get a fresh ticket", peer.id),
    })?;
    let mut addresses: Vec<TransportAddr> = peer.direct.iter().copied().map(TransportAddr::Ip).collect();
    for url in &peer.relays {
        addresses.push(TransportAddr::Relay(relay_url(url)?));
    }
    Ok(EndpointAddr::from_parts(id, addresses))
}

fn bind_error(error: &BindError, addresses: String) -> P2PError {
    match error {
        BindError::Sockets { source, .. } => P2PError::Bind { addresses, message: source.to_string() },
        other => P2PError::Bind { addresses, message: format!("{other:#}") },
    }
}

fn connect_error(error: &ConnectError, peer: PeerId, config: &ConnectionConfig) -> P2PError {
    let connection_error = match error {
        ConnectError::Connection { source, .. }
        | ConnectError::Connecting { source: ConnectingError::ConnectionError { source, .. }, .. } => Some(source),
        _ => None,
    };
    match connection_error {
        Some(ConnectionError::ConnectionClosed(close))
            if close.error_code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
        {
            P2PError::ProtocolMismatch { peer, protocol: String::from_utf8_lossy(&config.protocol).into_owned() }
        }
        Some(ConnectionError::TimedOut) => P2PError::ConnectTimeout { peer, timeout: config.connect_timeout },
        Some(other) => P2PError::Connect { peer, message: other.to_string() },
        None => P2PError::Connect { peer, message: format!("{error:#}") },
    }
}
