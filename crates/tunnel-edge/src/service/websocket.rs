//! WebSockets to the service.

use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::{body::Incoming, upgrade};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    handshake::{client::generate_key, derive_accept_key},
    protocol::Role,
};
use tunnel_core::{Body, Failure, FailureKind, WsOpen, WsSession, WsUpgrade};

use super::{LocalService, head};
use crate::{
    fields,
    ws::{WsLimits, WsPeer, WsSocket},
};

/// Makes the handshake with the service. Dropping the future closes the connection.
pub(super) async fn open(service: &LocalService, open: WsOpen) -> Result<WsUpgrade, Failure> {
    let config = &service.config;
    let key = generate_key();
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::GET;
    parts.uri = open.uri;
    parts.headers = open.headers;
    head::prepare(&mut parts, config)?;
    offer(&mut parts.headers, &key)?;

    let (response, lease) = service.exchange(parts, Body::empty()).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(WsUpgrade::Rejected(service.response(response, lease)));
    }
    let broken = |what: &str| {
        Failure::new(
            FailureKind::ServiceFailed,
            format!("the service at {} broke the WebSocket handshake: {what}", config.target),
        )
    };
    check(&response, &key).map_err(broken)?;
    let mut headers = response.headers().clone();
    let upgraded = timeout(config.head_timeout, upgrade::on(response))
        .await
        .map_err(|_| broken("it did not switch in time"))?
        .map_err(|_| broken("it closed the connection"))?;
    // The connection now belongs to the WebSocket: its driver has ended.
    drop(lease);

    fields::strip_hop_by_hop(&mut headers);
    headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    let limits = WsLimits {
        message_bytes_max: config.ws_message_bytes_max,
        ping_interval: config.ws_ping_interval,
        idle_timeout: config.ws_idle_timeout,
    };
    let peer = WsPeer {
        name: format!("the service at {}", config.target),
        broke_off: FailureKind::ServiceFailed,
        silent: FailureKind::ServiceTimeout,
    };
    let socket = WsSocket::new(TokioIo::new(upgraded), Role::Client, limits, peer).await;
    let (sink, stream) = socket.split();
    let session = WsSession { sink: Box::pin(sink), stream: Box::pin(stream) };
    Ok(WsUpgrade::Accepted { headers, session, via: None })
}

/// The fields of a client's handshake (RFC 6455 §4.1). No extensions: each hop would have to speak them.
fn offer(headers: &mut HeaderMap, key: &str) -> Result<(), Failure> {
    let key = HeaderValue::try_from(key)
        .map_err(|_| Failure::new(FailureKind::Internal, "the WebSocket key is not a header value"))?;
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    Ok(())
}

fn check(response: &http::Response<Incoming>, key: &str) -> Result<(), &'static str> {
    let headers = response.headers();
    if !fields::has_token(headers, &header::UPGRADE, "websocket") {
        return Err("it switched to another protocol");
    }
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err("its accept key is wrong");
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err("it chose an extension that was not offered");
    }
    Ok(())
}
