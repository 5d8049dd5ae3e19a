//! Bodies that are spread over several streams.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::BodyExt;
use p2p_provider::{P2PConnection, P2PProvider, ReadError, RecvStream, SendStream};
use tokio::time::sleep;
use tunnel_core::{Body, FailureKind, Request, Transport};

use super::{
    distant::Distant,
    pair::{Receiving, Sending, read_to_end},
    patience::{soon, until, waits},
    raw::{
        Answer, BULK, BULK_PART, CONTROL, DATA, END, HEAD, LARGE, MOVED, PONG, ROLE_BULK, ROLE_MAIN, RawStream, Scene,
        Size, WELCOME, encode, end, frame, head, hello, request,
    },
};
use crate::backend::PeerBackend;

/// The capability to read spread bodies.
const SPREAD: u64 = 1;

const PROTOCOL: Answer = Answer::Reset(FailureKind::Protocol);

pub async fn the_parts_of_a_body_are_read_in_turn_however_they_arrive<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, mut bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let mut stream = RawStream::unwritten(&main).await;
    let number = stream.send.id();
    let mut kept = vec![part(&bulk, number, 2, 3, frame(DATA, b"e")).await];
    kept.push(part(&bulk, number, 0, 3, [frame(DATA, b"c"), frame(DATA, b"f")].concat()).await);
    // What was sent before this is there now.
    bulk_control.ping(1).await;
    let bytes = [request("POST", "/", Size::Exact(7)), frame(DATA, b"ab"), frame(MOVED, [])].concat();
    stream.write(bytes).await;
    stream.expect(HEAD).await;
    assert_eq!(stream.expect(DATA).await, "ab");
    assert!(waits(&mut Box::pin(stream.frame())).await, "a part is missing");
    // Nobody reads a frame before its turn.
    kept.push(
        part(&bulk, number, 1, 3, [frame(0x80, b"skipped"), frame(DATA, b"d"), frame(DATA, b"g")].concat()).await,
    );
    let mut rest = Vec::new();
    while rest.len() < 5 {
        rest.extend_from_slice(&stream.expect(DATA).await);
    }
    assert_eq!(rest, b"cdefg");
    kept[0].write_chunks(&mut [end().into()]).await.unwrap();
    stream.expect(END).await;
    scene.others_still_work().await;
}

pub async fn parts_that_break_the_rules_end_the_body_in_an_error<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, _bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let data = frame(DATA, b"abc");
    let both = [data.clone(), end()].concat();
    for (name, parts) in [
        ("the same part twice", &[(0, 2, &data[..]), (0, 2, &data[..])][..]),
        ("parts of different counts", &[(0, 2, &data), (1, 3, &data)]),
        ("a whole body beside a part", &[(1, 2, &data), (0, 1, &data)]),
        ("a whole body twice", &[(0, 1, &data), (0, 1, &data)]),
        ("an end out of turn", &[(0, 2, &both), (1, 2, &[])]),
        ("an end before its turn", &[(0, 3, &data), (1, 3, &[]), (2, 3, &end())]),
        ("longer than declared", &[(0, 2, &data), (1, 2, &data)]),
        ("shorter than declared", &[(0, 2, &frame(DATA, b"ab")), (1, 2, &end())]),
        ("a head on a part", &[(0, 2, &data), (1, 2, &head("GET", "/", Size::None))]),
        ("moved once more", &[(0, 2, &data), (1, 2, &frame(MOVED, []))]),
        ("no end", &[(0, 2, &data), (1, 2, &[])]),
        ("half a frame", &[(0, 2, &data), (1, 2, &data[..6])]),
    ] {
        let mut stream = RawStream::unwritten(&main).await;
        let mut kept = Vec::new();
        for &(index, count, frames) in parts {
            let mut part = part(&bulk, stream.send.id(), index, count, frames.to_vec()).await;
            part.finish();
            kept.push(part);
        }
        stream.write([request("POST", "/", Size::Exact(3)), frame(MOVED, [])].concat()).await;
        assert_eq!(stream.answer().await, PROTOCOL, "{name}");
        assert_eq!((main.close_reason(), bulk.close_reason()), (None, None), "{name}");
    }
    scene.others_still_work().await;
}

pub async fn all_parts_of_a_body_are_stopped_when_it_fails<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, _bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let mut stream = RawStream::open(&main, [request("POST", "/", Size::Exact(3)), frame(MOVED, [])].concat()).await;
    let number = stream.send.id();
    let first = part(&bulk, number, 0, 2, frame(DATA, b"a")).await;
    let mut second = part(&bulk, number, 1, 2, vec![]).await;
    stream.expect(HEAD).await;
    assert_eq!(stream.expect(DATA).await, "a");
    let late = part(&bulk, number, 1, 2, frame(DATA, b"late")).await;
    assert_eq!(soon(late.stopped()).await, Some(0), "the body has all its parts");
    second.write_chunks(&mut [frame(DATA, b"bcd").into()]).await.unwrap();
    let error = loop {
        match soon(stream.frame()).await {
            Ok(frame) => assert!(frame.is_some(), "an end in place of an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, ReadError::Reset(FailureKind::Protocol.code().into()));
    for part in [first, second] {
        assert_eq!(soon(part.stopped()).await, Some(FailureKind::Protocol.code().into()));
    }
    scene.others_still_work().await;
}

pub async fn a_reset_of_a_spread_body_may_overtake_its_parts<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, _bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    for whole in [false, true] {
        let bytes = [request("POST", "/", Size::Unknown), frame(DATA, b"ab"), frame(MOVED, [])].concat();
        let mut stream = RawStream::open(&main, bytes).await;
        let number = stream.send.id();
        stream.expect(HEAD).await;
        assert_eq!(stream.expect(DATA).await, "ab");
        let mut first = part(&bulk, number, 0, 2, frame(DATA, b"c")).await;
        let mut second = soon(bulk.open_uni()).await.unwrap();
        if whole {
            second.write_chunks(&mut [preface(number, 1, 2).into()]).await.unwrap();
            assert_eq!(stream.expect(DATA).await, "c");
        }
        for stream in [&mut stream.send, &mut first, &mut second] {
            stream.reset(FailureKind::Timeout.code().into());
        }
        assert_eq!(stream.answer().await, Answer::Reset(FailureKind::Timeout), "with all parts: {whole}");
    }
    scene.others_still_work().await;
}

pub async fn a_body_whose_part_never_comes_ends_in_an_error<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, mut control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, mut bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let mut stream = RawStream::open(&main, [request("POST", "/", Size::Unknown), frame(MOVED, [])].concat()).await;
    let number = stream.send.id();
    let mut kept = vec![part(&bulk, number, 0, 2, frame(DATA, b"a")).await];
    // None of these is the other one.
    for (index, count) in [(2, 2), (0, 0), (0, 9), (200, 255)] {
        let wrong = part(&bulk, number, index, count, frame(DATA, b"b")).await;
        assert_eq!(soon(wrong.stopped()).await, Some(0));
    }
    kept.push(part(&bulk, number + 400, 1, 2, frame(DATA, b"b")).await);
    // The host waits as long for it as for a sign of life.
    let life = async {
        loop {
            for control in [&mut control, &mut bulk_control] {
                control.write(frame(PONG, encode((0_u64,)))).await;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        biased;
        answer = stream.answer() => assert_eq!(answer, PROTOCOL),
        () = life => {}
    }
    assert_eq!(soon(kept[0].stopped()).await, Some(0));
    scene.others_still_work().await;
}

pub async fn a_host_spreads_a_body_only_for_those_who_read_it<B: PeerBackend>(backend: B) {
    let scene = distant(&backend).await;
    for (session, capabilities, count) in [(5, 0, 1), (6, SPREAD, 3), (7, u64::MAX, 3)] {
        let (main, _main_control) = scene.welcomed(ROLE_MAIN, session).await;
        let bulk = scene.dial().await;
        let hello = hello(0, capabilities, ROLE_BULK, session, &scene.host.ticket().secret.unwrap());
        let mut control = RawStream::open(&bulk, [&[CONTROL][..], &hello].concat()).await;
        control.expect(WELCOME).await;
        let mut stream = RawStream::open(&main, request("GET", "/large", Size::None)).await;
        let number = stream.send.id();
        stream.expect(HEAD).await;
        stream.expect(MOVED).await;
        let recvs = join_all((0..count).map(|_| accept(&bulk))).await;
        let mut parts = join_all(recvs.into_iter().map(read)).await;
        parts.sort_by_key(|part| part.get(9).copied());
        for (part, index) in parts.iter_mut().zip(0..) {
            let preface = preface(number, index, count);
            assert_eq!(part.drain(..preface.len()).collect::<Vec<_>>(), preface);
        }
        assert_eq!(joined(&parts), vec![7; LARGE], "capabilities {capabilities:#x}");
        assert!(waits(&mut Box::pin(bulk.accept_uni())).await, "one more stream");
    }
    scene.others_still_work().await;
}

pub async fn large_bodies_are_spread_both_ways_and_arrive_whole<B: PeerBackend>(backend: B) {
    let peers = peers(&backend).await;
    let [host, client, _] = peers.clone();
    let scene = Scene::of(peers, |_| {}).await;
    let mut opened = bulk_is_up(&scene, [&client, &host]).await;
    for (bytes, streams) in [(300_000, 1), (3_000_000, 3), (9_000_000, 8)] {
        let body: Bytes = (0..bytes).map(|byte: u32| (byte % 251) as u8).collect();
        assert!(echo(&scene, &body).await == body, "another body came back");
        opened = opened.map(|opened| opened + streams);
        assert_eq!([client.opened(), host.opened()], opened, "{bytes} bytes");
    }
    scene.others_still_work().await;
}

/// At most half of the streams are second and further ones of a body, and no body waits for a stream.
pub async fn many_spread_bodies_leave_streams_to_others<B: PeerBackend>(backend: B) {
    let peers = peers(&backend).await;
    let [host, client, _] = peers.clone();
    let scene = Scene::of(peers, |_| {}).await;
    let [before, _] = bulk_is_up(&scene, [&client, &host]).await;
    let body = Bytes::from(vec![1; 16 << 20]);
    let stalled = (0..20).map(|_| {
        let (parts, ()) = http::Request::post("/unread").body(()).unwrap().into_parts();
        scene.client.send(Request::http(1, parts, Body::full(body.clone())))
    });
    let mut stalled = Box::pin(join_all(stalled));
    // Thirteen bodies have eight streams and leave six to the next; the others have one.
    tokio::select! {
        biased;
        _ = &mut stalled => panic!("nobody answers"),
        () = until(|| client.opened() == before + 96 + 20) => {}
    }
    scene.others_still_work().await;
    drop(stalled);
    scene.others_still_work().await;
}

async fn distant<B: PeerBackend>(backend: &B) -> Scene<Distant<B::Provider>> {
    Scene::of(peers(backend).await, |_| {}).await
}

async fn peers<B: PeerBackend>(backend: &B) -> [Distant<B::Provider>; 3] {
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(Distant::new(soon(backend.peer()).await));
    }
    peers.try_into().unwrap_or_else(|_| unreachable!("there are three"))
}

/// Sends a body and gets it back.
async fn echo<P: P2PProvider>(scene: &Scene<P>, body: &Bytes) -> Bytes {
    let (parts, ()) = http::Request::post("/").body(()).unwrap().into_parts();
    let request = Request::http(1, parts, Body::full(body.clone()));
    let response = soon(scene.client.send(request)).await.unwrap();
    soon(response.body.collect()).await.unwrap().to_bytes()
}

/// Waits until both peers use the bulk connection; returns how many streams they have opened by then.
async fn bulk_is_up<P: P2PProvider>(scene: &Scene<Distant<P>>, peers: [&Distant<P>; 2]) -> [usize; 2] {
    while peers.iter().any(|peer| peer.opened() == 0) {
        echo(scene, &vec![7; 300_000].into()).await;
    }
    peers.map(Distant::opened)
}

fn preface(number: u64, index: u8, count: u8) -> Vec<u8> {
    let number = number.to_be_bytes();
    if count == 1 { [&[BULK][..], &number].concat() } else { [&[BULK_PART][..], &number, &[index, count]].concat() }
}

/// One stream of a body that goes on. It must be kept.
async fn part<C: P2PConnection>(bulk: &C, number: u64, index: u8, count: u8, frames: Vec<u8>) -> Sending<C> {
    let mut stream = soon(bulk.open_uni()).await.unwrap();
    soon(stream.write_chunks(&mut [preface(number, index, count).into(), frames.into()])).await.unwrap();
    stream
}

async fn accept<C: P2PConnection>(bulk: &C) -> Receiving<C> {
    soon(bulk.accept_uni()).await.unwrap()
}

async fn read(mut recv: impl RecvStream) -> Vec<u8> {
    read_to_end(&mut recv).await.unwrap()
}

/// The body of these parts: a frame of each in turn, up to the end.
fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut rests: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let mut body = Vec::new();
    for turn in (0..parts.len()).cycle() {
        let rest = &mut rests[turn];
        let (&[kind, a, b, c, d], after) = rest.split_first_chunk().expect("a frame whose turn it is");
        let (payload, after) = after.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        *rest = after;
        match kind {
            DATA => body.extend_from_slice(payload),
            END => break,
            other => panic!("a frame of type {other:#x}"),
        }
    }
    assert!(rests.iter().all(|rest| rest.is_empty()), "more after the end");
    body
}
