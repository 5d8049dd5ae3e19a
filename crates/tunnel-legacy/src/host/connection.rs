//! One WebSocket to the tunnel server, from its first message to its last.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Sink, SinkExt, StreamExt};
use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    time::timeout,
};
use tunnel_core::{Failure, FailureKind, WsClose, WsMessage, WsSession};

use super::{Shared, requests::Requests, websockets::WebSockets};
use crate::message::ToHost;

/// Messages that wait for the socket, each at most a packet long unless a service says more on a WebSocket. Few: what
/// waits here delays what is more urgent. Those who wait for a place get it in the order in which they came.
const OUT_MESSAGES_MAX: usize = 8;
/// How long the tunnel server may take nothing while something is to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;
/// With this code our tunnel server closes a host when another one with the same client id has come.
const SUPERSEDED: u16 = 4001;

type MessageSink = Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>;

pub(super) struct Connection {
    session: WsSession,
    extended: bool,
}

/// How a connection ended.
pub(super) enum End {
    /// As it was asked to.
    Drained,
    /// Another host has taken its place.
    Superseded(Failure),
    /// By itself.
    Lost(Failure),
}

impl Connection {
    pub(super) const fn new(session: WsSession, extended: bool) -> Self {
        Self { session, extended }
    }

    /// Whether the tunnel server knows the additions.
    pub(super) const fn is_extended(&self) -> bool {
        self.extended
    }

    /// Answers requests until the connection is lost, or the host is drained and nothing is under way any more. Dropping
    /// the future cuts it, and everything under way.
    pub(super) async fn run(self, shared: &Arc<Shared>) -> End {
        let WsSession { sink, mut stream } = self.session;
        let (out, queue) = mpsc::channel(OUT_MESSAGES_MAX);
        let mut requests = Requests::new(Arc::clone(shared), out.clone(), self.extended);
        let mut websockets = WebSockets::new(Arc::clone(shared), out.clone(), self.extended);
        let mut writing = std::pin::pin!(write(sink, queue));
        let mut draining = false;
        loop {
            if draining && requests.is_empty() {
                break;
            }
            let message = tokio::select! {
                biased;
                failure = &mut writing => return End::Lost(failure),
                () = shared.drain.cancelled(), if !draining => {
                    draining = true;
                    continue;
                }
                () = requests.one_ended() => continue,
                () = websockets.one_ended() => continue,
                message = stream.next(), if requests.has_room() => message,
            };
            match message {
                Some(Ok(WsMessage::Text(text))) => {
                    if let Some(message) = read(&text) {
                        dispatch(message, text.len(), &mut requests, &mut websockets);
                    }
                }
                Some(Ok(WsMessage::Binary(_))) => {
                    tracing::warn!("the tunnel server sent a binary message, which hosts have no use for: ignored");
                }
                // Each hop answers by itself.
                Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => {}
                Some(Ok(WsMessage::Close(close))) => return closed(close),
                Some(Err(failure)) => return End::Lost(failure),
                None => return closed(None),
            }
        }
        drop((requests, websockets));
        let farewell = async {
            let close = WsClose { code: GOING_AWAY, reason: "the host is shutting down".to_owned() };
            out.send(WsMessage::Close(Some(close))).await.ok();
            while let Some(Ok(_)) = stream.next().await {}
        };
        tokio::select! {
            biased;
            _ = &mut writing => {}
            _ = timeout(CLOSE_TIMEOUT, farewell) => {}
        }
        End::Drained
    }
}

fn read(text: &Bytes) -> Option<ToHost> {
    // The WebSocket library has checked that it is UTF-8.
    let message = std::str::from_utf8(text).ok().map(ToHost::parse)?;
    message.inspect_err(|error| tracing::warn!("the tunnel server said what is no message: {error}")).ok()
}

fn dispatch(message: ToHost, text_bytes: usize, requests: &mut Requests, websockets: &mut WebSockets) {
    match message {
        ToHost::Http { request, base64 } => requests.begin(request, base64, text_bytes),
        ToHost::Ws(request) => websockets.message(request),
        ToHost::Abort { request_id } => requests.abort(request_id),
        ToHost::Window { request_id, packets } => requests.open_window(request_id, packets),
        ToHost::WsClosed { conn_id } => websockets.close(conn_id),
    }
}

fn closed(close: Option<WsClose>) -> End {
    match close {
        Some(close) if close.code == SUPERSEDED => {
            let message = "another host with the same client id has taken over: stop one of the two";
            End::Superseded(Failure::new(FailureKind::Refused, message))
        }
        Some(close) => End::Lost(Failure::new(
            FailureKind::ConnectionLost,
            format!("the tunnel server closed the connection ({}: {:?})", close.code, close.reason),
        )),
        None => End::Lost(Failure::new(FailureKind::ConnectionLost, "the tunnel server closed the connection")),
    }
}

/// Writes what is in the queue, and flushes when nothing more is. Ends with the connection.
async fn write(mut sink: MessageSink, mut queue: mpsc::Receiver<WsMessage>) -> Failure {
    let stalled = || {
        let message = format!("the tunnel server took nothing for {WRITE_TIMEOUT:?}");
        Err(Failure::new(FailureKind::Timeout, message))
    };
    loop {
        let message = match queue.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Empty) => {
                if let Err(failure) = timeout(WRITE_TIMEOUT, sink.flush()).await.unwrap_or_else(|_| stalled()) {
                    return failure;
                }
                queue.recv().await
            }
            Err(TryRecvError::Disconnected) => None,
        };
        // The one who reads holds a sender for as long as the connection lives.
        let Some(message) = message else { return std::future::pending().await };
        if let Err(failure) = timeout(WRITE_TIMEOUT, sink.feed(message)).await.unwrap_or_else(|_| stalled()) {
            return failure;
        }
    }
}
