//! The server between this crate's own client and host.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc as pipe};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, RequestHead, Response, Transport, WsMessage, WsOpen, WsSession,
    WsUpgrade,
};
use tunnel_legacy::{AuthClient, LegacyClient, LegacyConfig, LegacyHost, LegacyHostConfig, LegacyHostState, TunnelUrl};

use crate::support::{ACCESS_TOKEN, Server};

const LONG: usize = 20 * 1024 * 1024;

/// Answers with what it was asked.
struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let path = match &request.head {
            RequestHead::Http(parts) => parts.uri.path().to_owned(),
            RequestHead::Tunnel(request) => format!("/{}", request.path),
        };
        match path.as_str() {
            "/long" => {
                let piece = Bytes::from(vec![7; 1024 * 1024]);
                let pieces = futures::stream::iter((0..20).map(move |_| Ok(Frame::data(piece.clone()))));
                Ok(Response::new(StatusCode::OK, Body::stream(StreamBody::new(pieces))))
            }
            "/broken" => {
                let pieces = [Ok(Frame::data("a".into())), Err(Failure::new(FailureKind::ServiceFailed, "broken"))];
                Ok(Response::new(StatusCode::OK, Body::stream(StreamBody::new(futures::stream::iter(pieces)))))
            }
            "/failed" => Err(Failure::new(FailureKind::ServiceTimeout, "the service is slow")),
            path => Ok(Response::new(StatusCode::ACCEPTED, Body::full(path.to_owned()))),
        }
    }

    async fn ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        let (sink, stream) = pipe::channel(8);
        let sink = sink.sink_map_err(|_| Failure::new(FailureKind::Internal, "gone"));
        let session = WsSession { sink: Box::pin(sink), stream: Box::pin(stream.map(Ok)) };
        Ok(WsUpgrade::Accepted { headers: HeaderMap::new(), session, via: None })
    }
}

async fn connect(server: &Server, extensions: bool) -> (LegacyHost, LegacyClient) {
    let url: TunnelUrl = format!("http://{}", server.addr).parse().unwrap();
    let auth = AuthClient::new(url.clone()).unwrap();
    let token = auth.register("home 1", ACCESS_TOKEN).await.unwrap();
    let signature = auth.signature_token("home 1", &token).await.unwrap();
    let mut config = LegacyHostConfig::new(url.clone(), "home 1", &token);
    config.extensions = extensions;
    let host = LegacyHost::start(config, Arc::new(Echo)).unwrap();
    let mut state = host.state();
    while !matches!(state, LegacyHostState::Connected { extended, .. } if extended == extensions) {
        state = host.changed_from(&state).await;
    }
    let mut config = LegacyConfig::new(url);
    config.client_id = Some("home 1".to_owned());
    (config.token, config.signature) = (Some(token), Some(signature));
    (host, LegacyClient::new(config).unwrap())
}

async fn ask(client: &LegacyClient, target: &str) -> Result<Response, FailureKind> {
    let (parts, ()) = http::Request::get(target).body(()).unwrap().into_parts();
    let sent = client.send(Request::http(1, parts, Body::empty())).await;
    sent.map_err(|error| error.failure().kind())
}

#[tokio::test]
async fn requests_travel_from_our_client_to_our_host() {
    for extensions in [false, true] {
        let server = Server::mended().await;
        let (host, client) = connect(&server, extensions).await;
        let response = ask(&client, "/a/b?x=1").await.unwrap();
        assert_eq!(response.status, StatusCode::ACCEPTED);
        assert_eq!(response.body.collect().await.unwrap().to_bytes(), "/a/b");
        let long = ask(&client, "/long").await.unwrap().body.collect().await.unwrap().to_bytes();
        assert_eq!((long.len(), long.iter().all(|byte| *byte == 7)), (LONG, true));
        if extensions {
            // Otherwise a host has no word for it.
            let broken = ask(&client, "/broken").await.unwrap();
            assert!(broken.body.collect().await.is_err());
        }
        assert_eq!(ask(&client, "/failed").await.unwrap_err(), FailureKind::ServiceTimeout);
        client.probe().await.unwrap();
        assert!(host.drain(Duration::from_secs(5)).await);
        server.until(|counted| counted.hosts == 0).await;
        let gone = ask(&client, "/a").await;
        assert!(gone.is_err_and(|kind| kind == FailureKind::Unreachable));
        assert_eq!(server.statistics.buffered_bytes(), 0);
    }
}

#[tokio::test]
async fn websockets_travel_from_our_client_to_our_host() {
    let server = Server::mended().await;
    let (_host, client) = connect(&server, true).await;
    let open = WsOpen { id: 1, uri: "/ws".parse().unwrap(), headers: HeaderMap::new() };
    let WsUpgrade::Accepted { mut session, .. } = client.open_ws(open).await.unwrap() else { panic!("refused") };
    for n in 0..10 {
        let text = json!({"type": "ECHO", "n": n}).to_string();
        session.sink.send(WsMessage::Text(text.clone().into())).await.unwrap();
        let echoed = loop {
            match session.stream.next().await.unwrap().unwrap() {
                WsMessage::Ping(_) | WsMessage::Pong(_) => {}
                message => break message,
            }
        };
        let WsMessage::Text(echoed) = echoed else { panic!("{echoed:?}") };
        let (sent, echoed): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&text).unwrap(), serde_json::from_slice(&echoed).unwrap());
        assert_eq!(sent, echoed);
    }
    drop(session);
    server.until(|counted| counted.ws_clients == 0).await;
}
