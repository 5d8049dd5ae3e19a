//! A host that can be reached over both transports, a client with a router, and what the handler saw.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use tunnel_core::{
    Failure, Handler, Request, Response, SendError, Transport, TransportKind, WsOpen, WsSession, WsUpgrade,
};
use tunnel_router::{Reason, Router, RouterConfig, State};

use crate::{
    backend::{
        ClientSettings, Credential, HostSettings, RunningClient,
        dual::{DualBackend, DualClient, DualHost},
        world::World,
    },
    pair::{accepted, handshake},
    patience::{soon, until},
};

/// A host, a client of it, and a router between two transports.
pub(super) struct Stage<W: World> {
    pub(super) backend: DualBackend<W>,
    pub(super) host: DualHost<W>,
    pub(super) router: Router,
    pub(super) seen: Arc<Seen>,
    // Both go on as long as this lives.
    _world: W,
    _client: DualClient<W>,
}

/// How often the handler was called, by the transport that called it.
#[derive(Default)]
pub(super) struct Seen {
    p2p: AtomicUsize,
    legacy: AtomicUsize,
}

impl Seen {
    pub(super) fn by(&self, kind: TransportKind) -> usize {
        self.counter(kind).load(Relaxed)
    }

    pub(super) fn all(&self) -> usize {
        self.by(TransportKind::P2p) + self.by(TransportKind::Legacy)
    }

    fn counter(&self, kind: TransportKind) -> &AtomicUsize {
        match kind {
            TransportKind::P2p => &self.p2p,
            _ => &self.legacy,
        }
    }
}

/// The service behind one of the transports.
pub(super) struct Watched {
    pub(super) service: Arc<dyn Handler>,
    pub(super) seen: Arc<Seen>,
    pub(super) kind: TransportKind,
}

#[async_trait]
impl Handler for Watched {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        self.seen.counter(self.kind).fetch_add(1, Relaxed);
        self.service.http(request).await
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.seen.counter(self.kind).fetch_add(1, Relaxed);
        self.service.ws(open).await
    }
}

/// The defaults, but for what would make cases long: probes follow each other quickly.
#[expect(clippy::field_reassign_with_default, reason = "RouterConfig is non-exhaustive: there is no other way")]
pub(super) fn config() -> RouterConfig {
    let mut config = RouterConfig::default();
    config.probe_timeout = Duration::from_millis(500);
    config.probe_interval_min = Duration::from_millis(500);
    config.probe_interval_max = Duration::from_secs(1);
    config.stall_timeout = Duration::from_secs(2);
    // Those that are about hedging turn it on.
    config.hedge = false;
    config
}

impl<W: World> Stage<W> {
    /// Both transports work.
    pub(super) async fn start(world: W, service: impl Handler) -> Self {
        Self::with(world, service, config()).await
    }

    pub(super) async fn with(world: W, service: impl Handler, config: RouterConfig) -> Self {
        let service: Arc<dyn Handler> = Arc::new(service);
        Self::of_two(world, [Arc::clone(&service), service], config).await
    }

    /// A service for each transport, p2p first.
    pub(super) async fn of_two(world: W, services: [Arc<dyn Handler>; 2], config: RouterConfig) -> Self {
        let (backend, host, seen) = home(&world, services).await;
        let client = client(&backend, &host, config).await;
        soon("connecting", client.connected()).await.expect("both transports connect");
        let router = client.router();
        Self { backend, host, router, seen, _world: world, _client: client }
    }

    /// p2p does not work, and never has.
    pub(super) async fn without_p2p(world: W, service: impl Handler, config: RouterConfig) -> Self {
        let service: Arc<dyn Handler> = Arc::new(service);
        let (backend, host, seen) = home(&world, [Arc::clone(&service), service]).await;
        host.cut_p2p().await;
        let client = client(&backend, &host, config).await;
        soon("connecting", client.legacy_connected()).await.expect("legacy connects");
        let router = client.router();
        Self { backend, host, router, seen, _world: world, _client: client }
    }

    /// Waits until the router takes p2p for good.
    pub(super) async fn p2p_is_used(&self) {
        until("p2p is used", || self.p2p_state() == State::Healthy).await;
    }

    /// Waits until the router takes p2p for down.
    pub(super) async fn p2p_is_down(&self) {
        until("p2p is down", || !matches!(self.p2p_state(), State::Healthy | State::Suspect)).await;
    }

    pub(super) fn p2p_state(&self) -> State {
        self.router.status().p2p.expect("there is p2p").state
    }

    /// p2p is gone, and the router knows.
    pub(super) async fn lose_p2p(&self) {
        self.host.cut_p2p().await;
        self.p2p_is_down().await;
    }

    pub(super) async fn send(&self, request: Request) -> Result<Response, SendError> {
        soon("a response or an error", self.router.send(request)).await
    }

    /// The response, which must say that it came this way for this reason.
    pub(super) async fn answer(&self, request: Request, kind: TransportKind, reason: Reason) -> Response {
        let response = self.send(request).await.expect("a response");
        let via = response.via.expect("it says how it travelled");
        assert_eq!((via.transport, via.reason), (kind, Some(reason.name())));
        response
    }

    /// A WebSocket, which must say that it came this way for this reason.
    pub(super) async fn websocket(&self, kind: TransportKind, reason: Reason) -> WsSession {
        let upgrade = soon("an answer to the handshake", self.router.open_ws(handshake("/ws"))).await;
        if let Ok(WsUpgrade::Accepted { via, .. }) = &upgrade {
            let via = via.expect("it says how it travels");
            assert_eq!((via.transport, via.reason), (kind, Some(reason.name())));
        }
        accepted(upgrade).1
    }
}

/// A host with two ways to it.
async fn home<W: World>(world: &W, services: [Arc<dyn Handler>; 2]) -> (DualBackend<W>, DualHost<W>, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let [p2p, legacy] = services;
    let watched = |service, kind| -> Arc<dyn Handler> { Arc::new(Watched { service, seen: Arc::clone(&seen), kind }) };
    let backend = DualBackend::new(world.clone());
    let (p2p, legacy) = (watched(p2p, TransportKind::P2p), watched(legacy, TransportKind::Legacy));
    let host = backend.host_with([p2p, legacy], HostSettings::default()).await;
    (backend, host, seen)
}

async fn client<W: World>(backend: &DualBackend<W>, host: &DualHost<W>, config: RouterConfig) -> DualClient<W> {
    backend.client_with(host, ClientSettings::default(), [Credential::Right; 2], config).await
}
