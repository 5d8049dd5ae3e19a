//! A peer of the network, and its listener.

use std::{future::Future, time::Duration};

use crate::{ConnectionInfo, NetworkChanges, P2PConnection, P2PError, PeerAddr, PeerId};

/// One peer: dials others and listens for them.
pub trait P2PProvider: Clone + Send + Sync + 'static {
    /// A connection to another peer.
    type Connection: P2PConnection;
    /// The stream of incoming connections.
    type Listener: P2PListener<Connection = Self::Connection>;

    /// Connects to `peer` and proves that it holds its key.
    ///
    /// Returns within `config.connect_timeout`. Dropping the future abandons the attempt.
    fn connect(
        &self,
        peer: &PeerAddr,
        config: &ConnectionConfig,
    ) -> impl Future<Output = Result<Self::Connection, P2PError>> + Send;

    /// Starts to accept connections that speak one of `protocols`.
    ///
    /// A peer has one listener at a time; a second call fails until the first listener is dropped.
    fn listen(&self, protocols: &[&[u8]]) -> impl Future<Output = Result<Self::Listener, P2PError>> + Send;

    /// This peer's id.
    fn local_peer_id(&self) -> PeerId;

    /// Where this peer can be reached at this moment. It changes with the network.
    fn local_addr(&self) -> PeerAddr;

    /// The news of changes that make it worth trying again at once what has failed.
    fn network_changes(&self) -> NetworkChanges;

    /// The connections of this peer that are being dialled or are open, oldest first.
    fn connections(&self) -> Vec<ConnectionInfo>;

    /// Closes every connection to `peer`; returns how many there were.
    fn disconnect(&self, peer: PeerId, code: u64, reason: &str) -> usize;

    /// Closes everything and tells the peers, so that they do not wait for a timeout. Idempotent.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Incoming connections, handshakes done.
pub trait P2PListener: Send + 'static {
    /// A connection from another peer.
    type Connection: P2PConnection;

    /// The next connection; `None` once the peer is closed.
    ///
    /// Failed handshakes are skipped and logged. Cancel safe: no handshake is lost. It must be polled for handshakes
    /// to make progress.
    fn accept(&mut self) -> impl Future<Output = Option<Self::Connection>> + Send;
}

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// The protocol to speak (the TLS ALPN). The peer refuses what it does not speak.
    pub protocol: Vec<u8>,
    /// The whole attempt takes at most this long. Default 5 s: hole punching over two relays takes under 2 s, and a
    /// dead address would otherwise cost the idle timeout of the transport.
    pub connect_timeout: Duration,
}

impl ConnectionConfig {
    /// The defaults, for one protocol.
    #[must_use]
    pub fn new(protocol: &[u8]) -> Self {
        Self { protocol: protocol.to_vec(), connect_timeout: Duration::from_secs(5) }
    }

    /// Sets [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub const fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }
}
