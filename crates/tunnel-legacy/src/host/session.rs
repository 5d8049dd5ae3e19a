//! One WebSocket client: its WebSocket to the service, and the messages both ways.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::Uri;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tunnel_core::{
    Failure, FailureKind, Handler, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade, convert::PROFILE_QUERY_KEY,
    moosicbox_tunnel::TunnelWsResponse,
};

use super::websockets::Queued;
use crate::{credentials, message::ToServer};

/// The longest text that the published tunnel server takes, in bytes: a longer one would end the whole tunnel.
const TEXT_BYTES_MAX: usize = 65_536;
/// How long the service may take for one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the closing handshake with the service may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED_DATA: u16 = 1003;

type Sink = Pin<Box<dyn futures::Sink<WsMessage, Error = Failure> + Send>>;
type Stream = Pin<Box<dyn futures::Stream<Item = Result<WsMessage, Failure>> + Send>>;

pub(super) struct Session {
    pub(super) conn_id: u64,
    pub(super) profile: Option<String>,
    /// What the client says; its end is the client's.
    pub(super) queue: mpsc::Receiver<Queued>,
    pub(super) out: mpsc::Sender<WsMessage>,
    pub(super) extended: bool,
    pub(super) idle_timeout: Duration,
}

impl Session {
    /// Runs until either side has left, or nobody has said anything for too long. Dropping the future cuts it.
    pub(super) async fn run(mut self, handler: Arc<dyn Handler>) {
        let conn_id = self.conn_id;
        let uri = match self.uri() {
            Ok(uri) => uri,
            Err(failure) => return tracing::warn!(conn = conn_id, "a WebSocket client was ignored: {failure}"),
        };
        let open = WsOpen { id: conn_id, uri, headers: http::HeaderMap::new() };
        let session = match handler.ws(open).await {
            Ok(WsUpgrade::Accepted { session, .. }) => session,
            Ok(WsUpgrade::Rejected(response)) => {
                let status = response.status;
                return tracing::warn!(conn = conn_id, %status, "the service refused a WebSocket client");
            }
            Err(failure) => return tracing::warn!(conn = conn_id, "a WebSocket client was not served: {failure}"),
        };
        let WsSession { mut sink, mut stream } = session;
        let end = self.carry(&mut sink, &mut stream).await;
        let close = match end {
            Ended::ByService(why) => return tracing::debug!(conn = conn_id, "the service ended a WebSocket: {why}"),
            Ended::Unusable(failure) => {
                tracing::warn!(conn = conn_id, "the WebSocket of a client was closed: {failure}");
                WsClose { code: UNSUPPORTED_DATA, reason: failure.to_string() }
            }
            Ended::ByClient => WsClose { code: GOING_AWAY, reason: "the client has left".to_owned() },
            Ended::Idle => WsClose { code: GOING_AWAY, reason: "the client is silent".to_owned() },
        };
        let _ = timeout(CLOSE_TIMEOUT, async {
            if sink.send(WsMessage::Close(Some(close))).await.is_ok() {
                while let Some(Ok(_)) = stream.next().await {}
            }
        })
        .await;
    }

    /// Carries messages both ways at once: a service that wants its answers read before it takes more would otherwise wait
    /// for us, and we for it.
    async fn carry(&mut self, sink: &mut Sink, stream: &mut Stream) -> Ended {
        let Self { queue, out, conn_id, extended, idle_timeout, .. } = self;
        let passing = Passing { conn_id: *conn_id, out, extended: *extended };
        let spoke = Mutex::new(Instant::now());
        let speaks = || *spoke.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let sending = async {
            while let Some(queued) = queue.recv().await {
                match timeout(SEND_TIMEOUT, sink.send(WsMessage::Text(queued.text))).await {
                    Ok(Ok(())) => speaks(),
                    Ok(Err(failure)) => return Ended::ByService(failure.to_string()),
                    Err(_) => return Ended::ByService(format!("it took nothing for {SEND_TIMEOUT:?}")),
                }
            }
            Ended::ByClient
        };
        let receiving = async {
            loop {
                match stream.next().await {
                    Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => continue,
                    Some(Ok(message)) => {
                        if let Err(ended) = passing.pass_on(message).await {
                            return ended;
                        }
                    }
                    Some(Err(failure)) => return Ended::ByService(failure.to_string()),
                    None => return Ended::ByService("it closed the WebSocket".to_owned()),
                }
                speaks();
            }
        };
        let idle = async {
            loop {
                let end = *spoke.lock().unwrap_or_else(PoisonError::into_inner) + *idle_timeout;
                if end <= Instant::now() {
                    return Ended::Idle;
                }
                sleep_until(end).await;
            }
        };
        tokio::select! {
            biased;
            ended = sending => ended,
            ended = receiving => ended,
            ended = idle => ended,
        }
    }

    fn uri(&self) -> Result<Uri, Failure> {
        let uri = match &self.profile {
            None => return Ok(Uri::from_static("/ws")),
            Some(profile) => format!("/ws?{PROFILE_QUERY_KEY}={}", credentials::escaped(profile)),
        };
        uri.parse().map_err(|_| Failure::new(FailureKind::BadRequest, "its profile is too long"))
    }
}

/// The way to the client.
struct Passing<'a> {
    conn_id: u64,
    out: &'a mpsc::Sender<WsMessage>,
    extended: bool,
}

impl Passing<'_> {
    /// Passes a message of the service on to the client.
    async fn pass_on(&self, message: WsMessage) -> Result<(), Ended> {
        let unusable = |message| Ended::Unusable(Failure::new(FailureKind::Unsupported, message));
        let text = match message {
            WsMessage::Text(text) => text,
            WsMessage::Close(_) => return Err(Ended::ByService("it closed the WebSocket".to_owned())),
            _ => return Err(unusable("the tunnel carries no binary WebSocket messages")),
        };
        let body: Value =
            serde_json::from_slice(&text).map_err(|_| unusable("the tunnel carries only JSON on WebSockets"))?;
        let response = TunnelWsResponse {
            request_id: 0,
            body,
            exclude_connection_ids: None,
            to_connection_ids: Some(vec![self.conn_id]),
        };
        let text = ToServer::Ws(response).to_text();
        if !self.extended && text.len() > TEXT_BYTES_MAX {
            tracing::warn!(
                conn = self.conn_id,
                bytes = text.len(),
                "a message of the service is too long for the tunnel server and was dropped"
            );
            return Ok(());
        }
        self.out.send(WsMessage::Text(Bytes::from(text))).await.map_err(|_| Ended::ByClient)
    }
}

/// Why a WebSocket ends.
enum Ended {
    ByClient,
    ByService(String),
    /// The service said something that the tunnel cannot carry.
    Unusable(Failure),
    Idle,
}
