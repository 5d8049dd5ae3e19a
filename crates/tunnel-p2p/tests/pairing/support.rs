//! A host, a service that counts, and a tunnel server that is there or not.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use async_trait::async_trait;
use http::StatusCode;
use p2p_provider::{
    P2PProvider, PeerId, SecretKey,
    simulator::{SimNode, SimP2P, SimPeerConfig},
};
use tempfile::TempDir;
use tokio::sync::Notify;
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Health, PathKind, Request, RequestHead, Response, SendError, Transport,
    WsOpen, WsUpgrade,
};
use tunnel_p2p::{
    Client, ClientConfig, Host, HostConfig, Ticket, TicketSecret,
    pairing::{AuthorizedPeers, PairingHandler},
};

/// Counts the requests. Those for `/hang` are never answered.
#[derive(Default)]
pub(crate) struct Service {
    pub(crate) seen: AtomicU32,
    pub(crate) hanging: Notify,
    pub(crate) dropped: Notify,
}

struct Dropped<'a>(&'a Notify);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[async_trait]
impl Handler for Service {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        self.seen.fetch_add(1, Ordering::Relaxed);
        match request.head {
            RequestHead::Http(parts) if parts.uri.path() == "/hang" => {
                let _dropped = Dropped(&self.dropped);
                self.hanging.notify_one();
                std::future::pending().await
            }
            RequestHead::Http(parts) if parts.uri.path() == "/" => Ok(Response::new(StatusCode::OK, Body::empty())),
            _ => Ok(Response::new(StatusCode::NOT_FOUND, Body::full("no such page"))),
        }
    }

    async fn ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::BadRequest, "no WebSockets here"))
    }
}

/// A host with a list of peers, and the handler that its tunnel server talks to.
pub(crate) struct Home {
    pub(crate) service: Arc<Service>,
    pub(crate) peers: Arc<AuthorizedPeers>,
    pub(crate) host: Host<SimP2P>,
    pub(crate) handler: Arc<dyn Handler>,
}

impl Home {
    pub(crate) async fn start(node: &SimNode, state: &TempDir) -> Self {
        Self::with_secret(node, state, 7).await
    }

    pub(crate) async fn with_secret(node: &SimNode, state: &TempDir, secret: u8) -> Self {
        let service = Arc::new(Service::default());
        let peers = Arc::new(AuthorizedPeers::open(state.path().join("peers")).expect("a list"));
        let peer = peer(node);
        let mut config = HostConfig::new(TicketSecret::from(SecretKey::from_bytes([secret; 32])));
        config.peers = Some(Arc::clone(&peers));
        let host = Host::start(peer.clone(), service.clone(), config).await.expect("nobody listens yet");
        let handler = PairingHandler::new(service.clone(), Arc::clone(&peers), move || Some(peer.local_addr()));
        Self { service, peers, host, handler: Arc::new(handler.client_id("home")) }
    }

    /// The ticket without its secret.
    pub(crate) fn keyed(&self) -> Ticket {
        Ticket { secret: None, ..self.host.ticket() }
    }

    pub(crate) fn seen(&self) -> u32 {
        self.service.seen.load(Ordering::Relaxed)
    }
}

pub(crate) fn peer(node: &SimNode) -> SimP2P {
    node.peer(SimPeerConfig::default()).expect("a new node has no peer")
}

pub(crate) fn client(node: &SimNode, ticket: Ticket) -> Client<SimP2P> {
    Client::start(peer(node), ticket, client_config())
}

pub(crate) fn client_config() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.seed = Some(1);
    config
}

pub(crate) fn get(target: &'static str) -> Request {
    let request = http::Request::get(target).body(()).expect("a valid target");
    Request::http(1, request.into_parts().0, Body::empty())
}

/// A tunnel server with one host, or none.
#[derive(Default)]
pub(crate) struct Tunnel {
    host: Mutex<Option<Arc<dyn Handler>>>,
    pub(crate) asked: AtomicU32,
    pub(crate) stopped: AtomicBool,
}

impl Tunnel {
    pub(crate) fn to(home: &Home) -> Arc<Self> {
        let this = Arc::new(Self::default());
        this.switch_to(&home.handler);
        this
    }

    pub(crate) fn switch_to(&self, host: &Arc<dyn Handler>) {
        *self.host.lock().expect("no panic") = Some(Arc::clone(host));
    }
}

#[async_trait]
impl Transport for Tunnel {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let host = self.host.lock().expect("no panic").clone();
        match host {
            Some(host) if !self.stopped.load(Ordering::Relaxed) => host.http(request).await.map_err(SendError::unknown),
            _ => Err(SendError::undelivered(Failure::new(FailureKind::Unreachable, "no tunnel server"), request)),
        }
    }

    async fn open_ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::Unsupported, "no WebSockets here"))
    }

    fn health(&self) -> Health {
        Health::Healthy { path: PathKind::Server, client_id: None }
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

pub(crate) fn down(health: &Health) -> Option<(FailureKind, String)> {
    match health {
        Health::Down(failure) => Some((failure.kind(), failure.message().to_owned())),
        _ => None,
    }
}

/// The peer of a node, as the files write it.
pub(crate) fn id(node: &SimNode) -> PeerId {
    node.id()
}
