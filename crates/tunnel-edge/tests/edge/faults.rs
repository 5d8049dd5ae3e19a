//! What happens when one side breaks off, hangs or is not there.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_core::{Body, Failure, FailureKind, Health, Request, Response, SendError, Transport, WsOpen, WsUpgrade};
use tunnel_edge::{Gateway, GatewayConfig, GatewayError, Profile};

use crate::support::{
    PATIENCE, Service, Tunnel, field, healthy, read_head, read_to_end, read_until, text, wait_for_close,
};

#[tokio::test]
async fn names_a_service_that_is_not_running() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let tunnel = Tunnel::plain(&format!("http://{address}")).await;
    let answer = tunnel.get("/", "").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(field(&answer, "x-tunnel-reason"), Some("service-unreachable"));
    assert!(answer.contains(&address.to_string()), "{answer}");
}

#[tokio::test]
async fn a_service_that_does_not_answer_times_out_and_is_let_go() {
    let (gone, mut saw_close) = mpsc::channel(1);
    let service = Service::start(move |mut stream| {
        let gone = gone.clone();
        async move {
            wait_for_close(&mut stream).await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let tunnel = Tunnel::with(&service.target(), |service, gateway| {
        service.head_timeout = Duration::from_millis(100);
        gateway.profile = Profile::Plain;
    })
    .await;
    let answer = tunnel.get("/", "").await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert_eq!(field(&answer, "x-tunnel-reason"), Some("service-timeout"));
    timeout(PATIENCE, saw_close.recv()).await.unwrap();
}

#[tokio::test]
async fn a_slow_upload_is_not_the_services_fault() {
    let service = Service::echoing().await;
    let tunnel = Tunnel::with(&service.target(), |service, gateway| {
        service.head_timeout = Duration::from_millis(200);
        gateway.profile = Profile::Plain;
    })
    .await;
    let mut stream = tunnel.connect().await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n\r\na")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    stream.write_all(b"b").await.unwrap();
    let answer = text(&read_to_end(&mut stream).await);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_the_service_cuts_is_cut_for_the_app() {
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let service = Service::start(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n2\r\nok\r\n").as_bytes()).await.unwrap();
        })
        .await;
        let tunnel = Tunnel::plain(&service.target()).await;
        let answer = tunnel.get("/", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(head), "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_the_services_fault() {
    for answer in [&b"SSH-2.0-OpenSSH\r\n\r\n"[..], b""] {
        let service = Service::start(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        })
        .await;
        let tunnel = Tunnel::plain(&service.target()).await;
        let answer = tunnel.get("/", "").await;
        assert_eq!(field(&answer, "x-tunnel-reason"), Some("service-failed"), "{answer}");
        assert!(answer.contains(&service.address.to_string()), "{answer}");
    }
}

#[tokio::test]
async fn the_service_sees_an_app_leave_before_the_head_and_within_the_body() {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome"] {
        let (gone, mut saw_close) = mpsc::channel(1);
        let (asked, mut saw_request) = mpsc::channel(1);
        let service = Service::start(move |mut stream| {
            let (asked, gone) = (asked.clone(), gone.clone());
            async move {
                read_head(&mut stream).await;
                stream.write_all(answer).await.unwrap();
                asked.send(()).await.unwrap();
                wait_for_close(&mut stream).await;
                gone.send(()).await.unwrap();
            }
        })
        .await;
        let tunnel = Tunnel::plain(&service.target()).await;
        let mut stream = tunnel.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        timeout(PATIENCE, saw_request.recv()).await.unwrap();
        if !answer.is_empty() {
            read_until(&mut stream, "some").await;
        }
        drop(stream);
        timeout(PATIENCE, saw_close.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn an_upload_that_the_app_breaks_off_never_looks_complete() {
    let (ended, mut saw_end) = mpsc::channel(1);
    let service = Service::start(move |mut stream| {
        let ended = ended.clone();
        async move {
            read_head(&mut stream).await;
            ended.send(read_to_end(&mut stream).await).await.unwrap();
        }
    })
    .await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let mut stream = tunnel.connect().await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
        .await
        .unwrap();
    drop(stream);
    let seen = timeout(PATIENCE, saw_end.recv()).await.unwrap().unwrap();
    assert!(!text(&seen).ends_with("0\r\n\r\n"), "{}", text(&seen));
}

/// Fails each request in a way that its path names.
struct Failing;

#[async_trait]
impl Transport for Failing {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let tunnel_core::RequestHead::Http(parts) = &request.head else { unreachable!() };
        if parts.uri.path() == "/cut" {
            let cut = Failure::new(FailureKind::ConnectionLost, "lost");
            let frames = stream::iter([Ok(Frame::data(Bytes::from("some"))), Err(cut)]);
            return Ok(Response::new(StatusCode::OK, Body::stream(StreamBody::new(frames))));
        }
        if parts.uri.path() == "/large" {
            return Err(SendError::consumed(Failure::new(FailureKind::TooLarge, "too much")));
        }
        if parts.uri.path() == "/lost" {
            return Err(SendError::unknown(Failure::new(FailureKind::ConnectionLost, "it broke")));
        }
        Err(SendError::undelivered(Failure::new(FailureKind::ShuttingDown, "the host is stopping"), request))
    }

    async fn open_ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::Unreachable, "no connection"))
    }

    fn health(&self) -> Health {
        healthy(None)
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

fn plain() -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.listen.set_port(0);
    config.profile = Profile::Plain;
    config
}

#[tokio::test]
async fn a_failure_says_why_and_when_to_retry() {
    let tunnel = Tunnel::over(plain(), Arc::new(Failing)).await;
    let answer = tunnel.get("/", "").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(field(&answer, "retry-after"), Some("1"));
    assert_eq!(field(&answer, "x-tunnel-reason"), Some("shutting-down"));
    let text = "the host is stopping. The request was not carried out. Try again in a second.\n";
    assert!(answer.ends_with(text), "{answer}");

    let mut quiet = plain();
    quiet.tunnel_headers = false;
    let tunnel = Tunnel::over(quiet, Arc::new(Failing)).await;
    assert!(!tunnel.get("/", "").await.contains("x-tunnel-"));
}

#[tokio::test]
async fn a_failure_says_whether_the_request_was_carried_out() {
    let tunnel = Tunnel::over(plain(), Arc::new(Failing)).await;
    for (path, fields, outcome) in [
        ("/", "", "not-executed"),
        ("/lost", "", "unknown"),
        (
            "/ws",
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: x\r\n",
            "not-executed",
        ),
        ("http://evil.example/", "", "not-executed"),
    ] {
        let mut stream = tunnel.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = text(&read_head(&mut stream).await);
        assert_eq!(field(&answer, "x-tunnel-outcome"), Some(outcome), "{path}: {answer}");
    }
    let answer = tunnel.get("/lost", "").await;
    assert!(answer.contains("it broke. It is not known whether the request was carried out. "), "{answer}");
}

#[tokio::test]
async fn an_app_that_is_still_uploading_gets_the_early_answer() {
    let tunnel = Tunnel::over(plain(), Arc::new(Failing)).await;
    for _ in 0..20 {
        let mut stream = tunnel.connect().await;
        let head = format!("POST /large HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", 32 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        // An app that looks for an answer only when it has sent everything.
        stream.write_all(&vec![7; 32 << 20]).await.unwrap();
        let answer = text(&read_to_end(&mut stream).await);
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("too much"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_the_transport_loses_is_cut_over_http1_and_reset_over_http2() {
    let tunnel = Tunnel::over(plain(), Arc::new(Failing)).await;
    let answer = tunnel.get("/cut", "").await;
    assert!(answer.contains("some") && !answer.ends_with("0\r\n\r\n"), "{answer}");

    let io = TokioIo::new(tunnel.connect().await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let _driver =
        AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(async move { connection.await.is_ok() }));
    let request = hyper::Request::get(format!("http://{}/cut", tunnel.address)).body(Empty::<Bytes>::new()).unwrap();
    let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    assert!(timeout(PATIENCE, response.into_body().collect()).await.unwrap().is_err());
}

#[tokio::test]
async fn a_taken_port_is_named_together_with_the_flag() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = plain();
    config.listen = taken.local_addr().unwrap();
    let Err(error) = Gateway::bind(config.clone(), Arc::new(Failing)).await else { panic!("bound twice") };
    assert!(matches!(error, GatewayError::AddressInUse { .. }));
    let message = error.to_string();
    assert!(message.contains(&config.listen.to_string()) && message.contains("--listen"), "{message}");
}

#[tokio::test]
async fn the_end_waits_for_a_request_under_way_but_not_for_ever() {
    let (asked, mut saw_request) = mpsc::channel(2);
    let answer_now = CancellationToken::new();
    let go = answer_now.clone();
    let service = Service::start(move |mut stream| {
        let (asked, go) = (asked.clone(), go.clone());
        async move {
            let head = read_head(&mut stream).await;
            asked.send(()).await.unwrap();
            if text(&head).contains("/stuck") {
                wait_for_close(&mut stream).await;
            } else {
                go.cancelled().await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    })
    .await;
    let tunnel = Tunnel::with(&service.target(), |_, gateway| {
        gateway.profile = Profile::Plain;
        gateway.drain_timeout = Duration::from_secs(1);
    })
    .await;
    let (mut fine, mut stuck) = (tunnel.connect().await, tunnel.connect().await);
    fine.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    stuck.write_all(b"GET /stuck HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    saw_request.recv().await.unwrap();
    saw_request.recv().await.unwrap();
    tunnel.shutdown.cancel();
    answer_now.cancel();
    assert!(text(&read_to_end(&mut fine).await).ends_with("ok"));
    assert_eq!(text(&read_to_end(&mut stuck).await), "");
    timeout(PATIENCE, tunnel.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let mut config = plain();
    config.header_read_timeout = Duration::from_millis(100);
    let tunnel = Tunnel::over(config, Arc::new(Failing)).await;
    for start in ["", "P", "GET / HT"] {
        let mut stream = tunnel.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await;
    }
}
