//! A peer on a node, and its listener.

use std::{fmt, future::poll_fn, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    connection::SimConnection,
    shared::Shared,
    world::{DialStatus, PeerKey, SideId, refused},
};
use crate::{
    ConnectionConfig, ConnectionInfo, ConnectionLimits, NetworkChanges, P2PError, P2PListener, P2PProvider, PeerAddr,
    PeerId, network_changes::NetworkNews,
};

/// The settings of a simulated peer. The defaults are those of the Iroh backend.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SimPeerConfig {
    /// A connection whose peer was silent for this long is closed. Default 5 s.
    pub idle_timeout: Duration,
    /// How often each side says that it lives. Default 1 s.
    pub keep_alive_interval: Duration,
    /// A path that was silent for this long is left, if there is another one. Default 3 s.
    pub path_idle_timeout: Duration,
    /// Bytes that one stream may have unread. Default 1.25 MB.
    pub stream_receive_window: u64,
    /// What a peer may have open and unread until [`set_limits`](crate::P2PConnection::set_limits) says otherwise.
    pub initial_limits: ConnectionLimits,
}

impl Default for SimPeerConfig {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(1),
            path_idle_timeout: Duration::from_secs(3),
            stream_receive_window: 1_250_000,
            initial_limits: ConnectionLimits { bidi_streams: 64, uni_streams: 8, receive_window: 256 << 10 },
        }
    }
}

impl SimPeerConfig {
    pub(super) fn check(&self) -> Result<(), P2PError> {
        let invalid = |field, message: &str| Err(P2PError::Config { field, message: message.to_owned() });
        if self.keep_alive_interval.is_zero() || self.keep_alive_interval >= self.idle_timeout {
            return invalid("keep_alive_interval", "must be above zero and shorter than idle_timeout");
        }
        if self.stream_receive_window == 0 {
            return invalid("stream_receive_window", "must be above zero");
        }
        Ok(())
    }
}

/// One simulated peer. Clones share it.
#[derive(Clone)]
pub struct SimP2P {
    shared: Arc<Shared>,
    key: PeerKey,
    news: NetworkNews,
}

impl SimP2P {
    pub(super) fn new(shared: Arc<Shared>, key: PeerKey) -> Self {
        Self { shared, key, news: NetworkNews::default() }
    }

    /// Tells those who wait for [`network_changes`](P2PProvider::network_changes) that there was one.
    pub fn tell_network_change(&self) {
        self.news.tell();
    }
}

impl fmt::Debug for SimP2P {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimP2P({})", self.local_peer_id().short())
    }
}

impl P2PProvider for SimP2P {
    type Connection = SimConnection;
    type Listener = SimListener;

    async fn connect(&self, peer: &PeerAddr, config: &ConnectionConfig) -> Result<SimConnection, P2PError> {
        let side = self.shared.with(|world| world.dial(self.key, peer, &config.protocol))?;
        let mut attempt = Attempt { shared: &self.shared, side, settled: false };
        let status =
            timeout(config.connect_timeout, poll_fn(|cx| self.shared.with(|world| world.poll_dial(side, cx.waker()))));
        match status.await {
            Ok(DialStatus::Connected) => {
                attempt.settled = true;
                Ok(SimConnection::dialled(&self.shared, side))
            }
            Ok(DialStatus::Refused(refusal)) => Err(refused(&refusal, peer, &config.protocol)),
            Ok(DialStatus::Abandoned | DialStatus::UnderWay) => Err(P2PError::Closed),
            Err(_) => Err(P2PError::ConnectTimeout { peer: peer.id, timeout: config.connect_timeout }),
        }
    }

    async fn listen(&self, protocols: &[&[u8]]) -> Result<SimListener, P2PError> {
        self.shared.with(|world| world.listen(self.key, protocols))?;
        Ok(SimListener { shared: Arc::clone(&self.shared), key: self.key })
    }

    fn local_peer_id(&self) -> PeerId {
        self.shared.with(|world| world.node_id(self.key.node))
    }

    fn local_addr(&self) -> PeerAddr {
        self.shared.with(|world| world.peer_addr(self.key.node))
    }

    fn network_changes(&self) -> NetworkChanges {
        self.news.subscribe()
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        self.shared.with(|world| world.list(self.key))
    }

    fn disconnect(&self, peer: PeerId, code: u64, reason: &str) -> usize {
        self.shared.with(|world| world.disconnect(self.key, peer, code, reason))
    }

    async fn close(&self) {
        self.shared.with(|world| world.close_peer(self.key));
    }
}

/// A dial under way; dropping it gives it up.
struct Attempt<'a> {
    shared: &'a Shared,
    side: SideId,
    settled: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.with(|world| world.give_up_dial(self.side));
        }
    }
}

/// Accepts the connections of other simulated peers.
pub struct SimListener {
    shared: Arc<Shared>,
    key: PeerKey,
}

impl P2PListener for SimListener {
    type Connection = SimConnection;

    async fn accept(&mut self) -> Option<SimConnection> {
        poll_fn(|cx| {
            self.shared.with(|world| world.poll_accept(self.key, cx.waker())).map(|accepted| {
                let (side, id) = accepted?;
                Some(SimConnection::new(&self.shared, side, id))
            })
        })
        .await
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.shared.with(|world| world.stop_listening(self.key));
    }
}

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimListener")
    }
}
