//! Pieces travel when they are made: nothing waits for the rest.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};
use tunnel_core::{Body, Response};

use crate::{
    backend::Backend,
    body::{arrives, by_hand, bytes, digest, pattern, pattern_hash, pattern_piece, pieces, text},
    pair::Pair,
    patience::soon,
    request::{get, post},
    service::{Once, Service, ok},
};

/// The service has a head and nothing more: a browser must not wait for the first byte.
pub async fn the_head_arrives_before_the_body<B: Backend>(backend: B) {
    let (sender, body) = by_hand();
    let body = Once::new(body);
    let pair = Pair::start(
        &backend,
        Service::http(move |_| {
            let body = body.take();
            async { Ok(Response::new(StatusCode::OK, body)) }
        }),
    )
    .await;
    let response = pair.answer(get("/")).await;
    sender.send(Ok(Bytes::from_static(b"late"))).await.unwrap();
    drop(sender);
    assert_eq!(text(response.body).await.unwrap(), "late");
}

/// Each event is made only after the one before it has arrived, so one that is held back stops everything.
pub async fn event_streams_are_not_held_back<B: Backend>(backend: B) {
    let (sender, body) = by_hand();
    let body = Once::new(body);
    let pair = Pair::start(
        &backend,
        Service::http(move |_| {
            let body = body.take();
            async { Ok(Response::new(StatusCode::OK, body)) }
        }),
    )
    .await;
    let mut response = pair.answer(get("/events")).await;
    for number in 0..100 {
        let event = format!("data: {number}\n\n");
        sender.send(Ok(Bytes::from(event.clone()))).await.unwrap();
        arrives(&mut response.body, event).await;
    }
    drop(sender);
    assert!(soon("the end", response.body.frame()).await.is_none());
}

/// The same for large pieces, which travel another way once there are many.
pub async fn large_pieces_are_not_held_back<B: Backend>(backend: B) {
    let (sender, body) = by_hand();
    let body = Once::new(body);
    let pair = Pair::start(
        &backend,
        Service::http(move |_| {
            let body = body.take();
            async { Ok(Response::new(StatusCode::OK, body)) }
        }),
    )
    .await;
    let mut response = pair.answer(get("/")).await;
    for number in 0..20 {
        let sent = pattern_piece(number * 40_000, 40_000);
        sender.send(Ok(sent.clone())).await.unwrap();
        arrives(&mut response.body, &sent).await;
    }
}

/// The same in the other direction.
pub async fn the_first_piece_of_an_upload_arrives_before_the_last_is_made<B: Backend>(backend: B) {
    let (tell, mut told) = mpsc::channel(1);
    let tell = Once::new(tell);
    let pair = Pair::start(
        &backend,
        Service::http(move |mut request| {
            let tell = tell.take();
            async move {
                while let Some(frame) = request.body.frame().await {
                    tell.send(frame?.into_data().unwrap()).await.ok();
                }
                Ok(ok("all"))
            }
        }),
    )
    .await;
    let (sender, body) = by_hand();
    let uploading = async {
        for number in 0..30 {
            let sent = Bytes::from(number.to_string());
            sender.send(Ok(sent.clone())).await.unwrap();
            let mut received = Vec::new();
            while received.len() < sent.len() {
                received.extend_from_slice(&soon("the piece", told.recv()).await.unwrap());
            }
            assert_eq!(received, sent);
        }
        drop(sender);
    };
    let (response, ()) = tokio::join!(pair.answer(post("/", body)), uploading);
    assert_eq!(text(response.body).await.unwrap(), "all");
}

/// A conversation within one exchange: every answer waits for its question.
pub async fn both_directions_take_turns_in_one_exchange<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let (sender, body) = by_hand();
    let mut response = pair.answer(post("/", body)).await;
    for number in 0..50 {
        let sent = Bytes::from(number.to_string());
        sender.send(Ok(sent.clone())).await.unwrap();
        arrives(&mut response.body, sent).await;
    }
    drop(sender);
    assert!(soon("the end", response.body.frame()).await.is_none());
}

/// The head and the first bytes come while the upload still runs, which then goes on to its end.
pub async fn a_response_may_begin_while_the_upload_streams<B: Backend>(backend: B) {
    let (got_all, all) = oneshot::channel();
    let got_all = Once::new(got_all);
    let pair = Pair::start(
        &backend,
        Service::http(move |request| {
            let got_all = got_all.take();
            async move {
                let upload = stream::once(async move {
                    got_all.send(digest(request.body).await.map(|read| read.bytes)).ok();
                    Ok(Bytes::from_static(b"done"))
                });
                let early = stream::iter([Ok(Bytes::from_static(b"early "))]);
                Ok(Response::new(StatusCode::OK, pieces(early.chain(upload))))
            }
        }),
    )
    .await;
    let (sender, upload) = by_hand();
    sender.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    let mut response = pair.answer(post("/", upload)).await;
    arrives(&mut response.body, "early ").await;
    sender.send(Ok(pattern_piece(0, 500_000))).await.unwrap();
    drop(sender);
    assert_eq!(soon("the upload", all).await.unwrap(), Ok(500_005));
    assert_eq!(text(response.body).await.unwrap(), "done");
}

/// The response is complete although the upload never ends; it is complete for the client, too.
pub async fn a_response_may_end_before_the_upload<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|mut request| async move {
            request.body.frame().await.expect("a piece")?;
            Ok(ok("enough"))
        }),
    )
    .await;
    let (sender, upload) = by_hand();
    sender.send(Ok(Bytes::from_static(b"enough"))).await.unwrap();
    let response = pair.answer(post("/", upload)).await;
    assert_eq!(bytes(response.body).await.unwrap(), "enough");
    soon("the end of the upload", sender.closed()).await;
}

/// Neither direction waits for the other to end.
pub async fn uploads_and_downloads_run_at_once<B: Backend>(backend: B) {
    const BYTES: usize = 16 << 20;
    let pair = Pair::start(&backend, Service::echo()).await;
    let response = pair.answer(post("/", pieces(pattern(BYTES, 1 << 16)))).await;
    let read = digest(response.body).await.unwrap();
    assert_eq!((read.bytes, read.hash), (BYTES, pattern_hash(BYTES)));
}

/// A body that is dropped unread on both sides is no obstacle for the next one.
pub async fn unread_bodies_leave_no_trace<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|_| async { Ok(Response::new(StatusCode::OK, pieces(pattern(500_000, 10_000)))) }),
    )
    .await;
    for _ in 0..50 {
        drop(pair.answer(post("/", Body::full(pattern_piece(0, 100_000)))).await);
    }
    let response = pair.answer(get("/")).await;
    assert_eq!(digest(response.body).await.unwrap().hash, pattern_hash(500_000));
}
