//! A conversation over a WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::HeaderMap;
use tokio::time::{sleep, timeout};
use tunnel_core::{Transport, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade};

use super::SimClient;
use crate::{oracle::Ending, plan::bytes_of};

/// An answer of the echo comes within this, or the WebSocket ends.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// Sends messages and compares the echo; closes, and compares the echo of that.
pub(super) async fn converse(client: &SimClient, id: u64, messages: u32, pause: Duration) -> Ending {
    let target = format!("/ws/{id}").parse().expect("targets are plain");
    let open = WsOpen { id, uri: target, headers: HeaderMap::new() };
    let mut session = match client.transport().open_ws(open).await {
        Ok(WsUpgrade::Accepted { session, .. }) => session,
        Ok(WsUpgrade::Rejected(_)) | Err(_) => return Ending::Failed,
    };
    let mut random = client.stage.random(id);
    let largest = client.stage.environment.message_bytes_max;
    for number in 0..messages {
        let length = if random.u8(..) < 32 { random.usize(..=largest) } else { random.usize(..200) };
        let bytes = bytes_of(id, true, u64::from(number) << 32, length);
        if !echoes(client, id, &mut session, WsMessage::Binary(bytes)).await {
            return Ending::Failed;
        }
        sleep(pause).await;
    }
    let close = WsMessage::Close(Some(WsClose { code: 4000, reason: "done".to_owned() }));
    if !echoes(client, id, &mut session, close).await {
        return Ending::Failed;
    }
    if let Some(more) = session.stream.next().await {
        client.stage.oracle.violate(format!("the WebSocket {id} went on after its close: {more:?}"));
    }
    Ending::Complete
}

async fn echoes(client: &SimClient, id: u64, session: &mut WsSession, message: WsMessage) -> bool {
    let answer = timeout(ANSWER_LIMIT, async {
        session.sink.send(message.clone()).await.ok()?;
        session.stream.next().await
    });
    match answer.await {
        Ok(Some(Ok(answer))) if answer == message => true,
        Ok(Some(Ok(answer))) => {
            let (sent, got) = (message.len(), answer.len());
            client.stage.oracle.violate(format!("WebSocket {id}: an echo of {got} bytes came for {sent}"));
            false
        }
        // Sending has failed: then the stream ends with an error, too, unless it had its close.
        Ok(Some(Err(_)) | None) => false,
        Err(_) => {
            client.stage.oracle.violate(format!("WebSocket {id}: neither answer nor end within {ANSWER_LIMIT:?}"));
            false
        }
    }
}
