//! A conversation over a WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::HeaderMap;
use tokio::time::{sleep, timeout};
use tunnel_core::{Failure, Transport, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade};

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

/// Whether the message came back as it was. An error is no violation; anything else is.
async fn echoes(client: &SimClient, id: u64, session: &mut WsSession, message: WsMessage) -> bool {
    let answer = timeout(ANSWER_LIMIT, async {
        session.sink.send(message.clone()).await?;
        Ok::<_, Failure>(session.stream.next().await)
    });
    let violation = match answer.await {
        Ok(Ok(Some(Ok(answer)))) if answer == message => return true,
        Ok(Err(_) | Ok(Some(Err(_)))) => return false,
        Ok(Ok(Some(Ok(answer)))) => format!("an echo of {} bytes came for {}", answer.len(), message.len()),
        Ok(Ok(None)) => "it ended without a close and without an error".to_owned(),
        Err(_) => format!("neither an answer nor an end came within {ANSWER_LIMIT:?}"),
    };
    client.stage.oracle.violate(format!("WebSocket {id}: {violation}"));
    false
}
