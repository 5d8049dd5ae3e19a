//! Long bodies, slow readers, and bodies that break off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{sync::Notify, time::timeout};
use tunnel_core::{Body, Failure, FailureKind, Transport};
use tunnel_legacy::server::Behaviour;

use crate::support::{PATIENCE, Tunnel, behaviours, bytes, ok, path, request, service};

const PIECE_BYTES: usize = 50_000;

/// The piece with this number.
fn piece(number: usize) -> Bytes {
    vec![u8::try_from(number % 251).unwrap(); PIECE_BYTES].into()
}

fn pieces(count: usize) -> impl futures::Stream<Item = Result<Frame<Bytes>, Failure>> {
    stream::iter((0..count).map(|number| Ok(Frame::data(piece(number)))))
}

#[tokio::test]
async fn long_bodies_arrive_whole_with_and_without_a_length() {
    const PIECES: usize = 300;
    for behaviour in behaviours() {
        let handler = service(|request| async move {
            let mut response = ok(Body::stream(StreamBody::new(pieces(PIECES))));
            if path(request) == "length" {
                response.headers.insert("content-length", (PIECES * PIECE_BYTES).into());
            }
            Ok(response)
        });
        let tunnel = Tunnel::new(behaviour, handler).await;
        for target in ["/length", "/chunked"] {
            let response = tunnel.client.send(request("GET", target, "")).await.unwrap();
            let length = response.headers.get("content-length").map(|length| length.to_str().unwrap().parse().unwrap());
            assert_eq!(length, (target == "/length").then_some(PIECES * PIECE_BYTES));
            let body = bytes(response.body).await;
            assert_eq!(body.len(), PIECES * PIECE_BYTES);
            assert!(body.chunks(PIECE_BYTES).enumerate().all(|(number, chunk)| chunk == piece(number)));
        }
    }
}

/// A body of which `count` pieces exist, a counter of those that were taken, and a bell for its end.
fn watched(count: usize) -> (Body, Arc<AtomicUsize>, Arc<Notify>) {
    struct Bell(Arc<Notify>);
    impl Drop for Bell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (taken, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counter, bell) = (Arc::clone(&taken), Bell(Arc::clone(&dropped)));
    let pieces = stream::iter(0..count).map(move |number| {
        let _held = &bell;
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Frame::data(piece(number)))
    });
    (Body::stream(StreamBody::new(pieces)), taken, dropped)
}

#[tokio::test]
async fn a_slow_reader_slows_its_own_response_and_no_other() {
    let (body, taken, _) = watched(1500);
    let body = std::sync::Mutex::new(Some(body));
    let handler = service(move |request| {
        let long = (path(request) == "long").then(|| body.lock().unwrap().take().unwrap());
        async move { Ok(ok(long.unwrap_or_else(|| Body::full("short")))) }
    });
    let tunnel = Tunnel::new(Behaviour::mended(), handler).await;
    let mut response = tunnel.client.send(request("GET", "/long", "")).await.unwrap();
    response.body.frame().await.unwrap().unwrap();
    // 75 MB are there, and nobody reads: others still get their answers.
    for _ in 0..50 {
        let short = timeout(PATIENCE, tunnel.client.send(request("GET", "/short", ""))).await.unwrap().unwrap();
        assert_eq!(bytes(short.body).await, b"short");
    }
    // The window has 32 packets, and the sockets between client and server hold a few megabytes.
    let held = taken.load(Ordering::Relaxed);
    assert!(held < 600, "{held} pieces of 50 kB were taken for a reader that does not read");
    let rest = bytes(response.body).await;
    assert!(rest.len() >= 1499 * PIECE_BYTES);
}

#[tokio::test]
async fn a_reader_that_leaves_stops_the_service_at_once() {
    let (body, _, dropped) = watched(usize::MAX);
    let body = std::sync::Mutex::new(Some(body));
    let handler = service(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok(ok(body)) }
    });
    let tunnel = Tunnel::new(Behaviour::mended(), handler).await;
    let mut response = tunnel.client.send(request("GET", "/", "")).await.unwrap();
    response.body.frame().await.unwrap().unwrap();
    drop(response);
    timeout(PATIENCE, dropped.notified()).await.expect("the service was not told");
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_stops_the_service() {
    struct Bell(Arc<Notify>);
    impl Drop for Bell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, bell) = (Arc::clone(&begun), Arc::clone(&dropped));
    let handler = service(move |_| {
        let bell = Bell(Arc::clone(&bell));
        tell.notify_one();
        async move {
            let _bell = bell;
            std::future::pending().await
        }
    });
    let tunnel = Tunnel::new(Behaviour::mended(), handler).await;
    tokio::select! {
        biased;
        _ = tunnel.client.send(request("GET", "/", "")) => panic!("answered"),
        () = begun.notified() => {}
    }
    timeout(PATIENCE, dropped.notified()).await.expect("the service was not told");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_seen_to() {
    let handler = || {
        service(|request| async move {
            let broken = Failure::new(FailureKind::ServiceFailed, "it broke off");
            let mut response = ok(Body::stream(StreamBody::new(pieces(3).chain(stream::iter([Err(broken)])))));
            if path(request) == "length" {
                response.headers.insert("content-length", 1_000_000.into());
            }
            Ok(response)
        })
    };
    // Without the additions only a length shows it.
    for (behaviour, target) in
        [(Behaviour::mended(), "/length"), (Behaviour::mended(), "/chunked"), (Behaviour::faithful(), "/length")]
    {
        let tunnel = Tunnel::new(behaviour, handler()).await;
        let response = tunnel.client.send(request("GET", target, "")).await;
        let failure = match response {
            Ok(response) => timeout(PATIENCE, response.body.collect()).await.expect("it hangs").unwrap_err(),
            // The published server may throw the head away with the rest.
            Err(error) => error.failure().clone(),
        };
        assert_eq!(failure.kind(), FailureKind::ConnectionLost, "{target}");
    }
}

#[tokio::test]
async fn without_the_additions_a_body_without_a_length_that_breaks_off_stands_still_until_it_is_given_up() {
    let handler = service(|_| async move {
        let broken = Failure::new(FailureKind::ServiceFailed, "it broke off");
        Ok(ok(Body::stream(StreamBody::new(pieces(3).chain(stream::iter([Err(broken)]))))))
    });
    let tunnel = Tunnel::new(Behaviour::faithful(), handler).await;
    let mut config = tunnel.config.clone();
    config.body_idle_timeout = Duration::from_millis(300);
    let client = tunnel_legacy::LegacyClient::new(config).unwrap();
    let response = client.send(request("GET", "/", "")).await.unwrap();
    let failure = timeout(PATIENCE, response.body.collect()).await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Timeout);
}
