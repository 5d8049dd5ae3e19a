//! WebSockets.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::difference::{Context, Difference, ensure, shortened};

/// An open WebSocket. Dropping it cuts the connection without a close.
#[derive(Debug)]
pub(super) struct Socket {
    socket: WebSocketStream<TcpStream>,
    timeout: Duration,
}

impl Socket {
    pub(super) const fn new(socket: WebSocketStream<TcpStream>, timeout: Duration) -> Self {
        Self { socket, timeout }
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: Message) -> Result<(), Difference> {
        let sent = timeout(self.timeout, self.socket.send(message)).await;
        sent.map_err(|_| self.stalled("a message was not taken"))?.context("a message was not taken")
    }

    /// The next message.
    pub(super) async fn receive(&mut self) -> Result<Message, Difference> {
        let message = timeout(self.timeout, self.socket.next()).await;
        let message = message.map_err(|_| self.stalled("no message came"))?;
        message.context("the WebSocket ended without a close")?.context("the WebSocket broke off")
    }

    /// Sends a message and expects it back.
    pub(super) async fn echo(&mut self, message: Message) -> Result<(), Difference> {
        self.send(message.clone()).await?;
        self.expect(&message).await
    }

    /// Expects this message next.
    pub(super) async fn expect(&mut self, expected: &Message) -> Result<(), Difference> {
        let got = self.receive().await?;
        ensure!(got == *expected, "the message is {}, expected {}", shortened(&got), shortened(expected));
        Ok(())
    }

    /// Expects a close next, and returns its code and reason.
    pub(super) async fn closed(&mut self) -> Result<Option<(u16, String)>, Difference> {
        match self.receive().await? {
            Message::Close(frame) => Ok(frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()))),
            other => Err(Difference::new(format!("instead of a close came {}", shortened(&other)))),
        }
    }

    fn stalled(&self, what: &str) -> Difference {
        Difference::new(format!("{what} within {:?}", self.timeout))
    }
}
