//! WebSockets of apps: the handshake, and the bridge to the session that the transport opened.

use std::{pin::pin, time::Duration};

use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use http::{HeaderValue, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tunnel_core::{Body, Failure, FailureKind, Response, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade};
use tunnel_http::{
    WsLimits, WsPeer, WsRole, WsSocket, fields,
    handshake::{self, HandshakeError},
};

use super::{GatewayConfig, Shared, connection::Connection, refusal};

/// How long one side may take for its part of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the app's connection may take to switch after the 101.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 6455 §7.4.1 and the registry that it founded.
const UNSUPPORTED: u16 = 1003;
const TOO_LARGE: u16 = 1009;
const SERVICE_RESTART: u16 = 1012;

/// A connection that becomes a WebSocket.
pub(super) struct Switched {
    app: OnUpgrade,
    session: WsSession,
}

/// Opens the WebSocket through the transport; only then the app gets its 101.
pub(super) async fn open(
    shared: &Shared,
    connection: &Connection,
    id: u64,
    mut parts: Parts,
) -> Result<Response, Box<Response>> {
    let switching = handshake::accept(&parts.headers).map_err(refused)?;
    let Some(app) = parts.extensions.remove::<OnUpgrade>() else {
        return Err(Box::new(refusal::text(StatusCode::BAD_REQUEST, "This connection cannot become a WebSocket.\n")));
    };
    parts.headers.remove(header::SEC_WEBSOCKET_KEY);
    fields::strip_hop_by_hop(&mut parts.headers);
    for name in [header::SEC_WEBSOCKET_VERSION, header::SEC_WEBSOCKET_EXTENSIONS, header::EXPECT, header::TE] {
        parts.headers.remove(name);
    }
    let open = WsOpen { id, uri: parts.uri, headers: parts.headers };
    let (headers, session, via) = match shared.transport.open_ws(open).await {
        Ok(WsUpgrade::Accepted { headers, session, via }) => (headers, session, via),
        Ok(WsUpgrade::Rejected(response)) => return Ok(response),
        Err(failure) => return Err(Box::new(refusal::not_opened(&failure))),
    };
    connection.switch(Switched { app, session });

    let mut response = Response { headers, via, ..Response::new(StatusCode::SWITCHING_PROTOCOLS, Body::empty()) };
    fields::strip_hop_by_hop(&mut response.headers);
    response.headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    response.headers.extend(switching);
    Ok(response)
}

fn refused(error: HandshakeError) -> Box<Response> {
    let status = match error {
        HandshakeError::Version => StatusCode::UPGRADE_REQUIRED,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = refusal::text(status, format!("{error}\n"));
    if error == HandshakeError::Version {
        response.headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    Box::new(response)
}

impl Switched {
    /// Carries messages both ways until either side closes or fails. Dropping the future cuts both sides.
    pub(super) async fn bridge(self, config: &GatewayConfig, shutdown: &CancellationToken) {
        let Ok(Ok(app)) = timeout(SWITCH_TIMEOUT, self.app).await else { return };
        let limits = WsLimits {
            message_bytes_max: config.ws_message_bytes_max,
            ping_interval: config.ws_ping_interval,
            idle_timeout: config.ws_idle_timeout,
        };
        let peer = WsPeer { name: "the app".to_owned(), broke_off: FailureKind::Aborted, silent: FailureKind::Aborted };
        let app = WsSocket::new(TokioIo::new(app), WsRole::Server, limits, peer).await;
        let (mut app_sink, mut app_stream) = app.split();
        let WsSession { mut sink, mut stream } = self.session;

        let end = {
            let mut up = pin!(pump(&mut app_stream, &mut sink).fuse());
            let mut down = pin!(pump(&mut stream, &mut app_sink).fuse());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => Farewell::say(SERVICE_RESTART, "the gateway is stopping"),
                end = &mut up => match end {
                    // The app waits for the answer of the other end, or at least for what was under way.
                    End::Closed => {
                        let _ = timeout(CLOSE_TIMEOUT, down).await;
                        Farewell::Cut
                    }
                    End::Source(failure) => {
                        tracing::debug!(%failure, "WebSocket of an app ended");
                        Farewell::Cut
                    }
                    // What the app has sent is the reason: the other direction knows nothing of it.
                    End::Sink(failure) if is_the_apps_fault(failure.kind()) => Farewell::about(&failure),
                    // The other direction knows why.
                    End::Sink(failure) => match timeout(CLOSE_TIMEOUT, down).await {
                        Ok(End::Closed | End::Sink(_)) => Farewell::Cut,
                        Ok(End::Source(failure)) => Farewell::about(&failure),
                        Err(_) => Farewell::about(&failure),
                    },
                },
                end = &mut down => match end {
                    End::Closed => {
                        let _ = timeout(CLOSE_TIMEOUT, up).await;
                        Farewell::Cut
                    }
                    End::Source(failure) => Farewell::about(&failure),
                    End::Sink(_) => Farewell::Cut,
                },
            }
        };
        if let Farewell::Say(close) = end {
            let _ = timeout(CLOSE_TIMEOUT, async {
                if app_sink.send(WsMessage::Close(Some(close))).await.is_ok() {
                    // Reads on to the app's answer, so that the system does not reset the connection over unread bytes.
                    while let Some(Ok(_)) = app_stream.next().await {}
                }
            })
            .await;
        }
    }
}

/// What the app is told at the end.
enum Farewell {
    /// Nothing: it has heard a close already, or the service broke off without one, which the app then sees as it was.
    Cut,
    /// A close of our own.
    Say(WsClose),
}

impl Farewell {
    fn say(code: u16, reason: &str) -> Self {
        Self::Say(WsClose { code, reason: reason.to_owned() })
    }

    fn about(failure: &Failure) -> Self {
        match failure.kind() {
            FailureKind::ServiceFailed => Self::Cut,
            FailureKind::Unsupported => Self::say(UNSUPPORTED, failure.message()),
            FailureKind::TooLarge => Self::say(TOO_LARGE, failure.message()),
            _ => Self::say(SERVICE_RESTART, failure.message()),
        }
    }
}

const fn is_the_apps_fault(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Unsupported | FailureKind::TooLarge)
}

/// How one direction ended.
enum End {
    /// With a close message, passed on.
    Closed,
    /// The sender failed.
    Source(Failure),
    /// The receiver failed.
    Sink(Failure),
}

/// Passes messages on, and flushes as soon as no further one is ready.
async fn pump(
    source: &mut (impl Stream<Item = Result<WsMessage, Failure>> + Unpin),
    sink: &mut (impl Sink<WsMessage, Error = Failure> + Unpin),
) -> End {
    loop {
        let message = if let Some(message) = source.next().now_or_never() {
            message
        } else {
            if let Err(failure) = sink.flush().await {
                return End::Sink(failure);
            }
            source.next().await
        };
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(failure)) => return End::Source(failure),
            None => return End::Source(Failure::new(FailureKind::Protocol, "the WebSocket ended without a close")),
        };
        let closes = matches!(message, WsMessage::Close(_));
        let sent = if closes { sink.send(message).await } else { sink.feed(message).await };
        if let Err(failure) = sent {
            return End::Sink(failure);
        }
        if closes {
            return End::Closed;
        }
    }
}
