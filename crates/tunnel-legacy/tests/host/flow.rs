//! Who slows whom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use tunnel_core::{Body, RequestHead, WsMessage, packet::decode};

use crate::support::{Server, endless, http, ok};

const PIECE: Bytes = Bytes::from_static(&[0; 60_000]);

#[tokio::test(start_paused = true)]
async fn a_response_stops_at_the_end_of_its_window_and_goes_on_when_it_opens() {
    let handler = http(|request| async move {
        let RequestHead::Tunnel(head) = request.head else { unreachable!() };
        Ok(ok(if head.path == "endless" { endless(PIECE) } else { Body::full("small") }))
    });
    let (mut server, _host) = Server::with_host(true, handler, |_| {});
    let mut end = server.host().await;
    end.ask(1, "endless").await;
    for id in 1..=32 {
        assert_eq!(end.packet().await.packet_id, id);
    }
    assert_eq!(end.hear_within(Duration::from_mins(1)).await, None);
    // Another response has a window of its own.
    end.ask(2, "small").await;
    assert_eq!(end.response(2).await.1, b"small");
    end.say(r#"{"type":"WINDOW","request_id":1,"packets":2}"#).await;
    for id in 33..=34 {
        assert_eq!(end.packet().await.packet_id, id);
    }
    assert_eq!(end.hear_within(Duration::from_mins(1)).await, None);
}

#[tokio::test(start_paused = true)]
async fn without_the_additions_there_is_no_window() {
    let handler = http(|_| async { Ok(ok(endless(PIECE))) });
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    assert!(end.request.contains("x-tunnel-extensions: flow\r\n"));
    end.ask(1, "endless").await;
    for id in 1..=200 {
        assert_eq!(end.packet().await.packet_id, id);
    }
}

#[tokio::test(start_paused = true)]
async fn responses_take_turns() {
    let handler = http(|request| async move {
        let RequestHead::Tunnel(head) = request.head else { unreachable!() };
        Ok(ok(if head.path == "endless" { endless(PIECE) } else { Body::full("small") }))
    });
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    for id in 1..=4 {
        end.ask(id, "endless").await;
    }
    let mut counts = [0_u32; 4];
    for _ in 0..400 {
        counts[usize::try_from(end.packet().await.request_id).unwrap() - 1] += 1;
    }
    assert!(counts.iter().all(|count| (80..=120).contains(count)), "{counts:?}");
    // What is on its way comes first (1 MiB in the socket, 8 in the queue), then it is the small one's turn.
    end.ask(9, "small").await;
    let before = {
        let mut before = 0;
        while end.packet().await.request_id != 9 {
            before += 1;
        }
        before
    };
    assert!(before <= 48, "{before} packets before a small response");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_server_that_does_not_read_slows_the_service() {
    let pulled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pulled);
    let handler = http(move |_| {
        let counted = Arc::clone(&counted);
        async move {
            let pieces = stream::repeat_with(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(Frame::data(PIECE))
            });
            Ok(ok(Body::stream(StreamBody::new(pieces))))
        }
    });
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.ask(1, "a").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let taken = pulled.load(Ordering::Relaxed);
    assert!(taken <= 32, "{taken} pieces of 60 kB were taken, more than socket and queue hold");
    for _ in 0..100 {
        let WsMessage::Binary(bytes) = end.hear().await else { panic!("no packet") };
        decode(bytes).unwrap();
    }
    assert!(pulled.load(Ordering::Relaxed) > taken);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_server_that_reads_nothing_for_long_is_given_up() {
    let handler = http(|_| async { Ok(ok(endless(PIECE))) });
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.ask(1, "a").await;
    // It hears of the host by pings, and the host of it: only nothing is taken.
    let start = tokio::time::Instant::now();
    let again = tokio::select! {
        biased;
        again = server.host() => again,
        () = async {
            loop {
                tokio::time::sleep(Duration::from_secs(4)).await;
                let ping = WsMessage::Ping(Bytes::from_static(b"alive"));
                if futures::SinkExt::send(&mut end.socket, ping).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        } => unreachable!(),
    };
    assert!((30..=32).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    drop(again);
}
