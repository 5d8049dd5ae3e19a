//! A conversation over a WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::{HeaderValue, header};
use p2p_provider::simulator::SimTcpStream;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{ACCESS_TOKEN, SimApp};
use crate::{oracle::Ending, plan::bytes_of};

/// An answer of the echo comes within this, or the WebSocket ends.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// Sends messages and compares the echo; closes, and waits for the answer to that.
///
/// The library takes the key of the handshake and the masks of the frames from the system's randomness. Both are of fixed
/// size, and the trace knows sizes only, so runs stay equal.
pub(super) async fn converse(app: &SimApp, id: u64, messages: u32, pause: Duration) -> Ending {
    let Some(stream) = app.dial().await else { return Ending::Undelivered };
    let mut request = format!("ws://{}/ws/{id}", app.gateway).into_client_request().expect("targets are plain");
    let token = HeaderValue::try_from(format!("Bearer {ACCESS_TOKEN}")).expect("the token is plain");
    request.headers_mut().insert(header::AUTHORIZATION, token);
    let Ok((mut socket, _)) = client_async(request, stream).await else { return Ending::Failed };
    let mut random = app.stage.random(id);
    let largest = app.stage.environment.message_bytes_max;
    for number in 0..messages {
        let length = if random.u8(..) < 32 { random.usize(..=largest) } else { random.usize(..200) };
        let message = Message::Binary(bytes_of(id, true, u64::from(number) << 32, length));
        match ask(app, id, &mut socket, message.clone()).await {
            Some(answer) if answer == message => {}
            Some(Message::Close(_)) | None => return Ending::Failed,
            Some(answer) => {
                let (sent, got) = (message.len(), answer.len());
                app.stage.oracle.violate(format!("WebSocket {id}: an echo of {got} bytes came for {sent}"));
                return Ending::Failed;
            }
        }
        if let Ok(message) = timeout(pause, next(&mut socket)).await {
            if let Some(message @ (Message::Text(_) | Message::Binary(_))) = message {
                let got = message.len();
                app.stage.oracle.violate(format!("WebSocket {id}: a message of {got} bytes came for nothing"));
            }
            return Ending::Failed;
        }
    }
    let close = CloseFrame { code: CloseCode::from(4000), reason: "done".into() };
    match ask(app, id, &mut socket, Message::Close(Some(close.clone()))).await {
        Some(Message::Close(Some(answer))) if answer == close => Ending::Complete,
        _ => Ending::Failed,
    }
}

/// The answer to a message; `None` when the WebSocket has ended.
async fn ask(app: &SimApp, id: u64, socket: &mut WebSocketStream<SimTcpStream>, message: Message) -> Option<Message> {
    let answer = timeout(ANSWER_LIMIT, async {
        socket.send(message).await.ok()?;
        next(socket).await
    });
    answer.await.unwrap_or_else(|_| {
        app.stage.oracle.violate(format!("WebSocket {id}: neither answer nor end within {ANSWER_LIMIT:?}"));
        None
    })
}

/// The next message that is not a ping, which the library answers while it reads.
async fn next(socket: &mut WebSocketStream<SimTcpStream>) -> Option<Message> {
    loop {
        match socket.next().await?.ok()? {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return Some(message),
        }
    }
}
