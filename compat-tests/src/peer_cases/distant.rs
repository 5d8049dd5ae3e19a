//! A peer that takes every path for a long one.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::Stream;
use p2p_provider::{
    CloseReason, ConnectionConfig, ConnectionInfo, ConnectionLimits, NetworkChanges, P2PConnection, P2PError,
    P2PListener, P2PProvider, Path, PathKind, PeerAddr, PeerId, PeerInfo,
};

use super::pair::{Receiving, Sending};

/// The round-trip time of all its connections: as long as it takes for a body to take all the streams that it may.
const ROUND_TRIP: Duration = Duration::from_millis(300);

/// A peer, its listener or one of its connections, whose round-trip time is said to be 300 ms. It counts the one-way
/// streams that it opens.
#[derive(Clone)]
pub(super) struct Distant<T> {
    inner: T,
    opened: Arc<AtomicUsize>,
}

impl<T> Distant<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, opened: Arc::default() }
    }

    /// How many one-way streams the peer has opened.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    fn with<U>(&self, inner: U) -> Distant<U> {
        Distant { inner, opened: Arc::clone(&self.opened) }
    }
}

impl<P: P2PProvider> P2PProvider for Distant<P> {
    type Connection = Distant<P::Connection>;
    type Listener = Distant<P::Listener>;

    async fn connect(&self, peer: &PeerAddr, config: &ConnectionConfig) -> Result<Self::Connection, P2PError> {
        Ok(self.with(self.inner.connect(peer, config).await?))
    }

    async fn listen(&self, protocols: &[&[u8]]) -> Result<Self::Listener, P2PError> {
        Ok(self.with(self.inner.listen(protocols).await?))
    }

    fn local_peer_id(&self) -> PeerId {
        self.inner.local_peer_id()
    }

    fn local_addr(&self) -> PeerAddr {
        self.inner.local_addr()
    }

    fn network_changes(&self) -> NetworkChanges {
        self.inner.network_changes()
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        self.inner.connections()
    }

    fn disconnect(&self, peer: PeerId, code: u64, reason: &str) -> usize {
        self.inner.disconnect(peer, code, reason)
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

impl<L: P2PListener> P2PListener for Distant<L> {
    type Connection = Distant<L::Connection>;

    async fn accept(&mut self) -> Option<Self::Connection> {
        let connection = self.inner.accept().await?;
        Some(self.with(connection))
    }
}

impl<C: P2PConnection> P2PConnection for Distant<C> {
    type SendStream = Sending<C>;
    type RecvStream = Receiving<C>;

    async fn open_bi(&self) -> Result<(Sending<C>, Receiving<C>), CloseReason> {
        self.inner.open_bi().await
    }

    async fn accept_bi(&self) -> Result<(Sending<C>, Receiving<C>), CloseReason> {
        self.inner.accept_bi().await
    }

    async fn open_uni(&self) -> Result<Sending<C>, CloseReason> {
        let stream = self.inner.open_uni().await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }

    async fn accept_uni(&self) -> Result<Receiving<C>, CloseReason> {
        self.inner.accept_uni().await
    }

    fn id(&self) -> u64 {
        self.inner.id()
    }

    fn peer_info(&self) -> PeerInfo {
        self.inner.peer_info()
    }

    fn path(&self) -> Path {
        Path { rtt: Some(ROUND_TRIP), ..self.inner.path() }
    }

    fn path_kind(&self) -> PathKind {
        self.inner.path_kind()
    }

    fn rtt(&self) -> Option<Duration> {
        Some(ROUND_TRIP)
    }

    fn path_changes(&self) -> impl Stream<Item = Path> + Send + Unpin + 'static {
        self.inner.path_changes()
    }

    fn set_limits(&self, limits: ConnectionLimits) {
        self.inner.set_limits(limits);
    }

    fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        self.inner.closed()
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.inner.close_reason()
    }

    fn close(&self, code: u64, reason: &str) {
        self.inner.close(code, reason);
    }
}
