//! A small reverse proxy that damages what passes.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What the proxy does to a request head, or to a whole response.
#[derive(Debug)]
pub(crate) enum Passing<'a> {
    Request(&'a mut http::request::Parts),
    Response(&'a mut Response<Bytes>),
}

/// Starts a proxy in front of `origin`, until the set is dropped. It reads every body whole before it passes it on.
pub(crate) async fn start(tasks: &mut JoinSet<()>, origin: SocketAddr, damage: fn(Passing<'_>)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service =
                service_fn(move |request| async move { Ok::<_, Infallible>(pass(origin, damage, request).await) });
            let connection = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            connections.spawn(async move { drop(connection.await) });
        }
    });
    address
}

/// Starts a relay of bytes that forgets that a 204 has no body, as chunked writers do.
pub(crate) async fn start_with_stray_bytes(tasks: &mut JoinSet<()>, origin: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut app, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut service = TcpStream::connect(origin).await.expect("the service listens");
                let (mut app_reads, mut app_writes) = app.split();
                let (mut service_reads, mut service_writes) = service.split();
                let down = async {
                    let mut buffer = [0; 16 << 10];
                    while let Ok(length @ 1..) = service_reads.read(&mut buffer).await {
                        app_writes.write_all(&buffer[..length]).await?;
                        if buffer.starts_with(b"HTTP/1.1 204") {
                            app_writes.write_all(b"0\r\n\r\n").await?;
                        }
                    }
                    Ok::<_, std::io::Error>(())
                };
                tokio::select! {
                    _ = down => {}
                    _ = tokio::io::copy(&mut app_reads, &mut service_writes) => {}
                }
            });
        }
    });
    address
}

async fn pass(origin: SocketAddr, damage: fn(Passing<'_>), request: Request<Incoming>) -> Response<Full<Bytes>> {
    let asked = async {
        let (mut parts, body) = request.into_parts();
        damage(Passing::Request(&mut parts));
        let body = Full::new(body.collect().await.ok()?.to_bytes());
        let (mut sender, connection) =
            client::conn::http1::handshake(TokioIo::new(TcpStream::connect(origin).await.ok()?)).await.ok()?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { connection.await.is_ok() });
        let (parts, body) = sender.send_request(Request::from_parts(parts, body)).await.ok()?.into_parts();
        let mut response = Response::from_parts(parts, body.collect().await.ok()?.to_bytes());
        damage(Passing::Response(&mut response));
        Some(response.map(Full::new))
    };
    asked.await.unwrap_or_else(|| with_status(StatusCode::BAD_GATEWAY, "the origin broke off").map(Full::new))
}

fn with_status(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    response
}

/// Nothing is damaged.
pub(crate) fn honest(_: Passing<'_>) {}

pub(crate) fn hide_about(passing: Passing<'_>) {
    if let Passing::Response(response) = passing {
        *response = with_status(StatusCode::NOT_FOUND, "no such page");
    }
}

pub(crate) fn refuse(passing: Passing<'_>) {
    if let Passing::Response(response) = passing {
        *response = with_status(StatusCode::FAILED_DEPENDENCY, "Client with ID is not connected");
    }
}

pub(crate) fn ignore_ranges(passing: Passing<'_>) {
    if let Passing::Request(parts) = passing {
        parts.headers.remove("range");
    }
}

pub(crate) fn flip_a_bit(passing: Passing<'_>) {
    if let Passing::Response(response) = passing
        && response.body().len() == 65_537
    {
        let mut body = response.body().to_vec();
        body[65_536] ^= 1;
        *response.body_mut() = body.into();
    }
}

pub(crate) fn lose_the_last_byte(passing: Passing<'_>) {
    if let Passing::Response(response) = passing
        && response.body().len() == 65_536
    {
        response.body_mut().truncate(65_535);
        response.headers_mut().insert("content-length", HeaderValue::from_static("65535"));
    }
}

pub(crate) fn keep_one_cookie(passing: Passing<'_>) {
    if let Passing::Response(response) = passing
        && let Some(cookie) = response.headers().get_all("set-cookie").iter().next_back().cloned()
    {
        response.headers_mut().insert("set-cookie", cookie);
    }
}

pub(crate) fn decode_the_query(passing: Passing<'_>) {
    if let Passing::Request(parts) = passing {
        parts.uri = parts.uri.to_string().replace("%2B", "+").parse().expect("still a target");
    }
}

pub(crate) fn name_every_header_once(passing: Passing<'_>) {
    if let Passing::Request(parts) = passing {
        let mut last = HeaderMap::new();
        for (name, value) in &parts.headers {
            last.insert(name, value.clone());
        }
        parts.headers = last;
    }
}

pub(crate) fn hide_errors(passing: Passing<'_>) {
    if let Passing::Response(response) = passing
        && response.status().is_server_error()
    {
        *response.status_mut() = StatusCode::OK;
    }
}
