//! One stream: its ends, its codes, its limits.

use std::pin::pin;

use bytes::Bytes;
use p2p_provider::{CloseReason, ConnectionLimits, P2PConnection, ReadError, RecvStream, SendStream, WriteError};

use crate::support::{Pair, ROOMY, read_to_end, soon, waits, write};

#[tokio::test]
async fn a_finish_is_a_clean_end() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    soon(send.write_chunks(&mut ["all ".into(), Bytes::new(), "of it".into()])).await.unwrap();
    send.finish();
    drop(send);
    assert_eq!(read_to_end(&mut recv).await, Ok(b"all of it".to_vec()));
}

#[tokio::test]
async fn an_unfinished_stream_never_ends_cleanly() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    write(&mut send, b"half of i").await;
    drop(send);
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Reset(0)));
}

#[tokio::test]
async fn the_code_of_a_reset_arrives() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    send.reset(77);
    drop(send);
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Reset(77)));
}

#[tokio::test]
async fn a_reset_after_a_finish_still_cuts_what_is_not_delivered() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    // More than the window holds, so that the finish waits behind it.
    let mut body = [Bytes::from(vec![7; 4 << 20])];
    {
        let mut writing = pin!(send.write_chunks(&mut body));
        assert!(waits(&mut writing).await);
    }
    send.finish();
    send.reset(78);
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Reset(78)));
}

#[tokio::test]
async fn the_code_of_a_stop_arrives() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    recv.stop(9);
    assert_eq!(soon(send.stopped()).await, Some(9));
    assert_eq!(soon(send.write_chunks(&mut ["more".into()])).await, Err(WriteError::Stopped(9)));
}

#[tokio::test]
async fn a_stop_wakes_a_writer_that_waits() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    let mut body = [Bytes::from(vec![7; 4 << 20])];
    let mut writing = pin!(send.write_chunks(&mut body));
    assert!(waits(&mut writing).await);
    recv.stop(10);
    assert_eq!(soon(writing).await, Err(WriteError::Stopped(10)));
}

#[tokio::test]
async fn a_dropped_reader_stops_the_writer() {
    let pair = Pair::new().await;
    let (send, recv) = pair.uni().await;
    drop(recv);
    assert_eq!(soon(send.stopped()).await, Some(0));
}

#[tokio::test]
async fn stopped_is_none_once_everything_is_delivered() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    let mut stopped = Box::pin(send.stopped());
    assert!(waits(&mut stopped).await);
    send.finish();
    assert_eq!(read_to_end(&mut recv).await, Ok(Vec::new()));
    assert_eq!(soon(stopped).await, None);
}

#[tokio::test]
async fn a_finished_stream_takes_no_more() {
    let pair = Pair::new().await;
    let (mut send, _recv) = pair.uni().await;
    send.finish();
    assert_eq!(soon(send.write_chunks(&mut ["more".into()])).await, Err(WriteError::Closed));
}

#[tokio::test]
async fn both_sides_give_a_stream_the_same_number() {
    let pair = Pair::new().await;
    let (first, first_read) = pair.uni().await;
    let (second, second_read) = pair.uni().await;
    assert_eq!(first.id(), first_read.id());
    assert_eq!(second.id(), second_read.id());
    assert_ne!(first.id(), second.id());
}

#[tokio::test]
async fn a_close_ends_readers_and_writers_with_its_reason() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    pair.accepted.close(3, "bye");
    soon(pair.dialled.closed()).await;
    let reason = CloseReason::Peer { code: 3, reason: "bye".to_owned() };
    assert_eq!(soon(send.write_chunks(&mut ["x".into()])).await, Err(WriteError::ConnectionLost(reason)));
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::ConnectionLost(CloseReason::Local)));
    assert_eq!(soon(send.stopped()).await, None);
}

#[tokio::test]
async fn opening_waits_at_the_limit_until_it_is_raised() {
    let pair = Pair::new().await;
    // The default of `initial_limits`.
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(soon(pair.dialled.open_uni()).await.unwrap());
    }
    let mut ninth = pin!(pair.dialled.open_uni());
    assert!(waits(&mut ninth).await);
    pair.accepted.set_limits(ConnectionLimits { uni_streams: 16, ..ROOMY });
    open.push(soon(ninth).await.unwrap());
    for _ in 10..=16 {
        open.push(soon(pair.dialled.open_uni()).await.unwrap());
    }
    let mut next = pin!(pair.dialled.open_uni());
    assert!(waits(&mut next).await);
}

#[tokio::test]
async fn streams_in_both_directions_have_their_own_limit() {
    let pair = Pair::new().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(soon(pair.dialled.open_bi()).await.unwrap());
    }
    let mut next = pin!(pair.dialled.open_bi());
    assert!(waits(&mut next).await);
    soon(pair.dialled.open_uni()).await.unwrap();
    pair.accepted.set_limits(ROOMY);
    soon(next).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_ends_makes_room_for_another() {
    let pair = Pair::new().await;
    for _ in 0..40 {
        let (mut send, mut recv) = pair.uni().await;
        send.finish();
        read_to_end(&mut recv).await.unwrap();
    }
}

#[tokio::test]
async fn a_wider_window_lets_a_waiting_writer_go_on() {
    let pair = Pair::new().await;
    let (mut send, mut recv) = pair.uni().await;
    // Within the window of one stream, but not within the 256 KiB that a stranger's connection has in all.
    let mut body = [Bytes::from(vec![7; 1 << 20])];
    {
        let mut writing = pin!(send.write_chunks(&mut body));
        assert!(waits(&mut writing).await);
        pair.accepted.set_limits(ROOMY);
        soon(writing).await.unwrap();
    }
    send.finish();
    assert_eq!(read_to_end(&mut recv).await.unwrap().len(), 1 << 20);
}
