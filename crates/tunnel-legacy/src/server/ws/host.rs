//! The WebSocket of a host: requests go out, packets come back.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use futures::StreamExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;
use tunnel_core::{
    Failure, FailureKind,
    packet::{PACKET_BYTES_MAX, decode},
};

use super::socket::{self, End, Heard, Reader};
use crate::message::ToServer;
use crate::server::{
    Defect, Shared,
    exchange::{Exchange, Push},
    hub::Host,
};

/// RFC 6455 §7.4.1 and its registry.
const SERVICE_RESTART: u16 = 1012;
const TOO_LARGE: u16 = 1009;

/// Carries requests and packets until either side closes or fails. Whether the session is to be left as it is, in the
/// manner of the published server. Dropping the future cuts the connection.
pub(super) async fn run<S>(shared: &Arc<Shared>, host: Arc<Host>, io: S) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut writer, mut reader) = socket::split(shared, io, shared.config.limits.host_message_bytes_max).await;
    let heard = Heard::new();
    let end = tokio::select! {
        biased;
        () = shared.closing.cancelled() => End::close(SERVICE_RESTART, "the tunnel server is stopping"),
        close = host.outbox.closed() => End::Close(close),
        // Before reading, so that a peer that never pauses cannot keep it from being done.
        end = socket::write(shared, &mut writer, &host.outbox) => end,
        end = read(shared, &host, &mut reader, &heard) => match end {
            Some(end) => end,
            None => return true,
        },
        // After reading, so that what has come counts even if this task was held up.
        end = socket::silence(shared, &heard) => end,
    };
    // From here on nothing can be answered.
    host.outbox.end();
    shared.hub.host_leaves(&host);
    socket::close(end, &mut writer, &mut reader).await;
    false
}

/// `None` after a packet over which the published server loses the session.
async fn read<S>(shared: &Arc<Shared>, host: &Host, reader: &mut Reader<S>, heard: &Heard) -> Option<End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = match reader.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                tracing::debug!(%error, client_id = %host.client_id, "the WebSocket of a host broke");
                return Some(End::after(&error));
            }
            None => return Some(End::Closed),
        };
        heard.now();
        match message {
            Message::Binary(bytes) => {
                if bytes.len() > PACKET_BYTES_MAX {
                    return Some(End::close(TOO_LARGE, "a packet has at most 65536 bytes"));
                }
                if !packet(shared, host, bytes).await {
                    return None;
                }
                // While the packet had no room, nothing could be heard.
                heard.now();
            }
            Message::Text(text) => said(shared, host, &text),
            Message::Close(_) => return Some(End::Closed),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Whether the session goes on.
async fn packet(shared: &Shared, host: &Host, bytes: Bytes) -> bool {
    let hub = &shared.hub;
    let request_id = bytes.first_chunk().copied().map(u64::from_be_bytes);
    let packet = match decode(bytes) {
        Ok(packet) => packet,
        Err(error) => {
            tracing::warn!(%error, client_id = %host.client_id, "a host has sent a malformed packet");
            hub.statistics().malformed_message();
            if shared.config.behaviour.has(Defect::MalformedPacketKillsSession) {
                return false;
            }
            if let Some(exchange) = request_id.and_then(|id| hub.exchange(host, id)) {
                let message = format!("the host has sent a malformed packet: {error}");
                hub.refuse(&exchange, Failure::new(FailureKind::Protocol, message));
            }
            return true;
        }
    };
    let Some(exchange) = hub.exchange(host, packet.request_id) else {
        if packet.last {
            hub.last_packet_of_left(packet.request_id);
        }
        return true;
    };
    match exchange.push(packet, false) {
        Ok(Push::Taken) => {}
        Ok(Push::Full(packet)) => wait_for_room(shared, &exchange, packet).await,
        Err(failure) => hub.refuse(&exchange, failure),
    }
    true
}

/// Holds the host up until the reader has made room, for as long as it may be held up.
async fn wait_for_room(shared: &Shared, exchange: &Exchange, mut packet: tunnel_core::packet::TunnelResponse) {
    let hub = &shared.hub;
    let waited = timeout(shared.config.limits.stall_timeout, async {
        loop {
            poll_fn(|cx| exchange.poll_room(&packet, cx)).await;
            match exchange.push(packet, true) {
                Ok(Push::Taken) => return Ok(()),
                Ok(Push::Full(again)) => packet = again,
                Err(failure) => return Err(failure),
            }
        }
    })
    .await;
    match waited {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => hub.refuse(exchange, failure),
        Err(_) => {
            let message = "the response is not being read, and its host has no flow control";
            hub.cut(exchange, Failure::new(FailureKind::Timeout, message));
        }
    }
}

/// A text of the host.
fn said(shared: &Shared, host: &Host, text: &str) {
    match ToServer::parse(text) {
        Ok(ToServer::Ws(response)) => shared.hub.tell_apps(host, response),
        Ok(ToServer::Reset { request_id, failure }) if host.flow => {
            if let Some(exchange) = shared.hub.exchange(host, request_id) {
                exchange.fail(failure);
            }
        }
        Ok(_) => {
            tracing::warn!(client_id = %host.client_id, "a host has used an addition that it did not ask for");
            shared.hub.statistics().malformed_message();
        }
        Err(error) => {
            tracing::warn!(%error, client_id = %host.client_id, "a host has said something that is no message");
            shared.hub.statistics().malformed_message();
        }
    }
}

/// A packet from an app, which the published server takes for one of a host.
pub(super) fn forged(shared: &Shared, bytes: Bytes) {
    let Ok(packet) = decode(bytes) else { return shared.hub.statistics().malformed_message() };
    if let Some(exchange) = shared.hub.exchange_of_anybody(packet.request_id)
        && let Err(failure) = exchange.push(packet, false)
    {
        shared.hub.refuse(&exchange, failure);
    }
}
