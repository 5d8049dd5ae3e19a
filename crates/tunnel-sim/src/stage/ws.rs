//! A conversation over a WebSocket.

use std::time::Duration;

use futures::{SinkExt, Stream, StreamExt};
use http::HeaderMap;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tunnel_core::{Failure, TransportKind, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade};

use super::{Caller, SimClient};
use crate::{
    oracle::Ending,
    plan::{WsVerb, bytes_of},
};

/// An answer of the echo comes within this, or the WebSocket ends.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// The largest payload of a ping or a pong, in bytes (RFC 6455 §5.5).
const PING_BYTES_MAX: usize = 125;

/// The longest text within a JSON message that a tunnel server carries for sure: its messages have 65,536 bytes at most.
const CARRIED_BYTES_MAX: usize = 60_000;

/// What is said over a WebSocket, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talk {
    /// What the service does.
    pub verb: WsVerb,
    /// How many messages the client sends, before its close.
    pub messages: u32,
    /// The client waits so long after each message.
    pub pause: Duration,
    /// At most so many messages wait for their answer.
    pub ahead: u32,
    /// Whether some messages are large, or all of them small.
    pub large: bool,
    /// The client reads nothing for so long.
    pub deaf: Duration,
    /// Whether it says only what a tunnel server carries: JSON, to an echo. The latter is the only verb then.
    pub carried: bool,
}

impl Talk {
    /// So many messages, each after the answer to the one before it.
    #[must_use]
    pub const fn of(messages: u32) -> Self {
        Self {
            verb: WsVerb::Echo,
            messages,
            pause: Duration::ZERO,
            ahead: 1,
            large: true,
            deaf: Duration::ZERO,
            carried: false,
        }
    }

    /// As [`of`](Self::of), in a way that a tunnel server carries.
    #[must_use]
    pub const fn carried(messages: u32) -> Self {
        Self { carried: true, ..Self::of(messages) }
    }
}

/// Sends messages and compares the echo; closes, and compares the echo of that.
pub(super) async fn converse(client: &SimClient, id: u64, talk: &Talk) -> Ending {
    let target = if talk.carried { WsVerb::carried_target(id) } else { talk.verb.target(id) };
    let open = WsOpen { id, uri: target.parse().expect("targets are plain"), headers: HeaderMap::new() };
    let (WsSession { mut sink, mut stream }, via) = match client.transport().open_ws(open).await {
        Ok(WsUpgrade::Accepted { session, via, .. }) => (session, via),
        Ok(WsUpgrade::Rejected(_)) => return Ending::Failed,
        Err(failure) => {
            client.explain(id, &failure);
            return Ending::Failed;
        }
    };
    let messages = Messages { client, id, talk };
    let places = Semaphore::new(talk.ahead as usize);
    let sending = async {
        for number in 0..=talk.messages {
            // A tunnel server answers a close by itself, before what is still under way.
            let all = talk.carried && number == talk.messages;
            match places.acquire_many(if all { talk.ahead } else { 1 }).await {
                Ok(place) => place.forget(),
                Err(_) => return,
            }
            // If it fails, reading does, too, and says so.
            if sink.send(messages.message(number)).await.is_err() {
                return;
            }
            sleep(talk.pause).await;
        }
    };
    let reading = async {
        sleep(talk.deaf).await;
        for number in 0..=talk.messages {
            let Ok(answer) = timeout(ANSWER_LIMIT, answer(&mut stream, talk)).await else {
                // A tunnel server drops without a word what it gets for a host that is not there.
                if via.is_some_and(|via| via.transport == TransportKind::Legacy) {
                    return Ending::Failed;
                }
                let what = format!("WebSocket {id}: neither answer nor end within {ANSWER_LIMIT:?}");
                client.stage().oracle.violate(what);
                return Ending::Failed;
            };
            if !messages.check(number, answer) {
                return Ending::Failed;
            }
            if number == 0 {
                // Over a tunnel server the service sees it with the first message.
                client.answered(id, u32::try_from(client.stage().oracle.executions(id).len()).unwrap_or(u32::MAX), via);
            }
            places.add_permits(1);
        }
        if let Some(more) = stream.next().await {
            client.stage().oracle.violate(format!("the WebSocket {id} went on after its close: {more:?}"));
        }
        Ending::Complete
    };
    let sending = async {
        sending.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        ending = reading => ending,
        never = sending => never,
    }
}

/// The next message. The heartbeat of a tunnel server is none.
async fn answer(
    stream: &mut (impl Stream<Item = Result<WsMessage, Failure>> + Unpin),
    talk: &Talk,
) -> Option<Result<WsMessage, Failure>> {
    loop {
        let message = stream.next().await;
        if !(talk.carried && matches!(message, Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))))) {
            return message;
        }
    }
}

/// The messages of one conversation.
struct Messages<'a> {
    client: &'a SimClient,
    id: u64,
    talk: &'a Talk,
}

impl Messages<'_> {
    /// The message of this number; the last one is the close.
    fn message(&self, number: u32) -> WsMessage {
        let Self { client, id, talk } = self;
        if number == talk.messages {
            return WsMessage::Close(Some(WsClose { code: 4000, reason: "done".to_owned() }));
        }
        let mut random = client.stage().random(id << 32 | u64::from(number));
        let largest = client.stage().environment.message_bytes_max;
        let largest = if talk.carried { largest.min(CARRIED_BYTES_MAX) } else { largest };
        let length = if talk.large && random.u8(..) < 32 { random.usize(..=largest) } else { random.usize(..200) };
        let bytes = |length| bytes_of(*id, true, u64::from(number) << 32, length);
        if talk.carried {
            // As it is written when it is written again.
            let text: String = bytes(length).iter().map(|byte| char::from(b'a' + byte % 16)).collect();
            return WsMessage::Text(format!("{{\"number\":{number},\"text\":\"{text}\"}}").into());
        }
        match random.u8(..8) {
            0 => WsMessage::Ping(bytes(length.min(PING_BYTES_MAX))),
            1 => WsMessage::Pong(bytes(length.min(PING_BYTES_MAX))),
            2 | 3 => WsMessage::Text(format!("{id}/{number}/").repeat(length / 8).into()),
            _ => WsMessage::Binary(bytes(length)),
        }
    }

    /// Whether this is the answer to the message of this number.
    fn check(&self, number: u32, answer: Option<Result<WsMessage, Failure>>) -> bool {
        let oracle = &self.client.stage().oracle;
        let id = self.id;
        let cut = matches!(self.talk.verb, WsVerb::Cut(messages) if number >= messages);
        match answer {
            Some(Ok(answer)) if cut => {
                oracle.violate(format!("WebSocket {id}: the service broke off, but there is a message: {answer:?}"));
            }
            Some(Ok(answer)) if answer == self.message(number) => return true,
            Some(Ok(answer)) => {
                let (sent, got) = (self.message(number).len(), answer.len());
                oracle.violate(format!("WebSocket {id}: an echo of {got} bytes came for {sent}"));
            }
            Some(Err(_)) => {}
            None => oracle.violate(format!("WebSocket {id} ended with neither a close nor an error")),
        }
        false
    }
}
