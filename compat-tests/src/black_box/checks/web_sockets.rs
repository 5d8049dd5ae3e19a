//! WebSockets carry whole messages both ways, and say how they end.

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{
        CloseFrame,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use super::{Checks, headers::received};
use crate::{
    black_box::{
        Difference,
        difference::{Context, same, shortened},
        probe::Probe,
        socket::Socket,
    },
    demo_service::Content,
};

pub(super) const CHECKS: Checks = &[
    ("WS text, binary and empty messages", |p| Box::pin(messages(p))),
    ("WS 200 kB, 1 MiB and 4 MiB messages", |p| Box::pin(large(p))),
    ("WS a message in three fragments", |p| Box::pin(fragments(p))),
    ("WS ping is answered", |p| Box::pin(ping(p))),
    ("WS 1000 messages from the service", |p| Box::pin(unasked(p))),
    ("WS closed by the client, 4321", |p| Box::pin(closed_by_client(p))),
    ("WS closed by the service, 4999", |p| Box::pin(closed_by_service(p))),
    ("WS closed by the service, no code", |p| Box::pin(closed_without_code(p))),
    ("WS subprotocol chosen from three", |p| Box::pin(subprotocol(p))),
    ("WS no subprotocol, none invented", |p| Box::pin(no_subprotocol(p))),
    ("WS target and headers of the handshake", |p| Box::pin(handshake(p))),
    ("WS refused with 403 and a body", |p| Box::pin(refused(p))),
    ("WS 16 at once, unmixed", |p| Box::pin(p.at_once(16, async |number| one_of_many(p, number).await))),
    ("WS beside a download", |p| Box::pin(beside_a_download(p))),
];

async fn messages(probe: &Probe) -> Result<(), Difference> {
    let mut socket = probe.echo_socket("/ws").await?;
    for text in ["gr\u{fc}\u{df} dich \u{1f3b5}", "", "{\"a\":1}\n\0"] {
        socket.echo(Message::text(text)).await?;
    }
    socket.echo(Message::binary(&b"\x00\xff\x80"[..])).await?;
    socket.echo(Message::binary(Bytes::new())).await?;
    good_bye(&mut socket).await
}

async fn large(probe: &Probe) -> Result<(), Difference> {
    let mut socket = probe.echo_socket("/ws").await?;
    for length in [200_000, 1 << 20, 4 << 20] {
        let bytes: Bytes = Content::new(length).pieces(0..length).flatten().collect();
        socket.echo(Message::binary(bytes)).await.context(format!("{length} bytes"))?;
        probe.bytes(length);
    }
    good_bye(&mut socket).await
}

async fn fragments(probe: &Probe) -> Result<(), Difference> {
    let mut socket = probe.echo_socket("/ws").await?;
    // A character is split, which is allowed: only the whole message is UTF-8.
    let fragments = [
        (&b"one, tw\xc3"[..], Data::Text, false),
        (b"\xb6, ", Data::Continue, false),
        (b"three", Data::Continue, true),
    ];
    for (bytes, kind, last) in fragments {
        socket.send(Message::Frame(Frame::message(bytes, OpCode::Data(kind), last))).await?;
    }
    socket.expect(&Message::text("one, tw\u{f6}, three")).await?;
    good_bye(&mut socket).await
}

async fn ping(probe: &Probe) -> Result<(), Difference> {
    let mut socket = probe.echo_socket("/ws").await?;
    socket.echo(Message::text("before")).await?;
    let payload = Bytes::from_static(b"are you there?");
    socket.send(Message::Ping(payload.clone())).await?;
    socket.send(Message::text("after")).await?;
    // Whoever answers, the order of answer and echo is open.
    let (pong, after) = (Message::Pong(payload), Message::text("after"));
    let mut open = vec![&pong, &after];
    while !open.is_empty() {
        let message = socket.receive().await?;
        let known = open.iter().position(|expected| **expected == message);
        let known = known.context(format!("{} came, expected a pong and the echo", shortened(&message)))?;
        open.remove(known);
    }
    good_bye(&mut socket).await
}

async fn unasked(probe: &Probe) -> Result<(), Difference> {
    let (mut socket, _) = probe.web_socket("/ws/count?count=1000", &[]).await?;
    for number in 0..1000 {
        socket.expect(&Message::text(number.to_string())).await?;
    }
    same("the close", socket.closed().await?, Some((1000, "counted".to_owned())))
}

async fn closed_by_client(probe: &Probe) -> Result<(), Difference> {
    let mut socket = probe.echo_socket("/ws").await?;
    socket.echo(Message::text("last words")).await?;
    socket.send(Message::Close(Some(CloseFrame { code: CloseCode::from(4321), reason: "done".into() }))).await?;
    let code = socket.closed().await?.map(|(code, _)| code);
    same("the code of the answer", code, Some(4321))
}

async fn closed_by_service(probe: &Probe) -> Result<(), Difference> {
    let mut socket = probe.echo_socket("/ws").await?;
    socket.send(Message::text("close 4999 that is all, caf\u{e9}")).await?;
    same("the close", socket.closed().await?, Some((4999, "that is all, caf\u{e9}".to_owned())))
}

async fn closed_without_code(probe: &Probe) -> Result<(), Difference> {
    let mut socket = probe.echo_socket("/ws").await?;
    socket.send(Message::text("close")).await?;
    same("the close", socket.closed().await?, None)
}

async fn subprotocol(probe: &Probe) -> Result<(), Difference> {
    let offered = [("sec-websocket-protocol", "other.v9, echo.v1, echo.v0")];
    let (mut socket, headers) = probe.web_socket("/ws", &offered).await?;
    let chosen = headers.get("sec-websocket-protocol").context("no subprotocol was chosen")?;
    same("the subprotocol", chosen, "echo.v1")?;
    good_bye(&mut socket).await
}

async fn no_subprotocol(probe: &Probe) -> Result<(), Difference> {
    let (mut socket, headers) = probe.web_socket("/ws", &[]).await?;
    same("the subprotocol", headers.get("sec-websocket-protocol"), None)?;
    good_bye(&mut socket).await
}

async fn handshake(probe: &Probe) -> Result<(), Difference> {
    let target = "/ws/about?room=a%2Bb&room=%20";
    let sent = [("cookie", "session=abc"), ("x-demo-twice", "one"), ("x-demo-twice", "two")];
    let (mut socket, _) = probe.web_socket(target, &sent).await?;
    let message = socket.receive().await?;
    let about: Value = serde_json::from_slice(&message.into_data()).context("the first message is not JSON")?;
    same("the target", probe.target().received(about["target"].as_str().unwrap_or_default()), target)?;
    same("cookie", received(&about, "cookie")?, ["session=abc"])?;
    same("x-demo-twice", received(&about, "x-demo-twice")?, ["one", "two"])?;
    same("the close", socket.closed().await?, Some((1000, "that is what arrived".to_owned())))
}

async fn refused(probe: &Probe) -> Result<(), Difference> {
    let mut raw = probe.raw().await?;
    raw.upgrade("/ws/refused").await?;
    let head = raw.head().await?;
    same("the status", head.status, 403)?;
    same("x-demo-status", head.headers.get("x-demo-status").context("x-demo-status is missing")?, "403")?;
    same("the body", String::from_utf8_lossy(&raw.body(&head).await?), "no WebSocket for you\n")
}

async fn one_of_many(probe: &Probe, number: usize) -> Result<(), Difference> {
    let mut socket = probe.echo_socket("/ws").await?;
    for round in 0..10 {
        socket.echo(Message::text(format!("socket {number}, message {round}"))).await?;
    }
    good_bye(&mut socket).await
}

/// Every message comes back while the file is on its way: it is read only between messages.
async fn beside_a_download(probe: &Probe) -> Result<(), Difference> {
    let content = Content::new(32 << 20);
    let mut socket = probe.echo_socket("/ws").await?;
    let mut answer = probe.get("/files/32MiB.bin").await?.expecting(200).await?;
    let mut received = 0;
    for number in 0..20 {
        received += answer.piece().await?.context("the file ended early")?.len() as u64;
        socket.echo(Message::text(format!("message {number}"))).await.context("beside a download")?;
    }
    probe.bytes(received + answer.compare(content, received..content.length()).await?);
    good_bye(&mut socket).await
}

async fn good_bye(socket: &mut Socket) -> Result<(), Difference> {
    socket.send(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))).await?;
    same("the answer to the close", socket.closed().await?.map(|(code, _)| code), Some(1000))
}
