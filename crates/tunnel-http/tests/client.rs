//! What the client does with requests that never left.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tunnel_core::{Body, FailureKind};
use tunnel_http::{HttpClient, HttpClientConfig, HttpPeer, WsLimits};

fn config() -> HttpClientConfig {
    HttpClientConfig {
        peer: HttpPeer {
            name: "the server".to_owned(),
            unreachable: FailureKind::Unreachable,
            silent: FailureKind::Timeout,
            broke_off: FailureKind::ConnectionLost,
        },
        connect_timeout: Duration::from_secs(5),
        head_timeout: Duration::from_secs(2),
        body_idle_timeout: Duration::from_mins(1),
        pool_idle_max: 4,
        pool_idle_timeout: Duration::from_secs(30),
        keep_after_bodiless: true,
        header_bytes_max: 8192,
        ws: WsLimits {
            message_bytes_max: 1024,
            ping_interval: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
        },
    }
}

/// A client that may open so many connections, and their far ends.
fn client(dials: usize) -> (HttpClient, mpsc::Receiver<DuplexStream>) {
    let (far_ends, receiver) = mpsc::channel(8);
    let left = Arc::new(AtomicUsize::new(dials));
    let client = HttpClient::new(config(), move || {
        let (far_ends, left) = (far_ends.clone(), Arc::clone(&left));
        async move {
            if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            let (near, far) = tokio::io::duplex(1024);
            far_ends.send(far).await.map_err(io::Error::other)?;
            Ok(near)
        }
    });
    (client, receiver)
}

fn post() -> (http::request::Parts, Body) {
    let (parts, ()) = http::Request::post("/").header("host", "a").body(()).unwrap().into_parts();
    (parts, Body::full("once"))
}

#[tokio::test(start_paused = true)]
async fn hands_the_request_back_when_it_cannot_connect() {
    let (client, _far_ends) = client(0);
    let (parts, body) = post();
    let (failure, unsent) = client.send(parts, body).await.unwrap_err().into_parts();
    assert_eq!(failure.kind(), FailureKind::Unreachable);
    let (parts, body) = unsent.expect("it was never sent");
    assert_eq!(parts.method, http::Method::POST);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "once");
}

#[tokio::test(start_paused = true)]
async fn hands_the_request_back_when_a_kept_connection_is_dead_and_no_other_comes() {
    let (client, mut far_ends) = client(1);
    let (parts, body) = post();
    let (response, far) = tokio::join!(client.send(parts, body), async {
        let mut far = far_ends.recv().await.unwrap();
        let mut request = [0; 128];
        assert!(far.read(&mut request).await.unwrap() > 0);
        far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        far
    });
    assert_eq!(response.unwrap().status, 204);
    drop(far);
    let (parts, body) = post();
    let (_, unsent) = client.send(parts, body).await.unwrap_err().into_parts();
    assert_eq!(unsent.expect("it was never sent").1.as_bytes().unwrap(), "once");
}

#[tokio::test(start_paused = true)]
async fn keeps_a_request_that_the_server_may_have_seen() {
    let (client, mut far_ends) = client(2);
    let (parts, body) = post();
    let (answer, ()) = tokio::join!(client.send(parts, body), async {
        let mut far = far_ends.recv().await.unwrap();
        let mut request = [0; 128];
        assert!(far.read(&mut request).await.unwrap() > 0);
    });
    let (failure, unsent) = answer.unwrap_err().into_parts();
    assert_eq!(failure.kind(), FailureKind::ConnectionLost);
    assert!(unsent.is_none());

    let (parts, body) = post();
    let (answer, _silent) = tokio::join!(client.send(parts, body), far_ends.recv());
    let (failure, unsent) = answer.unwrap_err().into_parts();
    assert_eq!(failure.kind(), FailureKind::Timeout);
    assert_eq!(failure.message(), "the server did not answer for 2s");
    assert!(unsent.is_none());
}
