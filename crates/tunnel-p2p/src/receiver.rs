//! The client side as upstream's tunnel server knows it: requests out, `TunnelResponse` packets in.
//!
//! [`P2PTunnelReceiver`] sends what upstream's server would have sent to a home server, over any [`Transport`]: a
//! peer-to-peer [`Client`](crate::Client), a router of both ways, or a tunnel server.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use futures::StreamExt;
//! use tunnel_core::{Transport, moosicbox_tunnel::TunnelHttpRequest};
//! use tunnel_p2p::receiver::P2PTunnelReceiver;
//!
//! # async fn run(transport: Arc<dyn Transport>, request: TunnelHttpRequest) -> Result<(), Box<dyn std::error::Error>> {
//! let (receiver, _pushes) = P2PTunnelReceiver::new(transport);
//! let mut response = receiver.http(request).await?;
//! println!("{} {:?}", response.status, response.headers);
//! while let Some(packet) = response.packets.next().await {
//!     println!("packet {}: {} bytes", packet.as_ref().map_or(0, |packet| packet.packet_id), packet?.bytes.len());
//! }
//! # Ok(())
//! # }
//! ```

mod response;
mod tunnel_stream;
mod websockets;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tunnel_core::{
    Failure, FailureKind, Request, SendError, Transport,
    moosicbox_tunnel::{TunnelAbortRequest, TunnelHttpRequest, TunnelRequest, TunnelWsRequest},
};

use self::{response::InFlight, websockets::WebSockets};

pub use self::{
    response::{ResponsePackets, TunnelHttpResponse},
    tunnel_stream::TunnelStream,
    websockets::WsEvent,
};

/// Sends tunnel requests to one host. Clones share everything.
#[derive(Clone)]
pub struct P2PTunnelReceiver {
    transport: Arc<dyn Transport>,
    in_flight: Arc<Requests>,
    websockets: Arc<WebSockets>,
}

/// The requests in flight, by their ids.
#[derive(Default)]
struct Requests(Mutex<BTreeMap<u64, CancellationToken>>);

impl P2PTunnelReceiver {
    /// A receiver for the host of this transport, and what the host says to WebSocket clients. Whoever does not read the
    /// latter for long loses the way of all its WebSocket clients ([`WsEvent::Lost`]), and nothing else.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> (Self, mpsc::Receiver<WsEvent>) {
        let (websockets, events) = WebSockets::new(Arc::clone(&transport));
        (Self { transport, in_flight: Arc::default(), websockets: Arc::new(websockets) }, events)
    }

    /// Sends any tunnel request. Only HTTP requests have a response.
    pub async fn send(&self, request: TunnelRequest) -> Result<Option<TunnelHttpResponse>, SendError> {
        match request {
            TunnelRequest::Http(request) => self.http(request).await.map(Some),
            TunnelRequest::Ws(request) => self.ws(request).await.map(|()| None).map_err(SendError::unknown),
            TunnelRequest::Abort(request) => {
                self.abort(&request);
                Ok(None)
            }
        }
    }

    /// Sends an HTTP request and waits for the head of its response. The request arrives as it is, field by field, but for an
    /// id that another client of the host is using, or was when it left: the host then chooses another.
    ///
    /// Its id must not be that of another one in flight here. Dropping the future aborts the request.
    pub async fn http(&self, request: TunnelHttpRequest) -> Result<TunnelHttpResponse, SendError> {
        let id = request.request_id;
        let Some(in_flight) = InFlight::begin(&self.in_flight, id) else {
            let failure =
                Failure::new(FailureKind::BadRequest, format!("request_id {id} is in flight already; choose another"));
            return Err(SendError::undelivered(failure, Request::tunnel(request)));
        };
        let response = tokio::select! {
            biased;
            () = in_flight.aborted() => return Err(SendError::unknown(response::aborted())),
            response = self.transport.send(Request::tunnel(request)) => response?,
        };
        TunnelHttpResponse::new(id, response, in_flight).map_err(SendError::unknown)
    }

    /// Aborts an HTTP request: its response ends with an error, and the host stops working on it. A no-op if it has ended.
    pub fn abort(&self, request: &TunnelAbortRequest) {
        if let Some(token) = self.in_flight.lock().get(&request.request_id) {
            token.cancel();
        }
    }

    /// Says that a WebSocket client has come, so that it gets broadcasts before it has said anything.
    ///
    /// Not cancel safe: the message may or may not have been sent.
    pub async fn open_ws(&self, conn_id: u64, profile: Option<&str>) -> Result<(), Failure> {
        self.websockets.open(conn_id, profile).await
    }

    /// Sends a message of a WebSocket client. It arrives as it is, field by field, if the host is a
    /// [`P2PTunnelSender`](crate::sender::P2PTunnelSender), but for numbers that another client has, or had when it left; any
    /// other host gets the body, on a WebSocket of the client's own.
    ///
    /// Not cancel safe: the message may or may not have been sent.
    pub async fn ws(&self, request: TunnelWsRequest) -> Result<(), Failure> {
        self.websockets.send(request).await
    }

    /// Says that a WebSocket client has left.
    pub async fn close_ws(&self, conn_id: u64) {
        self.websockets.close(conn_id).await;
    }
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
