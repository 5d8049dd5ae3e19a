//! A host that sends the tunnel server what a case wants.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tunnel_core::{
    moosicbox_tunnel::{TunnelHttpRequest, TunnelRequest, TunnelResponse},
    packet,
};

use crate::{
    backend::world::{Machine, World},
    patience::soon,
};

/// A host on a machine of its own, connected to a tunnel server.
pub struct ScriptedHost<W: World> {
    /// Its machine.
    pub machine: W::Machine,
    socket: WebSocketStream<<W::Machine as Machine>::Io>,
}

impl<W: World> ScriptedHost<W> {
    /// Connects to the server at `server` as `client_id`, with the additions of `spec/legacy.md` or without.
    pub async fn connect(world: &W, server: SocketAddr, client_id: &str, signature: &str, flow: bool) -> Self {
        let machine = world.machine("scripted-host");
        let stream = machine.connect(server).await.expect("the server listens");
        let url = format!("ws://{server}/ws?clientId={client_id}&signature={signature}&sender=true");
        let mut request = url.into_client_request().expect("a URL");
        if flow {
            request.headers_mut().insert("x-tunnel-extensions", http::HeaderValue::from_static("flow"));
        }
        let (socket, response) = soon("the handshake", client_async(request, stream)).await.expect("101");
        let agreed = response.headers().get("x-tunnel-extensions").is_some();
        assert_eq!(agreed, flow, "whether the server knows the additions");
        Self { machine, socket }
    }

    /// The next request that the server wants answered.
    pub async fn request(&mut self) -> TunnelHttpRequest {
        loop {
            let text = self.text().await;
            if let Ok(TunnelRequest::Http(request)) = serde_json::from_str(&text) {
                return request;
            }
        }
    }

    /// The next JSON message with this type, and what it says. Others are passed over.
    pub async fn message(&mut self, kind: &str) -> Value {
        loop {
            let value: Value = serde_json::from_str(&self.text().await).expect("the server sends JSON");
            if value["type"] == kind {
                return value;
            }
        }
    }

    /// The next text message.
    async fn text(&mut self) -> String {
        loop {
            let message = soon("a message of the server", self.socket.next()).await.expect("the WebSocket goes on");
            if let Message::Text(text) = message.expect("no failure") {
                return text.as_str().to_owned();
            }
        }
    }

    /// Sends a packet.
    pub async fn send(&mut self, packet: &TunnelResponse) {
        self.binary(packet::encode(packet).expect("a packet")).await;
    }

    /// Sends any bytes.
    pub async fn binary(&mut self, bytes: impl Into<Bytes>) {
        soon("sending", self.socket.send(Message::Binary(bytes.into()))).await.ok();
    }

    /// Sends any text.
    pub async fn write_text(&mut self, text: &str) {
        soon("sending", self.socket.send(Message::text(text))).await.ok();
    }

    /// Waits until the server has ended the WebSocket.
    pub async fn closed(mut self) {
        soon("the end of the WebSocket", async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
    }
}

/// A packet; packet 1 is the head of a 200.
pub fn packet(request_id: u64, packet_id: u32, last: bool, bytes: impl Into<Bytes>) -> TunnelResponse {
    let first = packet_id == 1;
    TunnelResponse {
        request_id,
        packet_id,
        last,
        bytes: bytes.into(),
        status: first.then_some(200),
        headers: first.then(Default::default),
    }
}
