//! Upstream's stream, without its traps.

use std::{
    error::Error,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use futures::{StreamExt, TryStreamExt};
use switchy_async::util::CancellationToken;
use tunnel_core::moosicbox_tunnel::TunnelStreamError;
use tunnel_p2p::receiver::{P2PTunnelReceiver, TunnelHttpResponse};

use crate::support::{Peers, Started, packet_bytes, soon, spawn, started, tunnel_request};

/// A response of which the first packet is there.
async fn begun(last: bool) -> (Started, Peers, TunnelHttpResponse) {
    let mut tunnel = started();
    let peers = tunnel.peers().await;
    let (receiver, _events) = P2PTunnelReceiver::new(std::sync::Arc::new(peers.client.clone()));
    let asking = spawn(async move { receiver.http(tunnel_request(7)).await });
    tunnel.http().await;
    tunnel.sender.send_bytes(7, 1, packet_bytes(7, 1, last, b"a")).unwrap();
    let response = asking.await.unwrap().unwrap();
    (tunnel, peers, response)
}

#[tokio::test]
async fn it_ends_after_the_last_packet_and_what_is_to_be_done_then_is_done() {
    let (_tunnel, _peers, response) = begun(true).await;
    let ended = AtomicU64::new(0);
    let on_end = |id| {
        let ended = &ended;
        async move {
            tokio::task::yield_now().await;
            ended.store(id, Relaxed);
            Ok::<_, Box<dyn Error>>(())
        }
    };
    let mut stream = response.into_stream(CancellationToken::new(), &on_end);
    assert_eq!(soon("a piece", stream.next()).await.unwrap().unwrap(), "a");
    assert!(soon("the end", stream.next()).await.is_none());
    assert!(stream.next().await.is_none(), "and stays there");
    assert!(stream.failure().is_none());
    drop(stream);
    assert_eq!(ended.into_inner(), 7);
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_look_whole() {
    let (tunnel, _peers, response) = begun(false).await;
    let on_end = |_| async { Ok::<_, Box<dyn Error>>(()) };
    let mut stream = response.into_stream(CancellationToken::new(), &on_end);
    assert_eq!(soon("a piece", stream.next()).await.unwrap().unwrap(), "a");
    tunnel.sender.abort_request(7);
    assert!(matches!(soon("the end", stream.next()).await, Some(Err(TunnelStreamError::Aborted))));
    assert!(stream.failure().is_some());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn the_token_wakes_who_waits_and_aborts_the_request() {
    let (mut tunnel, _peers, response) = begun(false).await;
    let token = CancellationToken::new();
    let on_end = |_| async { Ok::<_, Box<dyn Error>>(()) };
    let mut stream = response.into_stream(token.clone(), &on_end);
    stream.next().await.unwrap().unwrap();
    let (next, ()) = tokio::join!(stream.next(), async {
        tokio::task::yield_now().await;
        token.cancel();
    });
    assert!(matches!(next, Some(Err(TunnelStreamError::Aborted))));
    assert_eq!(tunnel.abort().await, 7);
}

#[tokio::test]
async fn a_long_body_arrives_whole_and_a_collected_one_does_not_block_itself() {
    static PIECE: [u8; 60_000] = [3; 60_000];
    let (tunnel, _peers, response) = begun(false).await;
    let sender = tunnel.sender.clone();
    let sending = spawn(async move {
        for id in 2..=400 {
            sender.send_bytes_paced(7, id, packet_bytes(7, id, id == 400, &PIECE).into()).await.unwrap();
        }
    });
    let on_end = |_| async { Ok::<_, Box<dyn Error>>(()) };
    let stream = response.into_stream(CancellationToken::new(), &on_end);
    let pieces: Vec<_> = soon("the whole body", stream.try_collect()).await.unwrap();
    sending.await.unwrap();
    assert_eq!(pieces.iter().map(bytes::Bytes::len).sum::<usize>(), 1 + 399 * PIECE.len());
}
