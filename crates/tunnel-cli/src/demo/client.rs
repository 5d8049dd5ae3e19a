//! The client of the demo: plain HTTP/1.1 over TCP, as any app would speak it.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

/// How long one read may take: far longer than anything on one machine needs.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A request body.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// Nothing to send.
pub(super) fn nothing() -> Outgoing {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// One piece to send.
pub(super) fn piece(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Sends requests to one address, each over a connection of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    address: SocketAddr,
}

impl Client {
    /// A client of the server at `address`.
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Sends a request and waits for the response head. Dropping the answer closes the connection.
    pub(super) async fn send(&self, mut request: Request<Outgoing>) -> Result<Answer> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        let mut driver = JoinSet::new();
        // What breaks the connection also breaks the response, where it is reported.
        driver.spawn(async move { connection.await.is_ok() });
        let host = self.address.to_string().parse()?;
        request.headers_mut().entry(header::HOST).or_insert(host);
        let response =
            timeout(READ_TIMEOUT, sender.send_request(request)).await.context("no response head in time")??;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body, _driver: driver })
    }

    /// A GET.
    pub(super) async fn get(&self, target: &str) -> Result<Answer> {
        self.send(Request::get(target).body(nothing())?).await
    }

    /// Opens a WebSocket that offers the subprotocol `echo.v1`.
    pub(super) async fn web_socket(&self, target: &str) -> Result<(Socket, HeaderMap)> {
        let mut request = format!("ws://{}{target}", self.address).into_client_request()?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, "echo.v1".parse()?);
        let handshake = tokio_tungstenite::client_async(request, self.connect().await?);
        let (socket, response) = timeout(READ_TIMEOUT, handshake).await.context("no handshake in time")??;
        Ok((Socket(socket), response.into_parts().0.headers))
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream =
            timeout(READ_TIMEOUT, TcpStream::connect(self.address)).await.context("no connection in time")??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A response, its body still to be read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    _driver: JoinSet<bool>,
}

impl Answer {
    /// A header as text; empty if it is absent.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The next piece of the body; `None` at its proper end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = timeout(READ_TIMEOUT, self.body.frame()).await.context("the body stalled")?;
            match frame.transpose()?.map(http_body::Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) => return Ok(Some(data)),
                Some(Err(_trailers)) => {}
            }
        }
    }

    /// Length and SHA-256 of the rest of the body.
    pub(super) async fn digest(&mut self) -> Result<(u64, String)> {
        let mut hash = Sha256::new();
        let mut length = 0;
        while let Some(piece) = self.piece().await? {
            length += piece.len() as u64;
            hash.update(&piece);
        }
        Ok((length, HEXLOWER.encode(&hash.finalize())))
    }

    /// The rest of the body in memory, at most 1 MiB.
    pub(super) async fn bytes(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
            ensure!(bytes.len() <= 1 << 20, "the body is larger than expected");
        }
        Ok(bytes)
    }
}

/// An open WebSocket.
#[derive(Debug)]
pub(super) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Sends a message.
    pub(super) async fn send(&mut self, message: Message) -> Result<()> {
        timeout(READ_TIMEOUT, self.0.send(message)).await.context("the WebSocket stalled")??;
        Ok(())
    }

    /// The next message.
    pub(super) async fn receive(&mut self) -> Result<Message> {
        let message = timeout(READ_TIMEOUT, self.0.next()).await.context("no message in time")?;
        Ok(message.context("the WebSocket ended without a close message")??)
    }
}
