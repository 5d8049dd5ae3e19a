//! The host side as upstream's servers know it: a sender, its handle, and a loop over messages.
//!
//! [`P2PTunnelSender`] has the methods of `moosicbox_tunnel_sender::sender::TunnelSender`, in its words and order; it is
//! also named [`TunnelSender`], so that an import is all that changes. The loop gets the JSON that the tunnel server would
//! have sent, whichever way a request came, and its answers go back that way.
//!
//! ```no_run
//! use tunnel_core::moosicbox_tunnel::TunnelRequest;
//! use tunnel_p2p::sender::{P2PTunnelSender, TunnelMessage};
//!
//! # async fn run(tunnel: P2PTunnelSender, service_port: u16) -> Result<(), Box<dyn std::error::Error>> {
//! let mut messages = tunnel.start();
//! while let Some(message) = messages.recv().await {
//!     let TunnelMessage::Text(text) = message else { continue };
//!     let tunnel = tunnel.clone();
//!     match serde_json::from_str(&text)? {
//!         TunnelRequest::Http(request) => {
//!             tokio::spawn(async move {
//!                 let answered = tunnel.tunnel_request(
//!                     service_port,
//!                     request.request_id,
//!                     request.method,
//!                     request.path,
//!                     request.query,
//!                     request.payload,
//!                     request.headers,
//!                     request.profile,
//!                     request.encoding,
//!                 );
//!                 if let Err(error) = answered.await {
//!                     eprintln!("the client was told: {error}");
//!                 }
//!             });
//!         }
//!         TunnelRequest::Ws(request) => println!("{}", request.body),
//!         TunnelRequest::Abort(request) => tunnel.abort_request(request.request_id),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is better than upstream's
//!
//! - A request that came as exact HTTP reaches the service as exact HTTP, though the loop sees only what JSON can say of it
//!   ([`tunnel_request`](P2PTunnelSender::tunnel_request)).
//! - Every request gets an answer. A service that is down or silent is a 502 or 504, not a client that waits for ever.
//! - A client that leaves is an `ABORT` at once, and its answer ends.
//! - Slow readers slow their own response. What upstream panics on is an error here.

mod error;
mod handle;
mod hub;
mod ids;
mod message;
#[cfg(feature = "moosicbox-ws")]
mod moosicbox;
mod queue;
mod request;
mod requests;
mod websocket_sender;
mod websockets;
mod ws_session;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use switchy_http::models::Method;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{
    Handler,
    moosicbox_tunnel::{TunnelEncoding, TunnelHttpRequest, TunnelResponse, TunnelWsResponse},
    packet,
};

use self::{hub::Hub, request::Services, websocket_sender::WebsocketRoot};
use crate::{
    task,
    transports::{Switch, TransportsError},
};

#[cfg(feature = "moosicbox-ws")]
pub use self::moosicbox::MoosicBoxProcessor;
pub use self::{
    error::{CloseError, SendBytesError, SendMessageError, TunnelRequestError, Unused},
    handle::P2PTunnelSenderHandle,
    message::{Frame, TunnelMessage},
    websocket_sender::{
        TunnelWebsocketSender, TunnelWebsockets, WebsocketContext, WebsocketMessageError, WebsocketSendError,
        WebsocketSender, WsProcessor,
    },
};

/// The name that upstream has for [`P2PTunnelSender`].
pub type TunnelSender = P2PTunnelSender;
/// The name that upstream has for [`P2PTunnelSenderHandle`].
pub type TunnelSenderHandle = P2PTunnelSenderHandle;

/// Takes requests for a server's own loop, and its answers. Clones share everything.
///
/// It is a [`Handler`] to whatever transports it is [given to](Self::handler).
#[derive(Clone)]
pub struct P2PTunnelSender {
    hub: Arc<Hub>,
    services: Arc<Services>,
    processor: Option<Arc<dyn WsProcessor>>,
    /// The ways by which requests come, if they are its own to start.
    transports: Option<Result<Arc<Switch>, TransportsError>>,
    /// The server's own token, which closes the hub.
    token: Option<switchy_async::util::CancellationToken>,
    watching: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
    id: u64,
}

/// What a [`P2PTunnelSender`] may be told at the start.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SenderConfig {
    /// Whether the loop answers every request by [`tunnel_request`](P2PTunnelSender::tunnel_request).
    ///
    /// Then requests come, too, whose method or body the JSON cannot hold (a `PROPFIND`, an upload of a file): the loop sees
    /// them without, and the service gets them whole. Without this promise such requests are refused, since a loop that
    /// answers by packets would take them for something else. Default: no.
    pub exact: bool,
    /// Seed of the numbers that clients have not chosen themselves, for reproducible runs. Default: from the operating
    /// system.
    pub seed: Option<u64>,
}

impl P2PTunnelSender {
    /// A sender without transports: give its [`handler`](Self::handler) to some.
    #[must_use]
    pub fn detached(config: SenderConfig) -> (Self, P2PTunnelSenderHandle) {
        let hub = Arc::new(Hub::new(config.seed, config.exact));
        let id = hub.number();
        let handle = P2PTunnelSenderHandle { hub: Arc::clone(&hub) };
        let sender = Self {
            hub,
            services: Arc::default(),
            processor: None,
            transports: None,
            token: None,
            watching: Arc::default(),
            id,
        };
        (sender, handle)
    }

    /// As upstream's, with upstream's arguments: through the tunnel server alone. With
    /// [`TunnelTransports`](crate::transports::TunnelTransports) it is peer to peer as well.
    ///
    /// `host` is the address of the tunnel server, as in `https://tunnel.example`; `url` that of its WebSocket, as in
    /// `wss://tunnel.example/ws`. The configuration database is for [`ws_request`](Self::ws_request) with the cargo feature
    /// `moosicbox-ws`, and is dropped without it. Arguments that are not usable are an error of
    /// [`try_start`](Self::try_start).
    #[cfg(feature = "legacy")]
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "these are upstream's arguments")]
    pub fn new<D: 'static>(
        host: String,
        url: String,
        client_id: String,
        access_token: String,
        config_db: D,
    ) -> (Self, P2PTunnelSenderHandle) {
        use crate::transports::{TransportMode, TransportsConfig};

        let (mut sender, handle) = Self::detached(SenderConfig::default());
        let config = TransportsConfig::new(TransportMode::Tunnel);
        let config = config.with_upstream_tunnel(&host, &url, &client_id, &access_token);
        sender.transports = Some(config.and_then(Switch::new).map(Arc::new));
        #[cfg(feature = "moosicbox-ws")]
        if let Some(config_db) =
            (&config_db as &dyn std::any::Any).downcast_ref::<switchy_database::config::ConfigDatabase>()
        {
            sender = sender.with_ws_processor(MoosicBoxProcessor::new(config_db.clone()));
        }
        drop(config_db);
        (sender, handle)
    }

    /// What transports ask.
    #[must_use]
    pub fn handler(&self) -> Arc<dyn Handler> {
        Arc::clone(&self.hub) as Arc<dyn Handler>
    }

    pub(crate) fn with_transports(mut self, transports: Arc<Switch>) -> Self {
        self.transports = Some(Ok(transports));
        self
    }

    /// Understands the messages of WebSocket clients in [`ws_request`](Self::ws_request).
    #[must_use]
    pub fn with_ws_processor(mut self, processor: impl WsProcessor + 'static) -> Self {
        self.processor = Some(Arc::new(processor));
        self
    }

    /// Starts, on the current tokio runtime, and returns the messages for the loop.
    ///
    /// A second call takes the messages away from the first receiver, which ends. If the settings are not usable, an error
    /// is logged and the messages end at once; [`try_start`](Self::try_start) returns it.
    #[must_use = "without a loop nothing is answered"]
    pub fn start(&self) -> mpsc::Receiver<TunnelMessage> {
        self.try_start().unwrap_or_else(|error| {
            tracing::error!("the tunnel does not start: {error}");
            mpsc::channel(1).1
        })
    }

    /// As [`start`](Self::start), with the error.
    pub fn try_start(&self) -> Result<mpsc::Receiver<TunnelMessage>, TransportsError> {
        let transports = self.transports.clone().transpose()?;
        let messages = self.hub.start();
        if let Some(token) = self.token.clone() {
            let hub = Arc::clone(&self.hub);
            let watch = task::spawn(async move {
                token.cancelled().await;
                hub.close();
            });
            *self.watching.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        }
        if let Some(transports) = transports {
            transports.start(self.handler(), self.hub.closed.clone());
        }
        Ok(messages)
    }

    /// Sends one packet of a response in upstream's binary form. The numbers in the packet count; those beside it have to
    /// be the same.
    ///
    /// Returns at once. A client that reads slowly may leave 16 MiB of its response waiting here; beyond that the response
    /// is cut and this is an error. [`send_bytes_paced`](Self::send_bytes_paced) waits instead.
    pub fn send_bytes(&self, request_id: u64, packet_id: u32, bytes: impl Into<Vec<u8>>) -> Result<(), SendBytesError> {
        let packet = read_packet(request_id, packet_id, bytes.into().into()).map_err(SendBytesError::Unknown)?;
        let pushed = self.hub.requests.push(packet);
        pushed.map_err(|rejected| SendBytesError::Unknown(rejected.explain(request_id)))
    }

    /// As [`send_bytes`](Self::send_bytes), but waits while the client has 32 packets of its response to read, or 16 MiB, and
    /// copies nothing. Cancel safe: the packet is sent or not at all.
    pub async fn send_bytes_paced(&self, request_id: u64, packet_id: u32, bytes: Bytes) -> Result<(), SendBytesError> {
        let packet = read_packet(request_id, packet_id, bytes).map_err(SendBytesError::Unknown)?;
        let pushed = self.hub.requests.push_paced(packet).await;
        pushed.map_err(|rejected| SendBytesError::Unknown(rejected.explain(request_id)))
    }

    /// Sends a text: a packet of a response in upstream's text form (`TUNNEL_RESPONSE:..`), or a `TunnelWsResponse` as JSON.
    pub fn send_message(
        &self,
        request_id: u64,
        packet_id: u32,
        message: impl Into<String>,
    ) -> Result<(), SendMessageError> {
        let message = message.into();
        if let Ok(response) = serde_json::from_str::<TunnelWsResponse>(&message) {
            self.hub.websockets.respond(&response);
            return Ok(());
        }
        let packet = packet::decode_text(&message)
            .map_err(|error| format!("the text is neither a packet nor a TunnelWsResponse: {error}"))
            .and_then(|packet| checked(packet, request_id, packet_id))
            .map_err(SendMessageError::Unknown)?;
        let pushed = self.hub.requests.push(packet);
        pushed.map_err(|rejected| SendMessageError::Unknown(rejected.explain(request_id)))
    }

    /// Answers a request by asking the service on this port of 127.0.0.1, streaming both ways, and waits until the client
    /// has the whole response. Dropping the future cuts the response.
    ///
    /// If the arguments are what the loop was told, the service gets the request as its client made it: every header, any
    /// method, the body as a stream. If something was changed, the service gets what the arguments say, in the tunnel's
    /// form. The packets' `encoding` is chosen by the transport.
    ///
    /// When the service does not answer, the client gets the status of the failure, and the failure is returned. A client
    /// that leaves is not an error.
    #[expect(clippy::too_many_arguments, reason = "these are upstream's")]
    pub async fn tunnel_request(
        &self,
        service_port: u16,
        request_id: u64,
        method: Method,
        path: String,
        query: Value,
        payload: Option<Value>,
        headers: Option<Value>,
        profile: Option<String>,
        encoding: TunnelEncoding,
    ) -> Result<(), TunnelRequestError> {
        let request = TunnelHttpRequest { request_id, method, path, query, payload, headers, encoding, profile };
        self.services.answer(service_port, &self.hub.requests, request).await
    }

    /// Gives a message of a WebSocket client to the [processor](Self::with_ws_processor), with a sender that reaches the
    /// clients of the tunnel and, by `sender`, those of the server itself.
    ///
    /// Dropping the future drops the processor's.
    pub async fn ws_request(
        &self,
        conn_id: u64,
        request_id: u64,
        value: Value,
        profile: Option<String>,
        sender: impl WebsocketRoot,
    ) -> Result<(), TunnelRequestError> {
        let processor = self.processor.as_ref().ok_or_else(|| {
            WebsocketMessageError("nothing processes WebSocket messages: set one by with_ws_processor".to_owned())
        })?;
        let context = WebsocketContext {
            connection_id: conn_id.to_string(),
            profile: profile.clone(),
            #[cfg(feature = "moosicbox-ws")]
            player_actions: self.hub.player_actions(),
        };
        let sender = TunnelWebsocketSender {
            id: self.id,
            propagate_id: conn_id,
            request_id,
            packet_id: 1,
            root_sender: sender,
            tunnel_sender: TunnelWebsockets(Arc::clone(&self.hub.websockets)),
            profile,
        };
        Ok(processor.process(value, context, &sender).await?)
    }

    /// Ends the answer to a request; its client sees a cut. A no-op if the client has left already.
    pub fn abort_request(&self, request_id: u64) {
        self.hub.requests.abort(request_id);
    }

    /// Closes the tunnel when this token is cancelled. The handle's `close` works as before.
    #[must_use]
    pub fn with_cancellation_token(mut self, token: switchy_async::util::CancellationToken) -> Self {
        self.token = Some(token);
        self
    }
}

fn read_packet(request_id: u64, packet_id: u32, bytes: Bytes) -> Result<TunnelResponse, String> {
    let packet = packet::decode(bytes).map_err(|error| format!("the bytes are not a packet: {error}"))?;
    checked(packet, request_id, packet_id)
}

fn checked(packet: TunnelResponse, request_id: u64, packet_id: u32) -> Result<TunnelResponse, String> {
    if (packet.request_id, packet.packet_id) == (request_id, packet_id) {
        return Ok(packet);
    }
    Err(format!(
        "the packet says that it is {} of request {}, not {packet_id} of {request_id}",
        packet.packet_id, packet.request_id
    ))
}
