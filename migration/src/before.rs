//! The tunnel of a server that knows only upstream's sender.
//!
//! It uses nothing but the names, the argument lists and the variants of `moosicbox_tunnel_sender` 0.5. What has changed is
//! the `use` below.

use moosicbox_tunnel::TunnelRequest;
use switchy_async::util::CancellationToken;
use tokio::task::{JoinHandle, JoinSet};
// Was: use moosicbox_tunnel_sender::{TunnelMessage, sender::{TunnelSender, TunnelSenderHandle}};
use tunnel_p2p::sender::{TunnelMessage, TunnelSender, TunnelSenderHandle};

use crate::{Account, ConfigDatabase, WebsocketSender};

/// The address for clients, the running loop, and the handle for the rest of the server.
pub type Tunnel = (String, JoinHandle<()>, TunnelSenderHandle);

/// Connects to the tunnel server whose WebSocket is at `ws_host`, and answers its requests from the service on this port.
pub fn setup_tunnel(
    ws_host: &str,
    (client_id, access_token): Account,
    config_db: ConfigDatabase,
    service_port: u16,
    websockets: impl WebsocketSender + Clone + 'static,
    shutdown: CancellationToken,
) -> Tunnel {
    let host = ws_host.replacen("ws", "http", 1).trim_end_matches("/ws").to_owned();
    let (tunnel, handle) = TunnelSender::new(host.clone(), ws_host.to_owned(), client_id, access_token, config_db);
    let tunnel = tunnel.with_cancellation_token(shutdown);

    #[expect(clippy::disallowed_methods, reason = "its handle is returned")]
    let running = tokio::spawn(async move {
        let mut messages = tunnel.start();
        let mut answers = JoinSet::new();
        while let Some(message) = messages.recv().await {
            while answers.try_join_next().is_some() {}
            match message {
                TunnelMessage::Text(text) => {
                    let (tunnel, websockets) = (tunnel.clone(), websockets.clone());
                    answers.spawn(async move {
                        answer(&tunnel, &text, service_port, websockets).await;
                    });
                }
                TunnelMessage::Binary(_) | TunnelMessage::Frame(_) => tracing::warn!("not a message of the tunnel"),
                TunnelMessage::Ping(_) | TunnelMessage::Pong(_) => {}
                TunnelMessage::Close => tracing::info!("the tunnel is closed"),
            }
        }
        // No messages any more: what is under way may end.
        while answers.join_next().await.is_some() {}
    });
    (host, running, handle)
}

async fn answer(tunnel: &TunnelSender, text: &str, service_port: u16, websockets: impl WebsocketSender) {
    match serde_json::from_str(text) {
        Ok(TunnelRequest::Http(request)) => {
            let answered = tunnel
                .tunnel_request(
                    service_port,
                    request.request_id,
                    request.method,
                    request.path,
                    request.query,
                    request.payload,
                    request.headers,
                    request.profile,
                    request.encoding,
                )
                .await;
            if let Err(error) = answered {
                tracing::error!("a tunnel request failed: {error:?}");
            }
        }
        Ok(TunnelRequest::Ws(request)) => {
            let processed =
                tunnel.ws_request(request.conn_id, request.request_id, request.body, request.profile, websockets).await;
            if let Err(error) = processed {
                tracing::error!("a WebSocket message failed: {error:?}");
            }
        }
        Ok(TunnelRequest::Abort(request)) => tunnel.abort_request(request.request_id),
        Err(error) => tracing::error!("not a tunnel request: {error}"),
    }
}
