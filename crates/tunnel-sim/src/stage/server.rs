//! A node with the service, behind HTTP as any other.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use p2p_provider::simulator::{SimNode, SimTcpStream};
use tokio::{runtime::Handle, task::JoinSet};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{Body, Failure, FailureKind, Handler, Request};
use tunnel_edge::Listener;

use super::{Stage, tcp::Port};
use crate::{
    oracle::{Oracle, Work},
    service::{Service, came_by},
};

/// Where the service listens.
const PORT: u16 = 8000;

/// An HTTP/1.1 server on a node of its own that does what the plans in its requests say.
pub struct SimServer {
    /// The node.
    pub node: SimNode,
    oracle: Oracle,
    connections: Arc<AtomicUsize>,
    running: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl SimServer {
    pub(super) fn start(stage: &Stage, node: SimNode) -> Self {
        let this = Self { node, oracle: stage.oracle.clone(), connections: Arc::default(), running: Mutex::default() };
        this.run();
        this
    }

    /// Where hosts reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.node.address(PORT)
    }

    /// How many connections it has.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Ends its process without a word.
    pub fn crash(&self) {
        self.node.crash();
        self.running().take();
    }

    /// Starts it again after a crash.
    pub fn restart(&self) {
        self.node.start();
        self.run();
    }

    fn running(&self) -> MutexGuard<'_, Option<AbortOnDropHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let port = Port::open(&self.node, PORT).expect("the node runs and nobody listens there");
        let serving = serve(port, self.oracle.clone(), Arc::clone(&self.connections));
        let serving = AbortOnDropHandle::new(Handle::current().spawn(serving));
        *self.running() = Some(serving);
    }
}

async fn serve(mut port: Port, oracle: Oracle, open: Arc<AtomicUsize>) {
    let service = Service::new(oracle.clone());
    let mut tasks = JoinSet::new();
    while let Ok((stream, _)) = port.accept().await {
        while tasks.try_join_next().is_some() {}
        let (service, oracle, counted) = (Arc::clone(&service), oracle.clone(), Counted::new(&open));
        tasks.spawn(async move {
            let _counted = counted;
            connection(stream, service, oracle).await;
        });
    }
}

/// A connection that becomes a WebSocket.
type Switched = Mutex<Option<(OnUpgrade, Work)>>;

async fn connection(stream: SimTcpStream, service: Arc<Service>, oracle: Oracle) {
    let switched = Switched::default();
    let answering = service_fn(|request| answer(&service, &oracle, &switched, request));
    // Without the date, which would come from the wall clock.
    let http = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), answering);
    // It ends with an error when the other side leaves, or the plan says so.
    _ = http.with_upgrades().await;
    let switched = switched.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((upgrade, work)) = switched
        && let Ok(upgraded) = upgrade.await
    {
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            // Pings and closes are answered by the library.
            if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
                break;
            }
        }
        drop(work);
    }
}

async fn answer(
    service: &Service,
    oracle: &Oracle,
    switched: &Switched,
    mut request: http::Request<Incoming>,
) -> Result<http::Response<Body>, Failure> {
    if let Some(id) = request.uri().path().strip_prefix("/ws/") {
        let (id, upgrade) = (id.parse().ok(), request.extensions_mut().remove::<OnUpgrade>());
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
        let (Some(id), Some(upgrade), Some(key)) = (id, upgrade, key) else {
            oracle.violate(format!("the service was asked for a WebSocket by {request:?}"));
            return Err(Failure::new(FailureKind::BadRequest, "no WebSocket"));
        };
        let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("keys are base64");
        *switched.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((upgrade, oracle.work(id, came_by(request.headers()))));
        let mut response = http::Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        return Ok(response);
    }
    let (parts, incoming) = request.into_parts();
    let body = if incoming.is_end_stream() {
        Body::empty()
    } else {
        Body::stream(incoming.map_err(|error| Failure::new(FailureKind::Aborted, error.to_string())))
    };
    let response = service.http(Request::http(0, parts, body)).await?;
    let mut reply = http::Response::new(response.body);
    *reply.status_mut() = response.status;
    *reply.headers_mut() = response.headers;
    Ok(reply)
}

/// One more connection, as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
