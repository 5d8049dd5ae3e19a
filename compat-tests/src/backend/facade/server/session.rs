//! One WebSocket client: its WebSocket to the service, and the messages both ways.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::{sync::mpsc, time::timeout};
use tunnel_core::{Failure, Handler, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade, convert::PROFILE_QUERY_KEY};
use tunnel_p2p::sender::{P2PTunnelSenderHandle, WebsocketSender};

/// How long the closing handshake with the service may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;

pub(super) struct Session {
    pub(super) conn_id: u64,
    pub(super) profile: Option<String>,
    /// What the client says; its end is the client's.
    pub(super) queue: mpsc::Receiver<Bytes>,
    pub(super) handle: P2PTunnelSenderHandle,
}

impl Session {
    /// Runs until either side has left. Dropping the future cuts it.
    pub(super) async fn run(mut self, handler: std::sync::Arc<dyn Handler>) {
        let open = WsOpen { id: self.conn_id, uri: self.uri(), headers: HeaderMap::new() };
        // A client that is not served is told nothing: there is no word for it.
        let Ok(WsUpgrade::Accepted { session, .. }) = handler.ws(open).await else { return };
        let WsSession { mut sink, mut stream } = session;
        if !self.carry(&mut sink, &mut stream).await {
            return;
        }
        let close = WsClose { code: GOING_AWAY, reason: "the client has left".to_owned() };
        let closing = async {
            if sink.send(WsMessage::Close(Some(close))).await.is_ok() {
                while let Some(Ok(_)) = stream.next().await {}
            }
        };
        timeout(CLOSE_TIMEOUT, closing).await.ok();
    }

    /// Carries messages both ways at once; whether it was the client who ended it.
    async fn carry(
        &mut self,
        sink: &mut Pin<Box<dyn futures::Sink<WsMessage, Error = Failure> + Send>>,
        stream: &mut Pin<Box<dyn futures::Stream<Item = Result<WsMessage, Failure>> + Send>>,
    ) -> bool {
        let Self { queue, handle, conn_id, .. } = self;
        let client = conn_id.to_string();
        let sending = async {
            while let Some(text) = queue.recv().await {
                if sink.send(WsMessage::Text(text)).await.is_err() {
                    return false;
                }
            }
            true
        };
        let receiving = async {
            loop {
                match stream.next().await {
                    Some(Ok(WsMessage::Text(text))) => {
                        let Ok(text) = std::str::from_utf8(&text) else { return false };
                        // What is no JSON has no form.
                        if handle.send(&client, text).await.is_err() {
                            return true;
                        }
                    }
                    Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => {}
                    Some(Ok(WsMessage::Binary(_))) => return true,
                    Some(Ok(WsMessage::Close(_)) | Err(_)) | None => return false,
                }
            }
        };
        tokio::select! {
            biased;
            by_client = sending => by_client,
            by_client = receiving => by_client,
        }
    }

    fn uri(&self) -> Uri {
        let Some(profile) = &self.profile else { return Uri::from_static("/ws") };
        let profile = utf8_percent_encode(profile, NON_ALPHANUMERIC);
        format!("/ws?{PROFILE_QUERY_KEY}={profile}").parse().expect("a short profile")
    }
}
