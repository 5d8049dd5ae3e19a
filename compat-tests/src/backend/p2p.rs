//! Hosts and clients of `tunnel_p2p`, on any backend of peers.

use std::{sync::Arc, time::Duration};

use p2p_provider::{ConnectionState, P2PProvider, PeerId, SecretKey};
use tokio::time::{sleep, timeout};
use tunnel_core::{Failure, Handler, Transport};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, Ticket, TicketSecret};

use super::{ClientSettings, Credential, HostSettings, PeerBackend, RunningClient, RunningHost};

/// How long a client may take for its second connection, without which it works, too.
const BULK_TIMEOUT: Duration = Duration::from_secs(10);

/// A host on a peer of its own.
pub struct P2pHost<B: PeerBackend> {
    backend: B,
    peer: B::Provider,
    host: Host<B::Provider>,
    config: HostConfig,
}

/// What is left of a [`P2pHost`].
pub struct DeadHost {
    peer: PeerId,
    config: HostConfig,
}

/// A client on a peer of its own.
pub struct P2pClient<B: PeerBackend> {
    backend: B,
    peer: B::Provider,
    client: Client<B::Provider>,
}

impl<B: PeerBackend> P2pHost<B> {
    /// [`Backend::host`](super::Backend::host).
    pub async fn start(backend: &B, handler: Arc<dyn Handler>, settings: HostSettings) -> Self {
        let peer = backend.peer().await;
        // Any secret does, as long as it is the same in every run.
        let mut config = HostConfig::new(TicketSecret::from(SecretKey::from_bytes(peer.local_peer_id().0)));
        config.client_id = settings.client_id;
        config.max_requests = settings.max_requests;
        config.max_websockets = settings.max_websockets;
        config.body_idle_timeout = settings.body_idle_timeout;
        config.ws_message_bytes_max = settings.ws_message_bytes_max;
        Self::on(backend, peer, handler, config).await
    }

    /// [`Backend::revive`](super::Backend::revive).
    pub async fn revive(backend: &B, dead: DeadHost, handler: Arc<dyn Handler>) -> Self {
        let peer = backend.revive_peer(dead.peer).await;
        Self::on(backend, peer, handler, dead.config).await
    }

    /// What clients need.
    pub(super) fn ticket(&self) -> Ticket {
        self.host.ticket()
    }

    /// Makes its process stand still.
    pub(super) async fn freeze(&self) {
        self.backend.freeze_peer(&self.peer).await;
    }

    /// Lets its process go on.
    pub(super) async fn thaw(&self) {
        self.backend.thaw_peer(&self.peer).await;
    }

    async fn on(backend: &B, peer: B::Provider, handler: Arc<dyn Handler>, config: HostConfig) -> Self {
        let host = Host::start(peer.clone(), handler, config.clone()).await.expect("a new peer does not listen yet");
        Self { backend: backend.clone(), peer, host, config }
    }
}

impl<B: PeerBackend> RunningHost for P2pHost<B> {
    type Dead = DeadHost;

    async fn drain(self, grace: Duration) -> (bool, DeadHost) {
        let ended = self.host.drain(grace).await;
        self.peer.close().await;
        let dead = DeadHost { peer: self.peer.local_peer_id(), config: self.config };
        self.backend.kill_peer(self.peer).await;
        (ended, dead)
    }

    async fn stop(self) -> DeadHost {
        drop(self.host);
        self.peer.close().await;
        let dead = DeadHost { peer: self.peer.local_peer_id(), config: self.config };
        self.backend.kill_peer(self.peer).await;
        dead
    }

    async fn kill(self) -> DeadHost {
        let dead = DeadHost { peer: self.peer.local_peer_id(), config: self.config };
        // First the peer, so that nobody is left to pass on what the host says when it is dropped.
        self.backend.kill_peer(self.peer).await;
        drop(self.host);
        dead
    }
}

impl<B: PeerBackend> P2pClient<B> {
    /// [`Backend::client`](super::Backend::client).
    pub async fn start(backend: &B, host: &P2pHost<B>, settings: ClientSettings) -> Self {
        Self::of(backend, host.ticket(), settings).await
    }

    /// A client of the host whose ticket this is.
    pub(super) async fn of(backend: &B, mut ticket: Ticket, settings: ClientSettings) -> Self {
        let peer = backend.peer().await;
        let id = peer.local_peer_id().0;
        if settings.credential == Credential::Wrong {
            let wrong = |secret: TicketSecret| SecretKey::from_bytes(secret.to_bytes().map(|byte| !byte)).into();
            ticket.secret = ticket.secret.map(wrong);
        }
        let mut config = ClientConfig::default();
        config.client_id = settings.client_id;
        config.head_timeout = settings.head_timeout;
        config.body_idle_timeout = settings.body_idle_timeout;
        config.max_requests = settings.max_requests;
        config.max_websockets = settings.max_websockets;
        config.queue_timeout = settings.queue_timeout;
        config.ws_message_bytes_max = settings.ws_message_bytes_max;
        config.seed = Some(u64::from_be_bytes(std::array::from_fn(|index| id[index])));
        let client = Client::start(peer.clone(), ticket, config);
        Self { backend: backend.clone(), peer, client }
    }

    /// The host knows the second connection, too.
    async fn bulk_connected(&self) {
        let open = || self.peer.connections().iter().filter(|line| line.state == ConnectionState::Open).count();
        while open() < 2 {
            sleep(Duration::from_millis(2)).await;
        }
        // The connection is there; what both sides say on it first is under way.
        sleep(Duration::from_millis(30)).await;
    }
}

impl<B: PeerBackend> RunningClient for P2pClient<B> {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.client.clone())
    }

    async fn connected(&self) -> Result<(), Failure> {
        self.client.connected().await?;
        timeout(BULK_TIMEOUT, self.bulk_connected()).await.ok();
        Ok(())
    }

    fn close(&self) {
        self.client.close();
    }

    async fn kill(self) {
        self.backend.kill_peer(self.peer).await;
        drop(self.client);
    }
}
