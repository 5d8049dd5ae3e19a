//! Texts that nobody wrote on purpose.

use futures::SinkExt;
use tunnel_core::{WsMessage, packet::decode};

use crate::support::{Server, ask, websockets};

/// A text with characters changed, taken out or doubled.
fn spoil(text: &str, random: &mut fastrand::Rng) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..random.usize(1..5) {
        if chars.is_empty() {
            break;
        }
        let at = random.usize(0..chars.len());
        match random.u8(0..4) {
            0 => chars[at] = random.char(..),
            1 => drop(chars.remove(at)),
            2 => chars.insert(at, chars[at]),
            _ => chars.truncate(at.max(1)),
        }
    }
    chars.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn spoiled_texts_never_end_the_connection() {
    let (handler, _peers) = websockets();
    let (mut server, host) = Server::with_host(true, handler, |_| {});
    let mut end = server.host().await;
    crate::support::connected(&host).await;
    let before = host.state();
    let mut random = fastrand::Rng::with_seed(1);
    for round in 1000..3000 {
        let texts = [
            ask(random.u64(..), "a"),
            r#"{"type":"WS","conn_id":1,"request_id":2,"body":{"a":[1,null]},"profile":null}"#.to_owned(),
            format!(r#"{{"type":"ABORT","request_id":{round}}}"#),
            format!(r#"{{"type":"WINDOW","request_id":{round},"packets":{}}}"#, random.u32(..)),
            r#"{"type":"WS_CLOSED","conn_id":1}"#.to_owned(),
        ];
        let text = spoil(&texts[random.usize(0..texts.len())], &mut random);
        end.socket.feed(WsMessage::Text(text.into())).await.unwrap();
        if round % 50 == 0 {
            end.ask(round, "a").await;
            // Some of the spoiled ones are requests still.
            loop {
                let WsMessage::Binary(bytes) = end.hear().await else { continue };
                if decode(bytes).unwrap().request_id == round {
                    break;
                }
            }
        }
    }
    assert_eq!(host.state(), before, "the same connection");
}
