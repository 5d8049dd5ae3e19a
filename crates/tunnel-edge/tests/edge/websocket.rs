//! WebSockets through both edges.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};
use tunnel_edge::Profile;

use crate::support::{PATIENCE, Service, Tunnel, field, read_head, text};

type Socket = WebSocketStream<TcpStream>;

/// Accepts the handshake, with these header lines added.
async fn accept(mut stream: TcpStream, fields: &str) -> (String, Socket) {
    let head = text(&read_head(&mut stream).await);
    let key = derive_accept_key(field(&head, "sec-websocket-key").unwrap().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {key}\r\n{fields}\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    (head, WebSocketStream::from_raw_socket(stream, Role::Server, None).await)
}

async fn connect(
    tunnel: &Tunnel,
    fields: &[(&'static str, &'static str)],
) -> tungstenite::Result<(Socket, tungstenite::handshake::client::Response)> {
    let mut request = format!("ws://{}/ws?clientId=c&x=1", tunnel.address).into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    timeout(PATIENCE, client_async(request, tunnel.connect().await)).await.unwrap()
}

async fn next(socket: &mut Socket) -> Option<tungstenite::Result<Message>> {
    timeout(PATIENCE, socket.next()).await.expect("nothing comes")
}

fn close(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }))
}

/// Echoes text and binary until the end.
async fn echo(mut socket: Socket) {
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn carries_text_and_binary_and_the_handshake() {
    let (heads, mut seen) = mpsc::channel(1);
    let service = Service::start(move |stream| {
        let heads = heads.clone();
        async move {
            let (head, socket) = accept(stream, "sec-websocket-protocol: b\r\nset-cookie: k=v\r\n").await;
            heads.send(head).await.unwrap();
            echo(socket).await;
        }
    })
    .await;
    let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
    let (mut socket, response) = connect(
        &tunnel,
        &[("sec-websocket-protocol", "a, b"), ("cookie", "k=1"), ("sec-websocket-extensions", "permessage-deflate")],
    )
    .await
    .unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "b");
    assert_eq!(response.headers()["set-cookie"], "k=v");
    let head = seen.recv().await.unwrap();
    assert!(head.starts_with("GET /ws?x=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "sec-websocket-protocol"), Some("a, b"));
    assert_eq!(field(&head, "cookie"), Some("k=1"));
    assert_eq!(field(&head, "sec-websocket-extensions"), None);
    for message in
        [Message::text("grüße"), Message::binary(vec![7; 1_000_000]), Message::text(""), Message::binary(vec![])]
    {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn closes_pass_with_code_and_reason_in_both_directions() {
    for message in [close(4000, "because"), close(1000, ""), Message::Close(None)] {
        let (closes, mut seen) = mpsc::channel(1);
        let service = Service::start(move |stream| {
            let closes = closes.clone();
            async move {
                let (_, mut socket) = accept(stream, "").await;
                closes.send(socket.next().await.unwrap().unwrap()).await.unwrap();
                while let Some(Ok(_)) = socket.next().await {}
            }
        })
        .await;
        let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
        let (mut socket, _) = connect(&tunnel, &[]).await.unwrap();
        socket.send(message.clone()).await.unwrap();
        assert_eq!(seen.recv().await.unwrap(), message);
        assert_eq!(next(&mut socket).await.unwrap().unwrap(), message);
        assert!(next(&mut socket).await.is_none());

        let sent = message.clone();
        let service = Service::start(move |stream| {
            let sent = sent.clone();
            async move {
                let (_, mut socket) = accept(stream, "").await;
                socket.send(sent).await.unwrap();
                while let Some(Ok(_)) = socket.next().await {}
            }
        })
        .await;
        let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
        let (mut socket, _) = connect(&tunnel, &[]).await.unwrap();
        assert_eq!(next(&mut socket).await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn pings_are_answered_on_the_hop_and_passed_on_while_answers_stay() {
    let (messages, mut seen) = mpsc::channel(8);
    let service = Service::start(move |stream| {
        let messages = messages.clone();
        async move {
            let (_, mut socket) = accept(stream, "").await;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() {
                    socket.send(message.clone()).await.unwrap();
                }
                messages.send(message).await.unwrap();
            }
        }
    })
    .await;
    let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
    let (mut socket, _) = connect(&tunnel, &[]).await.unwrap();
    socket.send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::Pong("p".into()));
    assert_eq!(seen.recv().await.unwrap(), Message::Ping("p".into()));
    socket.send(Message::Pong("heartbeat".into())).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), Message::Pong("heartbeat".into()));
    // The service's own pong does not come through: the next message is the echo.
    socket.send(Message::text("t")).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::text("t"));
}

#[tokio::test]
async fn a_refusal_reaches_the_app_as_it_is() {
    let service = Service::answering(b"HTTP/1.1 403 Forbidden\r\nx-why: no\r\ncontent-length: 6\r\n\r\nno way").await;
    let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
    let Err(tungstenite::Error::Http(response)) = connect(&tunnel, &[]).await else { panic!("not refused") };
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["x-why"], "no");
    assert_eq!(response.body().as_deref(), Some(&b"no way"[..]));
}

#[tokio::test]
async fn a_false_accept_key_is_not_accepted() {
    let service = Service::answering(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n",
    )
    .await;
    let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
    let Err(tungstenite::Error::Http(response)) = connect(&tunnel, &[]).await else { panic!("accepted") };
    assert_eq!(response.headers()["x-tunnel-reason"], "service-failed");
}

#[tokio::test]
async fn a_service_that_breaks_off_is_seen_as_one_that_breaks_off() {
    let service = Service::start(|stream| async move { drop(accept(stream, "").await) }).await;
    let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
    let (mut socket, _) = connect(&tunnel, &[]).await.unwrap();
    assert!(matches!(next(&mut socket).await, Some(Err(_))));
}

#[tokio::test]
async fn the_service_sees_an_app_vanish() {
    let (gone, mut saw) = mpsc::channel(1);
    let service = Service::start(move |stream| {
        let gone = gone.clone();
        async move {
            let (_, mut socket) = accept(stream, "").await;
            while let Some(Ok(_)) = socket.next().await {}
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
    drop(connect(&tunnel, &[]).await.unwrap());
    timeout(PATIENCE, saw.recv()).await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1009() {
    let service = Service::start(|stream| async move { echo(accept(stream, "").await.1).await }).await;
    let tunnel = Tunnel::with(&service.target(), |_, gateway| gateway.ws_message_bytes_max = 1000).await;
    let (mut socket, _) = connect(&tunnel, &[]).await.unwrap();
    socket.send(Message::binary(vec![1; 1001])).await.unwrap();
    let Message::Close(Some(frame)) = next(&mut socket).await.unwrap().unwrap() else { panic!("no close") };
    assert_eq!(frame.code, CloseCode::Size);
}

#[tokio::test]
async fn a_stopping_gateway_closes_with_1012() {
    let service = Service::start(|stream| async move { echo(accept(stream, "").await.1).await }).await;
    let tunnel = Tunnel::with(&service.target(), |_, _| {}).await;
    let (mut socket, _) = connect(&tunnel, &[]).await.unwrap();
    tunnel.shutdown.cancel();
    let Message::Close(Some(frame)) = next(&mut socket).await.unwrap().unwrap() else { panic!("no close") };
    assert_eq!(frame.code, CloseCode::Restart);
    assert!(next(&mut socket).await.is_none());
    timeout(PATIENCE, tunnel.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn silence_is_pinged_and_a_dead_service_given_up() {
    // Accepts and never reads again.
    let service = Service::start(|stream| async move {
        let (_, socket) = accept(stream, "").await;
        std::future::pending::<()>().await;
        drop(socket);
    })
    .await;
    let tunnel = Tunnel::with(&service.target(), |service, gateway| {
        service.ws_ping_interval = Duration::from_millis(50);
        service.ws_idle_timeout = Duration::from_millis(150);
        gateway.ws_ping_interval = Duration::from_millis(50);
        gateway.ws_idle_timeout = Duration::from_mins(1);
    })
    .await;
    let (mut socket, _) = connect(&tunnel, &[]).await.unwrap();
    // The gateway's pings come, and are answered by the library; then the close.
    let mut pinged = false;
    let code = loop {
        match next(&mut socket).await.unwrap().unwrap() {
            Message::Ping(_) => pinged = true,
            Message::Close(frame) => break frame.unwrap().code,
            other => panic!("{other}"),
        }
    };
    assert!(pinged);
    assert_eq!(code, CloseCode::Restart);
}

#[tokio::test]
async fn a_handshake_of_another_version_is_told_which_one_to_use() {
    let service = Service::echoing().await;
    let tunnel = Tunnel::with(&service.target(), |_, gateway| gateway.profile = Profile::Plain).await;
    let mut stream = tunnel.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 8\r\nsec-websocket-key: x\r\n\r\n")
        .await
        .unwrap();
    let answer = text(&read_head(&mut stream).await);
    drop(stream);
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert_eq!(field(&answer, "sec-websocket-version"), Some("13"));
}
