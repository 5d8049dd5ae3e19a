//! The WebSocket interface of the MoosicBox server itself: `moosicbox_ws`.

use async_trait::async_trait;
use moosicbox_ws::{PlayerAction, process_message};
use serde_json::Value;
use switchy_database::config::ConfigDatabase;

use super::{
    P2PTunnelSender, P2PTunnelSenderHandle, WebsocketContext, WebsocketMessageError, WebsocketSendError, WsProcessor,
};

/// Understands WebSocket messages as the MoosicBox server does: `moosicbox_ws::process_message`.
pub struct MoosicBoxProcessor {
    config_db: ConfigDatabase,
}

impl MoosicBoxProcessor {
    /// With the server's configuration database.
    #[must_use]
    pub const fn new(config_db: ConfigDatabase) -> Self {
        Self { config_db }
    }
}

#[async_trait]
impl WsProcessor for MoosicBoxProcessor {
    async fn process(
        &self,
        body: Value,
        context: WebsocketContext,
        sender: &dyn super::WebsocketSender,
    ) -> Result<(), WebsocketMessageError> {
        let context = moosicbox_ws::WebsocketContext {
            connection_id: context.connection_id,
            profile: context.profile,
            player_actions: context.player_actions,
        };
        let processed = process_message(&self.config_db, body, context, &Upstream(sender)).await;
        processed.map(drop).map_err(|error| WebsocketMessageError(error.to_string()))
    }
}

impl P2PTunnelSender {
    /// Has a player act on updates of sessions that arrive through the tunnel. Any number may have the same id.
    #[must_use]
    pub fn add_player_action(self, id: u64, action: PlayerAction) -> Self {
        self.hub.add_player_action(id, action);
        self
    }
}

impl P2PTunnelSenderHandle {
    /// As [`P2PTunnelSender::add_player_action`], at any time.
    pub fn add_player_action(&self, id: u64, action: PlayerAction) {
        self.hub.add_player_action(id, action);
    }
}

/// What implements upstream's trait implements ours.
#[async_trait]
impl<T: moosicbox_ws::WebsocketSender> super::WebsocketSender for T {
    async fn send(&self, connection_id: &str, data: &str) -> Result<(), WebsocketSendError> {
        Ok(moosicbox_ws::WebsocketSender::send(self, connection_id, data).await?)
    }

    async fn send_all(&self, data: &str) -> Result<(), WebsocketSendError> {
        Ok(moosicbox_ws::WebsocketSender::send_all(self, data).await?)
    }

    async fn send_all_except(&self, connection_id: &str, data: &str) -> Result<(), WebsocketSendError> {
        Ok(moosicbox_ws::WebsocketSender::send_all_except(self, connection_id, data).await?)
    }

    async fn ping(&self) -> Result<(), WebsocketSendError> {
        Ok(moosicbox_ws::WebsocketSender::ping(self).await?)
    }
}

/// A sender of ours as one of upstream's.
struct Upstream<'a>(&'a dyn super::WebsocketSender);

#[async_trait]
impl moosicbox_ws::WebsocketSender for Upstream<'_> {
    async fn send(&self, connection_id: &str, data: &str) -> Result<(), moosicbox_ws::WebsocketSendError> {
        Ok(self.0.send(connection_id, data).await?)
    }

    async fn send_all(&self, data: &str) -> Result<(), moosicbox_ws::WebsocketSendError> {
        Ok(self.0.send_all(data).await?)
    }

    async fn send_all_except(&self, connection_id: &str, data: &str) -> Result<(), moosicbox_ws::WebsocketSendError> {
        Ok(self.0.send_all_except(connection_id, data).await?)
    }

    async fn ping(&self) -> Result<(), moosicbox_ws::WebsocketSendError> {
        Ok(self.0.ping().await?)
    }
}

impl From<moosicbox_ws::WebsocketSendError> for WebsocketSendError {
    fn from(error: moosicbox_ws::WebsocketSendError) -> Self {
        match error {
            moosicbox_ws::WebsocketSendError::DatabaseFetch(error) => Self::Unknown(error.to_string()),
            moosicbox_ws::WebsocketSendError::Unknown(message) => Self::Unknown(message),
            moosicbox_ws::WebsocketSendError::ParseInt(error) => Self::ParseInt(error),
            moosicbox_ws::WebsocketSendError::Serde(error) => Self::Serde(error),
        }
    }
}

impl From<WebsocketSendError> for moosicbox_ws::WebsocketSendError {
    fn from(error: WebsocketSendError) -> Self {
        match error {
            WebsocketSendError::DatabaseFetch(error) => Self::Unknown(error.to_string()),
            WebsocketSendError::Unknown(message) => Self::Unknown(message),
            WebsocketSendError::ParseInt(error) => Self::ParseInt(error),
            WebsocketSendError::Serde(error) => Self::Serde(error),
        }
    }
}
