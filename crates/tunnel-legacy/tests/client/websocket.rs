//! WebSockets through the tunnel server.

use std::fmt::Write as _;

use futures::{SinkExt, StreamExt};
use tokio::{io::AsyncWriteExt, sync::mpsc};
use tunnel_core::{FailureKind, PathKind, Transport, WsMessage, WsOpen, WsSession, WsUpgrade};
use tunnel_http::{WsLimits, WsPeer, WsRole, WsSocket, handshake};
use tunnel_legacy::LegacyClient;

use crate::support::{answering, client, config, connector, read_request};

fn open(target: &str) -> WsOpen {
    WsOpen { id: 1, uri: target.parse().unwrap(), headers: http::HeaderMap::new() }
}

/// A server that accepts WebSockets and sends back every message, and all that it has heard.
fn echoing() -> (LegacyClient, mpsc::Receiver<String>) {
    let (heard, receiver) = mpsc::channel(16);
    let client = client(connector(move |mut stream| {
        let heard = heard.clone();
        async move {
            let request = read_request(&mut stream).await.unwrap();
            let mut headers = http::HeaderMap::new();
            for line in request.lines().skip(1).filter_map(|line| line.split_once(": ")) {
                headers.append(line.0.parse::<http::HeaderName>().unwrap(), line.1.parse().unwrap());
            }
            heard.send(request.lines().next().unwrap().to_owned()).await.unwrap();
            let mut answer = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
            for (name, value) in &handshake::accept(&headers).unwrap() {
                write!(answer, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
            }
            stream.write_all((answer + "\r\n").as_bytes()).await.unwrap();
            let limits = WsLimits {
                message_bytes_max: 1 << 20,
                ping_interval: std::time::Duration::ZERO,
                idle_timeout: std::time::Duration::ZERO,
            };
            let peer =
                WsPeer { name: "the client".to_owned(), broke_off: FailureKind::Aborted, silent: FailureKind::Aborted };
            let mut socket = WsSocket::new(stream, WsRole::Server, limits, peer).await;
            while let Some(Ok(message)) = socket.next().await {
                match message {
                    WsMessage::Text(_) => socket.send(message).await.unwrap(),
                    WsMessage::Close(_) => break,
                    _ => {}
                }
            }
            heard.send("gone".to_owned()).await.ok();
        }
    }));
    (client, receiver)
}

async fn session(client: &LegacyClient) -> WsSession {
    match client.open_ws(open("/ws?moosicboxProfile=p")).await.unwrap() {
        WsUpgrade::Accepted { session, via, .. } => {
            assert_eq!(via.unwrap().path, PathKind::Server);
            session
        }
        WsUpgrade::Rejected(response) => panic!("{response:?}"),
    }
}

fn text(text: &str) -> WsMessage {
    WsMessage::Text(text.to_owned().into())
}

#[tokio::test(start_paused = true)]
async fn carries_json_both_ways() {
    let (client, mut heard) = echoing();
    let mut session = session(&client).await;
    assert_eq!(heard.recv().await.unwrap(), "GET /ws?moosicboxProfile=p&clientId=home HTTP/1.1");
    for message in [r#"{"type":"PING"}"#, "1", "\"é\""] {
        session.sink.send(text(message)).await.unwrap();
        assert_eq!(session.stream.next().await.unwrap().unwrap(), text(message));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_tunnel_would_drop_ends_the_session_on_both_sides() {
    for (message, kind) in [
        (text("not json"), FailureKind::Unsupported),
        (WsMessage::Binary("{}".into()), FailureKind::Unsupported),
        (text(&format!("\"{}\"", "x".repeat(65_535))), FailureKind::TooLarge),
    ] {
        let (client, mut heard) = echoing();
        let mut session = session(&client).await;
        heard.recv().await.unwrap();
        let (mut sink, mut stream) = (session.sink, session.stream);
        // The reader waits already when the fault happens.
        let (sent, read) = tokio::join!(
            async {
                tokio::task::yield_now().await;
                sink.send(message).await
            },
            stream.next()
        );
        assert_eq!(sent.unwrap_err().kind(), kind);
        assert_eq!(read.unwrap().unwrap_err().kind(), kind);
        assert!(stream.next().await.is_none());
        assert_eq!(sink.send(text("{}")).await.unwrap_err().kind(), kind);
        session = WsSession { sink, stream };
        drop(session);
        assert_eq!(heard.recv().await.unwrap(), "gone");
    }
}

#[tokio::test(start_paused = true)]
async fn says_why_the_tunnel_server_refuses() {
    let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\nUnauthorized";
    let mut config = config();
    config.signature = Some("old".to_owned());
    let (_, connect) = answering(answer);
    let client = LegacyClient::with_connector(config, connect).unwrap();
    let failure = client.open_ws(open("/ws")).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unauthorized);
    assert!(failure.message().contains("may have expired"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn other_websockets_are_not_carried() {
    let (seen, connect) = answering("");
    let client = client(connect);
    for target in ["/socket", "/ws?x=1"] {
        assert!(client.can_carry_ws(&open(target)).is_err());
        assert_eq!(client.open_ws(open(target)).await.unwrap_err().kind(), FailureKind::Unsupported);
    }
    assert!(client.can_carry_ws(&open("/ws")).is_ok());
    assert!(seen.lock().unwrap().is_empty());
}
