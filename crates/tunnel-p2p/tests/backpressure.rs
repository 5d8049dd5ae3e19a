//! A slow reader slows its own sender and nobody else.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use support::{Pair, Service, endless, get, ok, path, pieces, soon, text};
use tokio::time::sleep;
use tunnel_core::{Response, Transport};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_readers_hold_bounded_memory_and_delay_nobody() {
    let pulled: Vec<_> = (0..10).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let counters = pulled.clone();
    let pair = Pair::start(Service::http(move |request| {
        let counter = path(&request)[1..].parse::<usize>().ok().map(|index| Arc::clone(&counters[index]));
        async move {
            Ok(counter.map_or_else(
                || ok("ok"),
                |counter| Response::new(StatusCode::OK, pieces(endless(40_000, counter, None))),
            ))
        }
    }))
    .await;
    let mut stalled = Vec::new();
    for index in 0..10 {
        stalled.push(soon("a head", pair.client.send(get(&format!("/{index}")))).await.unwrap());
    }
    sleep(Duration::from_millis(300)).await;
    for _ in 0..200 {
        let response = soon("a small one", pair.client.send(get("/ok"))).await.unwrap();
        assert_eq!(text(response.body).await.unwrap(), "ok");
    }
    for counter in pulled {
        assert!(counter.load(Relaxed) < 8 << 20, "{} bytes were pulled", counter.load(Relaxed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_small_pieces_wait_without_harm_and_arrive_in_order() {
    const PIECES: u64 = 5000;
    let pulled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pulled);
    let pair = Pair::start(Service::http(move |_| {
        let counter = Arc::clone(&counter);
        async move {
            let numbers = stream::iter(0..PIECES).then(move |number| {
                counter.fetch_add(1, Relaxed);
                async move {
                    sleep(Duration::from_micros(200)).await;
                    Ok(Bytes::from(format!("{number:0100}")))
                }
            });
            Ok(Response::new(StatusCode::OK, pieces(numbers)))
        }
    }))
    .await;
    let response = pair.client.send(get("/")).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    assert!(pulled.load(Relaxed) < 2048, "{} pieces were pulled", pulled.load(Relaxed));
    let all = soon("the rest", response.body.collect()).await.unwrap().to_bytes();
    let expected: Vec<u8> = (0..PIECES).flat_map(|number| format!("{number:0100}").into_bytes()).collect();
    assert!(all == expected);
}
