//! The tunnel of a server with both transports, and a switch between them.
//!
//! The message loop is that of [`before`](crate::before). What has changed is the constructor, and what it returns.

use moosicbox_tunnel::TunnelRequest;
use p2p_provider::iroh::IrohConfig;
use switchy_async::util::CancellationToken;
use tokio::task::{JoinHandle, JoinSet};
use tunnel_p2p::{
    HostConfig,
    sender::{TunnelMessage, TunnelSender},
    transports::{TransportMode, TransportsConfig, TransportsError, TunnelTransports},
};

use crate::{Account, ConfigDatabase, WebsocketSender};

/// The running loop, and the transports: their `handle()` is for the rest of the server, their `set_mode` for its operator.
pub type Tunnel = (JoinHandle<()>, TunnelTransports);

/// Who the server is to its peers: its key, and what they must present.
pub type Peer = (IrohConfig, HostConfig);

/// Both transports of the server: the tunnel server whose WebSocket is at `ws_host`, and its own peer.
pub fn config(
    ws_host: &str,
    (client_id, access_token): Account,
    (peer, host_config): Peer,
) -> Result<TransportsConfig, TransportsError> {
    let host = ws_host.replacen("ws", "http", 1).trim_end_matches("/ws").to_owned();
    // MOOSICBOX_TRANSPORT is tunnel, p2p or dual; without it all is as it was.
    let mut config = TransportsConfig::new(TransportMode::Tunnel)
        .with_upstream_tunnel(&host, ws_host, &client_id, &access_token)?
        .with_p2p(peer, host_config)
        .with_variables(|name| std::env::var(name).ok())?;
    // The loop below answers every request by `tunnel_request`, so that any request may come.
    config.sender.exact = true;
    Ok(config)
}

/// Opens the ways of the mode, and answers requests from the service on this port, whichever way they come.
pub fn setup_tunnel(
    config: TransportsConfig,
    config_db: ConfigDatabase,
    service_port: u16,
    websockets: impl WebsocketSender + Clone + 'static,
    shutdown: CancellationToken,
) -> Result<Tunnel, TransportsError> {
    let transports = TunnelTransports::from_config(config)?;
    let tunnel = processing(transports.sender().with_cancellation_token(shutdown), config_db);

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
    Ok((running, transports))
}

/// Has WebSocket messages understood as the MoosicBox server understands them.
#[cfg(feature = "moosicbox-ws")]
fn processing(tunnel: TunnelSender, config_db: ConfigDatabase) -> TunnelSender {
    tunnel.with_ws_processor(tunnel_p2p::sender::MoosicBoxProcessor::new(config_db))
}

/// Without it there is nobody to understand them.
#[cfg(not(feature = "moosicbox-ws"))]
fn processing(tunnel: TunnelSender, (): ConfigDatabase) -> TunnelSender {
    tunnel
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
