//! Messages to WebSocket clients, with upstream's names.

use std::{error::Error, num::ParseIntError, sync::Arc};

use async_trait::async_trait;
use serde_json::Value;
use tunnel_core::moosicbox_tunnel::TunnelWsResponse;

use super::websockets::WebSockets;

/// Sends to WebSocket clients. A client's id is its number as text.
///
/// With the feature `moosicbox-ws`, everything that implements upstream's trait of this name implements this one.
#[async_trait]
pub trait WebsocketSender: Send + Sync {
    /// To one client.
    async fn send(&self, connection_id: &str, data: &str) -> Result<(), WebsocketSendError>;
    /// To all clients.
    async fn send_all(&self, data: &str) -> Result<(), WebsocketSendError>;
    /// To all clients but one.
    async fn send_all_except(&self, connection_id: &str, data: &str) -> Result<(), WebsocketSendError>;
    /// A ping to all clients.
    async fn ping(&self) -> Result<(), WebsocketSendError>;
}

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum WebsocketSendError {
    /// Local: the database of the sender's owner failed. Never made here.
    #[error(transparent)]
    DatabaseFetch(Box<dyn Error + Send + Sync>),
    /// Anything else, in a sentence.
    #[error("Unknown: {0}")]
    Unknown(String),
    /// Local: the connection id is not a number.
    #[error(transparent)]
    ParseInt(#[from] ParseIntError),
    /// Local: the data is not JSON.
    #[error(transparent)]
    Serde(#[from] serde_json::Error),
}

/// Who sent a WebSocket message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebsocketContext {
    /// The client's number, as text.
    pub connection_id: String,
    /// The MoosicBox profile of the client.
    pub profile: Option<String>,
    /// The actions of players, by the id of the player.
    #[cfg(feature = "moosicbox-ws")]
    pub player_actions: Vec<(u64, moosicbox_ws::PlayerAction)>,
}

/// Understands the WebSocket messages of clients.
///
/// With the feature `moosicbox-ws`, `MoosicBoxProcessor` is the one of upstream's server.
#[async_trait]
pub trait WsProcessor: Send + Sync {
    /// Takes a message. Answers go by `sender`.
    async fn process(
        &self,
        body: Value,
        context: WebsocketContext,
        sender: &dyn WebsocketSender,
    ) -> Result<(), WebsocketMessageError>;
}

/// A WebSocket message was not understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WebsocketMessageError(pub String);

/// The way to the tunnel's WebSocket clients. Clones share it.
#[derive(Clone)]
pub struct TunnelWebsockets(pub(super) Arc<WebSockets>);

impl TunnelWebsockets {
    /// Sends what a server would send: to who asked if the request id is not 0, else to the listed clients, else to all
    /// but the excluded ones.
    pub fn respond(&self, response: &TunnelWsResponse) {
        self.0.respond(response);
    }

    pub(super) fn push(
        &self,
        data: &str,
        exclude_connection_ids: Option<Vec<u64>>,
        to_connection_ids: Option<Vec<u64>>,
    ) -> Result<(), WebsocketSendError> {
        let body = serde_json::from_str(data)?;
        self.respond(&TunnelWsResponse { request_id: 0, body, exclude_connection_ids, to_connection_ids });
        Ok(())
    }
}

/// Sends to the clients of the tunnel and to those of the server itself: what a processor of messages gets.
pub struct TunnelWebsocketSender<T> {
    /// The number of the tunnel sender.
    pub id: u64,
    /// The client that asked.
    pub propagate_id: u64,
    /// Its question.
    pub request_id: u64,
    /// Always 1: kept because upstream has it.
    pub packet_id: u32,
    /// The sender to the server's own clients.
    pub root_sender: T,
    /// The tunnel's clients.
    pub tunnel_sender: TunnelWebsockets,
    /// The profile of the client.
    pub profile: Option<String>,
}

impl<T> TunnelWebsocketSender<T> {
    /// To the client that asked.
    fn reply(&self, data: &str) -> Result<(), WebsocketSendError> {
        let body = serde_json::from_str(data)?;
        self.tunnel_sender.respond(&TunnelWsResponse {
            request_id: self.request_id,
            body,
            exclude_connection_ids: None,
            to_connection_ids: None,
        });
        Ok(())
    }
}

macro_rules! tunnel_websocket_sender {
    ($trait:path, $bound:path, $error:path) => {
        /// As upstream: what is for the tunnel sender itself goes to who asked, all else to the root sender; broadcasts
        /// go to both.
        #[async_trait]
        impl<T: $bound> $trait for TunnelWebsocketSender<T> {
            async fn send(&self, connection_id: &str, data: &str) -> Result<(), $error> {
                if connection_id.parse::<u64>()? == self.id {
                    self.reply(data)?;
                    return Ok(());
                }
                self.root_sender.send(connection_id, data).await
            }

            async fn send_all(&self, data: &str) -> Result<(), $error> {
                self.reply(data)?;
                self.root_sender.send_all(data).await
            }

            async fn send_all_except(&self, connection_id: &str, data: &str) -> Result<(), $error> {
                if connection_id.parse::<u64>()? != self.propagate_id {
                    self.reply(data)?;
                }
                self.root_sender.send_all_except(connection_id, data).await
            }

            async fn ping(&self) -> Result<(), $error> {
                self.root_sender.ping().await
            }
        }
    };
}

#[cfg(not(feature = "moosicbox-ws"))]
pub(super) use self::WebsocketSender as WebsocketRoot;
#[cfg(feature = "moosicbox-ws")]
pub(super) use moosicbox_ws::WebsocketSender as WebsocketRoot;

#[cfg(not(feature = "moosicbox-ws"))]
tunnel_websocket_sender!(WebsocketSender, WebsocketSender, WebsocketSendError);
#[cfg(feature = "moosicbox-ws")]
tunnel_websocket_sender!(
    moosicbox_ws::WebsocketSender,
    moosicbox_ws::WebsocketSender,
    moosicbox_ws::WebsocketSendError
);
