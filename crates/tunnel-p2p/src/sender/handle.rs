//! The handle by which the rest of a server reaches the tunnel's clients.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    hub::Hub,
    websocket_sender::{TunnelWebsockets, WebsocketSendError},
};

/// Closes the tunnel, and sends to its WebSocket clients. Clones share the tunnel.
#[derive(Clone)]
pub struct P2PTunnelSenderHandle {
    pub(super) hub: Arc<Hub>,
}

impl P2PTunnelSenderHandle {
    /// Ends the tunnel: nothing new is taken, what is under way may end, and the loop's receiver ends. Also after
    /// [`with_cancellation_token`](super::P2PTunnelSender::with_cancellation_token), where upstream's does nothing.
    /// Idempotent.
    pub fn close(&self) {
        self.hub.close();
    }

    /// The way to the WebSocket clients.
    #[must_use]
    pub fn websockets(&self) -> TunnelWebsockets {
        TunnelWebsockets(Arc::clone(&self.hub.websockets))
    }

    fn client(id: &str) -> Result<Option<Vec<u64>>, WebsocketSendError> {
        Ok(Some(vec![id.parse()?]))
    }
}

macro_rules! handle {
    ($trait:path, $error:path) => {
        /// Pushes without being asked, to the clients of this host alone. Ids that no client has are ignored.
        #[async_trait]
        impl $trait for P2PTunnelSenderHandle {
            async fn send(&self, connection_id: &str, data: &str) -> Result<(), $error> {
                Ok(self.websockets().push(data, None, Self::client(connection_id)?)?)
            }

            async fn send_all(&self, data: &str) -> Result<(), $error> {
                Ok(self.websockets().push(data, None, None)?)
            }

            async fn send_all_except(&self, connection_id: &str, data: &str) -> Result<(), $error> {
                Ok(self.websockets().push(data, Self::client(connection_id)?, None)?)
            }

            async fn ping(&self) -> Result<(), $error> {
                self.hub.websockets.ping();
                Ok(())
            }
        }
    };
}

#[cfg(not(feature = "moosicbox-ws"))]
handle!(super::websocket_sender::WebsocketSender, WebsocketSendError);
#[cfg(feature = "moosicbox-ws")]
handle!(moosicbox_ws::WebsocketSender, moosicbox_ws::WebsocketSendError);
