//! A whole tunnel.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, Response, WsOpen, WsUpgrade};
use tunnel_legacy::{
    AuthClient, LegacyClient, LegacyConfig, LegacyHost, LegacyHostConfig, LegacyHostState, TunnelUrl,
    server::{Behaviour, Clock, MemoryStorage, Random, Storage, TunnelServer, TunnelServerConfig},
};

/// Long enough that only what hangs reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const ACCESS_TOKEN: &str = "devtoken";

/// A running tunnel server; dropping it cuts everything.
pub(crate) struct Server {
    pub(crate) url: TunnelUrl,
    addr: SocketAddr,
    behaviour: Behaviour,
    storage: Arc<dyn Storage>,
    running: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), behaviour, Arc::new(MemoryStorage::new())).await
    }

    async fn start_on(listen: SocketAddr, behaviour: Behaviour, storage: Arc<dyn Storage>) -> Self {
        let config = TunnelServerConfig::new(ACCESS_TOKEN, Clock::starting_at(1_767_225_600))
            .with_listen(listen)
            .with_behaviour(behaviour)
            .with_random(Random::seeded(7));
        let server = TunnelServer::bind(config, Arc::clone(&storage)).await.unwrap();
        let addr = server.local_addr();
        let mut running = JoinSet::new();
        running.spawn(server.run(CancellationToken::new()));
        Self { url: format!("http://{addr}").parse().unwrap(), addr, behaviour, storage, running }
    }

    /// Kills the server and starts another one in its place.
    pub(crate) async fn restart(mut self) -> Self {
        self.running.shutdown().await;
        Self::start_on(self.addr, self.behaviour, self.storage).await
    }

    /// The tokens of a new home server: for access, and for signatures.
    pub(crate) async fn account(&self, client_id: &str) -> (String, String) {
        let auth = AuthClient::new(self.url.clone()).unwrap();
        let access = auth.register(client_id, ACCESS_TOKEN).await.unwrap();
        let signature = auth.signature_token(client_id, &access).await.unwrap();
        (access, signature)
    }

    pub(crate) async fn host(&self, client_id: &str, access: &str, handler: impl Handler) -> LegacyHost {
        let config = LegacyHostConfig::new(self.url.clone(), client_id, access);
        let host = LegacyHost::start(config, Arc::new(handler)).unwrap();
        connected(&host).await;
        host
    }
}

/// Waits until the host is connected.
pub(crate) async fn connected(host: &LegacyHost) {
    let mut state = host.state();
    while !matches!(state, LegacyHostState::Connected { .. }) {
        state = timeout(PATIENCE, host.changed_from(&state)).await.expect("the host does not connect");
    }
}

/// Client, server and host.
pub(crate) struct Tunnel {
    pub(crate) client: LegacyClient,
    pub(crate) server: Server,
    pub(crate) host: LegacyHost,
    pub(crate) config: LegacyConfig,
    pub(crate) access: String,
}

impl Tunnel {
    pub(crate) async fn new(behaviour: Behaviour, handler: impl Handler) -> Self {
        let server = Server::start(behaviour).await;
        let (access, signature) = server.account("home").await;
        let host = server.host("home", &access, handler).await;
        let mut config = LegacyConfig::new(server.url.clone());
        config.client_id = Some("home".to_owned());
        config.token = Some(access.clone());
        config.signature = Some(signature);
        Self { client: LegacyClient::new(config.clone()).unwrap(), server, host, config, access }
    }
}

/// The mended server, and the one with every mistake.
pub(crate) fn behaviours() -> [Behaviour; 2] {
    [Behaviour::mended(), Behaviour::faithful()]
}

pub(crate) fn request(method: &str, target: &str, body: impl Into<bytes::Bytes>) -> Request {
    let (parts, ()) = http::Request::builder().method(method).uri(target).body(()).unwrap().into_parts();
    Request::http(1, parts, Body::full(body))
}

pub(crate) async fn bytes(body: Body) -> Vec<u8> {
    timeout(PATIENCE, body.collect()).await.expect("the body hangs").unwrap().to_bytes().to_vec()
}

/// A service that is a function.
pub(crate) struct Service<H>(pub(crate) H);

#[async_trait]
impl<H> Handler for Service<H>
where
    H: Fn(Request) -> BoxFuture<'static, Result<Response, Failure>> + Send + Sync + 'static,
{
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        (self.0)(request).await
    }

    async fn ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::ServiceUnreachable, "there is no WebSocket"))
    }
}

/// A service that answers HTTP only.
pub(crate) fn service<F>(answer: impl Fn(Request) -> F + Send + Sync + 'static) -> impl Handler
where
    F: Future<Output = Result<Response, Failure>> + Send + 'static,
{
    Service(move |request| -> BoxFuture<'static, _> { Box::pin(answer(request)) })
}

/// The path that a request asks for.
pub(crate) fn path(request: Request) -> String {
    match request.head {
        tunnel_core::RequestHead::Tunnel(head) => head.path,
        tunnel_core::RequestHead::Http(parts) => parts.uri.path().to_owned(),
    }
}

pub(crate) fn ok(body: Body) -> Response {
    Response::new(http::StatusCode::OK, body)
}
