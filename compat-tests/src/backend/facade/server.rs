//! A home server as upstream's users have written theirs: a loop over messages, and answers by its sender.

mod requests;
mod session;
mod websockets;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{Handler, moosicbox_tunnel::TunnelRequest};
use tunnel_p2p::sender::{P2PTunnelSender, P2PTunnelSenderHandle, SenderConfig, TunnelMessage};

use self::{requests::Requests, websockets::WebSockets};
use crate::backend::spawn;

/// The server. Dropping it ends it without a word.
pub(super) struct Server {
    handle: P2PTunnelSenderHandle,
    _running: AbortOnDropHandle<()>,
}

impl Server {
    /// A server in front of `handler`, and what transports ask.
    pub(super) fn start(handler: Arc<dyn Handler>, max_websockets: usize) -> (Self, Arc<dyn Handler>) {
        let mut config = SenderConfig::default();
        // The same in every run.
        config.seed = Some(1);
        let (sender, handle) = P2PTunnelSender::detached(config);
        let transports = sender.handler();
        let messages = sender.start();
        let websockets = WebSockets::new(handle.clone(), Arc::clone(&handler), max_websockets);
        let running = spawn(run(messages, Requests::new(sender, handler), websockets));
        (Self { handle, _running: running }, transports)
    }

    /// Says good-bye.
    pub(super) fn close(&self) {
        self.handle.close();
    }
}

/// The loop. It ends when the sender is closed and everything has been answered.
async fn run(mut messages: mpsc::Receiver<TunnelMessage>, mut requests: Requests, mut websockets: WebSockets) {
    loop {
        let message = tokio::select! {
            biased;
            message = messages.recv() => message,
            () = requests.one_ended() => continue,
            () = websockets.one_ended() => continue,
        };
        let text = match message {
            Some(TunnelMessage::Text(text)) => text,
            Some(other) => panic!("{other:?} never comes"),
            None => break,
        };
        match serde_json::from_str(&text).expect("every text is a TunnelRequest") {
            TunnelRequest::Http(request) => requests.begin(request),
            TunnelRequest::Ws(request) => websockets.message(request),
            TunnelRequest::Abort(request) => requests.abort(request.request_id),
        }
    }
    while !requests.is_empty() {
        requests.one_ended().await;
    }
}
