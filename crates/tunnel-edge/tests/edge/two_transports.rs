//! What the gateway says and does when there is a tunnel server beside the peer-to-peer way.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{SinkExt, StreamExt, channel::mpsc, future, sink, stream};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};
use tunnel_core::{
    Body, Failure, FailureKind, Health, PathKind, Request, RequestHead, Response, SendError, Transport, TransportKind,
    Via, WsMessage, WsOpen, WsSession, WsUpgrade,
};
use tunnel_edge::{AuthServer, GatewayConfig};

use crate::support::{PATIENCE, Tunnel, body, field};

const VIA: Via = Via { transport: TransportKind::Legacy, path: PathKind::Server, reason: Some("p2p-down") };

/// A transport that goes through a tunnel server, which breaks WebSockets in the way that their path names.
struct Server {
    client_id: Option<String>,
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let RequestHead::Http(parts) = &request.head else { unreachable!() };
        let mut headers = HeaderMap::new();
        headers.insert("x-tunnel-outcome", "made up".parse().unwrap());
        headers.insert("x-target", parts.uri.to_string().parse().unwrap());
        Ok(Response { headers, via: Some(VIA), ..Response::new(StatusCode::OK, Body::empty()) })
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let failure = match open.uri.path() {
            "/dies" => Failure::new(FailureKind::ConnectionLost, "the tunnel server has gone"),
            "/fails" => Failure::new(FailureKind::ServiceFailed, "the service broke off"),
            _ => Failure::new(FailureKind::Unsupported, "the tunnel carries no binary messages"),
        };
        let session = if open.uri.path() == "/unsupported" {
            let refuses = sink::drain().sink_map_err(|never| match never {}).with(move |message: WsMessage| {
                future::ready(if matches!(message, WsMessage::Text(_)) { Ok(message) } else { Err(failure.clone()) })
            });
            WsSession { sink: Box::pin(refuses), stream: Box::pin(stream::pending()) }
        } else {
            let (sink, _) = mpsc::channel(1);
            let sink = sink.sink_map_err(|_| Failure::new(FailureKind::ConnectionLost, "closed"));
            WsSession { sink: Box::pin(sink), stream: Box::pin(stream::iter([Err(failure)])) }
        };
        Ok(WsUpgrade::Accepted { headers: HeaderMap::new(), session, via: Some(VIA) })
    }

    fn health(&self) -> Health {
        Health::Healthy { path: PathKind::Server, client_id: self.client_id.clone() }
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

fn config(change: impl FnOnce(&mut GatewayConfig)) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.listen.set_port(0);
    change(&mut config);
    config
}

async fn tunnel(change: impl FnOnce(&mut GatewayConfig)) -> Tunnel {
    Tunnel::over(config(change), Arc::new(Server { client_id: None })).await
}

#[tokio::test]
async fn responses_and_health_name_the_transport_that_is_used() {
    let tunnel = tunnel(|_| {}).await;
    let answer = tunnel.get("/a?clientId=x", "").await;
    assert_eq!(field(&answer, "x-tunnel-transport"), Some("legacy"));
    assert_eq!(field(&answer, "x-tunnel-path"), Some("server"));
    assert_eq!(field(&answer, "x-tunnel-reason"), Some("p2p-down"));
    assert_eq!(field(&answer, "x-tunnel-outcome"), None, "only failures have one");
    let health: serde_json::Value = serde_json::from_str(body(&tunnel.get("/health", "").await)).unwrap();
    assert_eq!(health["healthy"], true);
    assert_eq!(health["transport"], "legacy");
    assert_eq!(health["path"], "server");
}

#[tokio::test]
async fn a_client_id_is_foreign_only_if_somebody_knows_better() {
    let unknown = tunnel(|_| {}).await;
    assert!(unknown.get("/a?clientId=other", "").await.starts_with("HTTP/1.1 200 "));
    assert!(unknown.get("/a", "").await.starts_with("HTTP/1.1 400 "));
    assert!(unknown.get("/a?clientId=a&clientId=a", "").await.starts_with("HTTP/1.1 400 "));
    let announced = Tunnel::over(config(|_| {}), Arc::new(Server { client_id: Some("mine".into()) })).await;
    assert!(announced.get("/a?clientId=other", "").await.starts_with("HTTP/1.1 424 "));
    let configured = tunnel(|config| config.client_id = Some("mine".into())).await;
    assert!(configured.get("/a?clientId=other", "").await.starts_with("HTTP/1.1 424 "));
    assert!(configured.get("/a", "").await.starts_with("HTTP/1.1 200 "));
}

/// Remembers what it was asked.
#[derive(Default)]
struct Tokens(Mutex<Vec<String>>);

#[async_trait]
impl AuthServer for Tokens {
    async fn pass(&self, request: Request) -> Result<Response, SendError> {
        let RequestHead::Http(parts) = request.head else { unreachable!() };
        let authorization = parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
        let forwarded = parts.headers.contains_key("x-forwarded-for");
        let body = request.body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let seen = format!("{} {} {authorization} {forwarded} {body}", parts.method, parts.uri);
        self.0.lock().unwrap().push(seen);
        if parts.uri.path() == "/auth/broken" {
            return Err(SendError::consumed(Failure::new(FailureKind::Unreachable, "no tunnel server")));
        }
        Ok(Response::new(StatusCode::CREATED, Body::full("{\"token\":\"t\"}")))
    }
}

#[tokio::test]
async fn what_is_about_tokens_passes_unaltered_to_the_tunnel_server() {
    let tokens = Arc::new(Tokens::default());
    let gateway = tunnel(|config| config.auth = Some(tokens.clone())).await;
    let request = "POST /auth/signature-token?clientId=c&signature=s HTTP/1.1\r\nhost: localhost\r\n\
                   connection: close\r\nauthorization: Bearer theirs\r\ncontent-length: 2\r\n\r\n{}";
    let answer = String::from_utf8(gateway.exchange(request.as_bytes()).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 ") && body(&answer) == "{\"token\":\"t\"}", "{answer}");
    assert!(gateway.get("/auth/magic-token?magicToken=m", "").await.starts_with("HTTP/1.1 201 "));
    let broken = gateway.get("/auth/broken", "").await;
    assert!(broken.starts_with("HTTP/1.1 502 "), "{broken}");
    assert_eq!(field(&broken, "x-tunnel-outcome"), Some("not-executed"));
    assert_eq!(
        *tokens.0.lock().unwrap(),
        [
            "POST /auth/signature-token?clientId=c&signature=s Bearer theirs false {}",
            "GET /auth/magic-token?magicToken=m  false ",
            "GET /auth/broken  false "
        ]
    );
    // Everything else goes its usual way.
    assert_eq!(field(&gateway.get("/authors?clientId=c", "").await, "x-target"), Some("/authors?clientId=c"));
}

#[tokio::test]
async fn the_token_of_the_gateway_is_asked_for_there_too() {
    let tokens = Arc::new(Tokens::default());
    let gateway = tunnel(|config| {
        config.auth = Some(tokens.clone());
        config.access_token = Some("secret".into());
    })
    .await;
    assert!(gateway.get("/auth/magic-token?magicToken=m", "").await.starts_with("HTTP/1.1 401 "));
    assert!(tokens.0.lock().unwrap().is_empty());
    let token = "x-tunnel-access-token: secret\r\nauthorization: Bearer theirs\r\n";
    assert!(gateway.get("/auth/x?signature=s", token).await.starts_with("HTTP/1.1 201 "));
    assert_eq!(*tokens.0.lock().unwrap(), ["GET /auth/x?signature=s Bearer theirs false "]);
}

#[tokio::test]
async fn without_a_tunnel_server_tokens_are_not_found_and_magic_tokens_are_the_home_servers() {
    let gateway = tunnel(|_| {}).await;
    for path in ["register-client", "signature-token", "validate-signature-token", "magic-token"] {
        let request = format!(
            "POST /auth/{path}?clientId=c HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = String::from_utf8(gateway.exchange(request.as_bytes()).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("--tunnel"), "{answer}");
        assert_eq!(field(&answer, "x-tunnel-outcome"), Some("not-executed"));
    }
    let answer = gateway.get("/auth/magic-token?clientId=c&magicToken=m", "").await;
    assert_eq!(field(&answer, "x-target"), Some("/auth/magic-token?clientId=c&magicToken=m"));
}

async fn open(
    tunnel: &Tunnel,
    path: &str,
) -> (WebSocketStream<tokio::net::TcpStream>, http::Response<Option<Vec<u8>>>) {
    let url = format!("ws://{}{path}?clientId=c", tunnel.address);
    timeout(PATIENCE, client_async(url, tunnel.connect().await)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_web_socket_says_how_it_travels_and_why_it_ends() {
    let gateway = tunnel(|_| {}).await;
    let close = |message: Message| match message {
        Message::Close(Some(CloseFrame { code, reason })) => (u16::from(code), reason.to_string()),
        other => panic!("{other}"),
    };

    let (mut socket, response) = open(&gateway, "/dies").await;
    for (name, value) in [("transport", "legacy"), ("path", "server"), ("reason", "p2p-down")] {
        assert_eq!(response.headers()[format!("x-tunnel-{name}")], value);
    }
    let end = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(close(end), (1012, "the tunnel server has gone".to_owned()));

    let (mut socket, _) = open(&gateway, "/fails").await;
    assert!(timeout(PATIENCE, socket.next()).await.unwrap().unwrap().is_err(), "the service gave no close");

    let (mut socket, _) = open(&gateway, "/unsupported").await;
    socket.send(Message::text("fine")).await.unwrap();
    socket.send(Message::binary(vec![1])).await.unwrap();
    let end = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(close(end), (1003, "the tunnel carries no binary messages".to_owned()));
}

#[tokio::test]
async fn nothing_is_said_about_the_way_when_the_headers_are_off() {
    let gateway = tunnel(|config| config.tunnel_headers = false).await;
    let answer = gateway.get("/a?clientId=c", "").await;
    assert_eq!(field(&answer, "x-tunnel-transport"), None, "{answer}");
    assert_eq!(field(&answer, "x-tunnel-outcome"), Some("made up"), "it is the service's own: {answer}");
    assert_eq!(field(&gateway.get("/a", "").await, "x-tunnel-outcome"), None);
    let (_, response) = open(&gateway, "/dies").await;
    assert!(!response.headers().keys().any(|name| name.as_str().starts_with("x-tunnel-")));
}
