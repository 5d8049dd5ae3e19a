//! Readers that do not read: what they may not do to others.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use p2p_provider::{CloseReason, P2PConnection, SendStream, UNREAD_CHUNKS_MAX, WriteError};
use tokio::time::{sleep, timeout};

use super::{
    pair::{Pair, ROOMY, echo, read_to_end, uni},
    patience::{soon, waits},
};
use crate::backend::PeerBackend;

/// Bytes of a small write. Far from filling a packet, so that the receiver does not merge it with its neighbours.
const SMALL: usize = 200;

/// Bytes of a bulk body: over three times what a stream may have unread.
const BULK: usize = 4 << 20;

pub async fn small_writes_up_to_the_limit_and_a_stalled_body_leave_the_connection_alone<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    pair.accepted.set_limits(ROOMY);
    let (mut small, mut small_read) = pair.uni().await;
    let (mut bulk, mut bulk_read) = pair.uni().await;
    let mut writing = Box::pin(write_bulk(&mut bulk));
    assert!(waits(&mut writing).await);

    for _ in 0..UNREAD_CHUNKS_MAX {
        write_small(&mut small).await.unwrap();
    }
    for _ in 0..20 {
        echo(&pair.dialled, &pair.accepted).await;
    }
    assert_eq!(pair.accepted.close_reason(), None);

    // Nothing was lost by waiting.
    small.finish();
    assert_eq!(read_to_end(&mut small_read).await.unwrap().len(), UNREAD_CHUNKS_MAX as usize * SMALL);
    let (body, ()) = soon(async { tokio::join!(read_to_end(&mut bulk_read), writing) }).await;
    assert_eq!(body.unwrap().len(), BULK);
}

/// What [`UNREAD_CHUNKS_MAX`] is for: past 2,048 unread small writes on one stream, noq-proto 1.4 closes the connection
/// of all its streams, and tells the peer so. So does every backend, lest a protocol that forgets its credits works on
/// some of them.
///
/// When this case fails after an update, the limit of the transport is gone and the bound may go too.
pub async fn far_past_the_limit_the_whole_connection_is_lost<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    pair.accepted.set_limits(ROOMY);
    let (mut small, _small_read) = pair.uni().await;
    let lost = async {
        // Bounded by the window of the stream, which 6,250 writes fill.
        loop {
            if let Err(error) = write_small(&mut small).await {
                return error;
            }
        }
    };
    assert!(matches!(soon(lost).await, WriteError::ConnectionLost(CloseReason::Transport(_))));
    assert!(matches!(soon(pair.accepted.closed()).await, CloseReason::Transport(_)));
}

pub async fn stalled_bodies_on_a_second_connection_do_not_touch_requests_on_the_first<B: PeerBackend>(backend: B) {
    let mut pair = Pair::new(&backend).await;
    let (bulk_from, bulk_to) = pair.another().await;
    bulk_to.set_limits(ROOMY);
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(uni(&bulk_from, &bulk_to).await);
    }
    let (mut sends, mut recvs): (Vec<_>, Vec<_>) = streams.into_iter().unzip();
    let mut writing = Box::pin(join_all(sends.iter_mut().map(write_bulk)));
    assert!(waits(&mut writing).await);

    // All ten are full; requests pass on both connections.
    for _ in 0..100 {
        echo(&pair.dialled, &pair.accepted).await;
    }
    echo(&bulk_from, &bulk_to).await;
    assert!(waits(&mut writing).await);

    let reading = join_all(recvs.iter_mut().map(read_to_end));
    let (bodies, _) = soon(async { tokio::join!(reading, writing) }).await;
    for body in bodies {
        assert_eq!(body.unwrap().len(), BULK);
    }
}

pub async fn one_stalled_body_does_not_stall_the_others_of_its_connection<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    pair.accepted.set_limits(ROOMY);
    let (mut stalled, _stalled_read) = pair.uni().await;
    let (mut flowing, mut flowing_read) = pair.uni().await;
    let mut stuck = Box::pin(write_bulk(&mut stalled));
    assert!(waits(&mut stuck).await);
    let ((), body) = soon(async { tokio::join!(write_bulk(&mut flowing), read_to_end(&mut flowing_read)) }).await;
    assert_eq!(body.unwrap().len(), BULK);
    assert!(timeout(Duration::ZERO, &mut stuck).await.is_err());
}

pub async fn a_stalled_body_does_not_stall_the_other_direction<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    pair.accepted.set_limits(ROOMY);
    pair.dialled.set_limits(ROOMY);
    let (mut stalled, _stalled_read) = pair.uni().await;
    let (mut back, mut back_read) = uni(&pair.accepted, &pair.dialled).await;
    let mut stuck = Box::pin(write_bulk(&mut stalled));
    assert!(waits(&mut stuck).await);
    let ((), body) = soon(async { tokio::join!(write_bulk(&mut back), read_to_end(&mut back_read)) }).await;
    assert_eq!(body.unwrap().len(), BULK);
    assert!(timeout(Duration::ZERO, &mut stuck).await.is_err());
}

/// What is abandoned unread gives its part of the connection's window back.
pub async fn abandoned_bodies_leave_room_for_others<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    for round in 0..20 {
        let (mut send, recv) = pair.uni().await;
        // More than a stranger's window.
        let mut body = [Bytes::from(vec![1; 1 << 20])];
        {
            let mut writing = Box::pin(send.write_chunks(&mut body));
            assert!(timeout(Duration::from_millis(20), &mut writing).await.is_err());
        }
        if round % 2 == 0 {
            send.reset(1);
        } else {
            drop(recv);
            assert_eq!(soon(send.stopped()).await, Some(0));
        }
    }
    echo(&pair.dialled, &pair.accepted).await;
}

async fn write_bulk(stream: &mut impl SendStream) {
    stream.write_chunks(&mut [Bytes::from(vec![1; BULK])]).await.expect("the stream is open");
    stream.finish();
}

/// Writes a piece, and leaves the endpoint the time to send it alone.
async fn write_small(stream: &mut impl SendStream) -> Result<(), WriteError> {
    soon(stream.write_chunks(&mut [Bytes::from_static(&[2; SMALL])])).await?;
    sleep(Duration::from_millis(1)).await;
    Ok(())
}
