//! Tunnel servers made by hand.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinSet,
};
use tunnel_core::{Body, Request};
use tunnel_legacy::{LegacyClient, LegacyConfig};

/// What a server has seen: one text for each request.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// Opens connections to a server that is a function of one connection.
pub(crate) fn connector<F>(
    serve: impl Fn(DuplexStream) -> F + Send + Sync + 'static,
) -> impl Fn() -> std::future::Ready<io::Result<DuplexStream>> + Send + Sync + 'static
where
    F: Future<Output = ()> + Send + 'static,
{
    let connections = Mutex::new(JoinSet::new());
    move || {
        let (near, far) = tokio::io::duplex(1 << 20);
        connections.lock().unwrap().spawn(serve(far));
        std::future::ready(Ok(near))
    }
}

/// A server that gives every request the same answer, and notes the requests. It keeps the connection.
pub(crate) fn answering(
    answer: impl Into<Vec<u8>>,
) -> (Seen, impl Fn() -> std::future::Ready<io::Result<DuplexStream>> + Send + Sync + 'static) {
    let seen = Seen::default();
    let (noted, answer) = (Arc::clone(&seen), answer.into());
    let connector = connector(move |mut stream| {
        let (noted, answer) = (Arc::clone(&noted), answer.clone());
        async move {
            while let Some(request) = read_request(&mut stream).await {
                noted.lock().unwrap().push(request);
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        }
    });
    (seen, connector)
}

/// Head and body of the next request; `None` when the client has gone.
pub(crate) async fn read_request(stream: &mut DuplexStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(request).unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

pub(crate) fn config() -> LegacyConfig {
    let mut config = LegacyConfig::new("http://tunnel.example".parse().unwrap());
    config.client_id = Some("home".to_owned());
    config.token = Some("secret".to_owned());
    config
}

pub(crate) fn client(
    connect: impl Fn() -> std::future::Ready<io::Result<DuplexStream>> + Send + Sync + 'static,
) -> LegacyClient {
    LegacyClient::with_connector(config(), connect).unwrap()
}

pub(crate) fn get(target: &str) -> Request {
    Request::http(1, http::Request::get(target).body(()).unwrap().into_parts().0, Body::empty())
}

pub(crate) fn post(target: &str, body: Body) -> Request {
    Request::http(1, http::Request::post(target).body(()).unwrap().into_parts().0, body)
}

pub(crate) async fn bytes(body: Body) -> Vec<u8> {
    body.collect().await.unwrap().to_bytes().to_vec()
}
