//! One stream: its ends, its codes, its limits.

use std::{pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use p2p_provider::{CloseReason, ConnectionLimits, P2PConnection, ReadError, RecvStream, SendStream, WriteError};
use tokio::time::sleep;

use super::{
    pair::{Pair, ROOMY, STRANGER, bi, echo, read_one, read_to_end, write},
    patience::{soon, waits},
};
use crate::backend::PeerBackend;

pub async fn a_finish_is_a_clean_end<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    soon(send.write_chunks(&mut ["all ".into(), Bytes::new(), "of it".into()])).await.unwrap();
    send.finish();
    drop(send);
    assert_eq!(read_to_end(&mut recv).await, Ok(b"all of it".to_vec()));
}

pub async fn an_unfinished_stream_never_ends_cleanly<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    write(&mut send, b"half of i").await;
    drop(send);
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Reset(0)));
}

pub async fn the_code_of_a_reset_arrives<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    send.reset(77);
    drop(send);
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Reset(77)));
}

/// The reset may come too late, for the peer may have it all; but then it has it all.
pub async fn a_reset_right_after_a_finish_never_leaves_a_short_stream<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    for round in 0..20 {
        let (mut send, mut recv) = pair.uni().await;
        let body = pattern(round, 100_000);
        soon(send.write_chunks(&mut [body.clone()])).await.unwrap();
        send.finish();
        send.reset(78);
        match read_to_end(&mut recv).await {
            Ok(arrived) => assert!(arrived == body, "{} bytes arrived, and an end", arrived.len()),
            Err(error) => assert_eq!(error, ReadError::Reset(78)),
        }
    }
}

/// Here it cannot be too late: the peer cannot have what it has no room for.
pub async fn a_reset_cuts_what_waits_for_the_reader<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    // More than the window holds.
    let mut body = [Bytes::from(vec![7; 4 << 20])];
    {
        let mut writing = pin!(send.write_chunks(&mut body));
        assert!(waits(&mut writing).await);
    }
    send.reset(78);
    assert_eq!(read_to_end(&mut recv).await.err(), Some(ReadError::Reset(78)));
}

pub async fn the_code_of_a_stop_arrives<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    recv.stop(9);
    assert_eq!(soon(send.stopped()).await, Some(9));
    assert_eq!(soon(send.write_chunks(&mut ["more".into()])).await, Err(WriteError::Stopped(9)));
}

pub async fn a_stop_wakes_a_writer_that_waits<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    let mut body = [Bytes::from(vec![7; 4 << 20])];
    let mut writing = pin!(send.write_chunks(&mut body));
    assert!(waits(&mut writing).await);
    recv.stop(10);
    assert_eq!(soon(writing).await, Err(WriteError::Stopped(10)));
}

pub async fn a_dropped_reader_stops_the_writer<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (send, recv) = pair.uni().await;
    drop(recv);
    assert_eq!(soon(send.stopped()).await, Some(0));
}

pub async fn stopped_is_none_once_everything_is_delivered<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    let mut stopped = Box::pin(send.stopped());
    assert!(waits(&mut stopped).await);
    send.finish();
    assert_eq!(read_to_end(&mut recv).await, Ok(Vec::new()));
    assert_eq!(soon(stopped).await, None);
}

pub async fn a_finished_stream_takes_no_more<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, _recv) = pair.uni().await;
    send.finish();
    assert_eq!(soon(send.write_chunks(&mut ["more".into()])).await, Err(WriteError::Closed));
}

pub async fn both_sides_give_a_stream_the_same_number<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (first, first_read) = pair.uni().await;
    let (second, second_read) = pair.uni().await;
    assert_eq!(first.id(), first_read.id());
    assert_eq!(second.id(), second_read.id());
    assert_ne!(first.id(), second.id());
}

pub async fn a_close_ends_readers_and_writers_with_its_reason<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    pair.accepted.close(3, "bye");
    soon(pair.dialled.closed()).await;
    let reason = CloseReason::Peer { code: 3, reason: "bye".to_owned() };
    assert_eq!(soon(send.write_chunks(&mut ["x".into()])).await, Err(WriteError::ConnectionLost(reason)));
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::ConnectionLost(CloseReason::Local)));
    assert_eq!(soon(send.stopped()).await, None);
}

pub async fn opening_waits_at_the_limit_until_it_is_raised<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut open = Vec::new();
    for _ in 0..STRANGER.uni_streams {
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

pub async fn streams_in_both_directions_have_their_own_limit<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut open = Vec::new();
    for _ in 0..STRANGER.bidi_streams {
        open.push(soon(pair.dialled.open_bi()).await.unwrap());
    }
    let mut next = pin!(pair.dialled.open_bi());
    assert!(waits(&mut next).await);
    soon(pair.dialled.open_uni()).await.unwrap();
    pair.accepted.set_limits(ROOMY);
    soon(next).await.unwrap();
}

pub async fn a_stream_that_ends_makes_room_for_another<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    for _ in 0..40 {
        let (mut send, mut recv) = pair.uni().await;
        send.finish();
        read_to_end(&mut recv).await.unwrap();
    }
}

pub async fn a_wider_window_lets_a_waiting_writer_go_on<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    // More than all streams of a stranger may have unread together, and less than one stream may.
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

pub async fn the_peer_sees_a_stream_with_its_first_write<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut accept = pin!(pair.accepted.accept_bi());
    let (mut send, _recv) = soon(pair.dialled.open_bi()).await.unwrap();
    assert!(waits(&mut accept).await);
    write(&mut send, b"here").await;
    let (_other_send, mut other_recv) = soon(accept).await.unwrap();
    read_one(&mut other_recv, b"here").await;
}

pub async fn a_stream_that_is_finished_unwritten_arrives_empty<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    soon(pair.dialled.open_uni()).await.unwrap().finish();
    let mut recv = soon(pair.accepted.accept_uni()).await.unwrap();
    assert_eq!(read_to_end(&mut recv).await, Ok(Vec::new()));
}

pub async fn the_directions_of_a_stream_end_alone<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let ((mut send, mut recv), (mut other_send, mut other_recv)) = bi(&pair.dialled, &pair.accepted).await;
    write(&mut send, b"all").await;
    send.finish();
    assert_eq!(read_to_end(&mut other_recv).await.unwrap(), b"all");
    // The way there is over, and dropped; the way back goes on.
    drop((send, other_recv));
    write(&mut other_send, b"more").await;
    read_one(&mut recv, b"more").await;
    other_send.reset(21);
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Reset(21)));
}

pub async fn a_stop_of_one_direction_leaves_the_other<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let ((send, mut recv), (mut other_send, mut other_recv)) = bi(&pair.dialled, &pair.accepted).await;
    other_recv.stop(22);
    assert_eq!(soon(send.stopped()).await, Some(22));
    write(&mut other_send, b"an answer").await;
    other_send.finish();
    assert_eq!(read_to_end(&mut recv).await.unwrap(), b"an answer");
}

pub async fn both_sides_of_a_connection_open_streams<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    for (from, to) in [(&pair.dialled, &pair.accepted), (&pair.accepted, &pair.dialled)] {
        let ((send, recv), (other_send, other_recv)) = bi(from, to).await;
        assert_eq!((send.id(), recv.id()), (other_recv.id(), other_send.id()));
        assert_eq!(send.id(), recv.id());
        let mut one_way = soon(from.open_uni()).await.unwrap();
        write(&mut one_way, b"one way").await;
        read_one(&mut soon(to.accept_uni()).await.unwrap(), b"one way").await;
    }
}

pub async fn no_two_streams_of_a_connection_share_a_number<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut numbers = Vec::new();
    for (from, to) in [(&pair.dialled, &pair.accepted), (&pair.accepted, &pair.dialled)] {
        for _ in 0..5 {
            let ((send, _), _) = bi(from, to).await;
            let one_way = soon(from.open_uni()).await.unwrap();
            numbers.extend([send.id(), one_way.id()]);
        }
    }
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "{numbers:?}");
}

pub async fn streams_arrive_in_the_order_in_which_they_were_opened<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut open = Vec::new();
    for _ in 0..STRANGER.uni_streams {
        open.push(soon(pair.dialled.open_uni()).await.unwrap());
    }
    for stream in open.iter_mut().rev() {
        write(stream, b"x").await;
    }
    for stream in &open {
        assert_eq!(soon(pair.accepted.accept_uni()).await.unwrap().id(), stream.id());
    }
}

pub async fn chunks_arrive_in_order_and_unchanged<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    let sizes = [1, 0, 70_000, 2, 1_199, 1_200, 1_201, 300_000, 0, 5];
    let mut chunks: Vec<Bytes> = sizes.iter().enumerate().map(|(place, &size)| pattern(place, size)).collect();
    let expected = chunks.concat();
    let writing = async {
        send.write_chunks(&mut chunks).await.unwrap();
        send.finish();
    };
    let (arrived, ()) = soon(async { tokio::join!(read_to_end(&mut recv), writing) }).await;
    assert!(arrived.unwrap() == expected, "the stream has changed");
}

pub async fn no_stream_is_lost_when_accept_is_cancelled<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    pair.accepted.set_limits(ROOMY);
    let open = async {
        let mut numbers = Vec::new();
        for _ in 0..40 {
            let (mut send, recv) = pair.dialled.open_bi().await.unwrap();
            write(&mut send, b"x").await;
            send.finish();
            numbers.push((send.id(), recv));
            sleep(Duration::from_millis(1)).await;
        }
        numbers
    };
    let accept = async {
        let mut numbers = Vec::new();
        while numbers.len() < 40 {
            let polled = futures::poll!(pin!(pair.accepted.accept_bi()));
            match polled {
                Poll::Ready(stream) => numbers.push(stream.unwrap().0.id()),
                Poll::Pending => sleep(Duration::from_millis(1)).await,
            }
        }
        numbers
    };
    let (opened, accepted) = soon(async { tokio::join!(open, accept) }).await;
    assert_eq!(opened.into_iter().map(|(number, _)| number).collect::<Vec<_>>(), accepted);
}

pub async fn no_byte_is_lost_when_a_read_is_cancelled<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    let whole = pattern(3, 40 * 5_000);
    let mut pieces = whole.clone();
    let writing = async {
        while !pieces.is_empty() {
            send.write_chunks(&mut [pieces.split_to(5_000)]).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        send.finish();
    };
    let reading = async {
        let mut all = Vec::new();
        loop {
            let mut chunks = [const { Bytes::new() }; 2];
            let polled = futures::poll!(pin!(recv.read_chunks(&mut chunks)));
            match polled.map(Result::unwrap) {
                Poll::Ready(Some(count)) => all.extend(chunks[..count].concat()),
                Poll::Ready(None) => break all,
                Poll::Pending => sleep(Duration::from_millis(1)).await,
            }
        }
    };
    let (arrived, ()) = soon(async { tokio::join!(reading, writing) }).await;
    assert!(arrived == whole, "the stream has changed");
}

pub async fn an_open_that_is_cancelled_takes_no_place<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut open = Vec::new();
    for _ in 0..STRANGER.uni_streams {
        open.push(soon(pair.dialled.open_uni()).await.unwrap());
    }
    for _ in 0..20 {
        assert!(futures::poll!(pin!(pair.dialled.open_uni())).is_pending());
    }
    pair.accepted.set_limits(ConnectionLimits { uni_streams: 2 * STRANGER.uni_streams, ..ROOMY });
    for _ in 0..STRANGER.uni_streams {
        open.push(soon(pair.dialled.open_uni()).await.unwrap());
    }
}

pub async fn an_open_that_waits_fails_when_the_connection_closes<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut open = Vec::new();
    for _ in 0..STRANGER.uni_streams {
        open.push(soon(pair.dialled.open_uni()).await.unwrap());
    }
    let mut next = pin!(pair.dialled.open_uni());
    assert!(waits(&mut next).await);
    pair.accepted.close(4, "enough");
    assert_eq!(soon(next).await.err(), Some(CloseReason::Peer { code: 4, reason: "enough".to_owned() }));
}

pub async fn a_reader_that_has_stopped_reads_no_more<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    write(&mut send, b"unread").await;
    recv.stop(1);
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Closed));
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Closed));
    recv.stop(2);
    assert_eq!(soon(send.stopped()).await, Some(1), "the first stop counts");
}

pub async fn a_writer_that_has_reset_writes_no_more<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    send.reset(31);
    assert_eq!(soon(send.write_chunks(&mut ["more".into()])).await, Err(WriteError::Closed));
    send.finish();
    send.reset(32);
    assert_eq!(read_to_end(&mut recv).await, Err(ReadError::Reset(31)), "the first reset counts");
}

pub async fn a_reset_after_an_acknowledged_finish_changes_nothing<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    write(&mut send, b"all of it").await;
    send.finish();
    assert_eq!(soon(send.stopped()).await, None);
    send.reset(33);
    // Whatever the reset sends is there before the answer to this.
    echo(&pair.dialled, &pair.accepted).await;
    assert_eq!(read_to_end(&mut recv).await.unwrap(), b"all of it");
}

pub async fn an_end_is_read_as_often_as_one_likes<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut send, mut recv) = pair.uni().await;
    send.finish();
    for _ in 0..3 {
        assert_eq!(read_to_end(&mut recv).await, Ok(Vec::new()));
    }
}

pub async fn large_codes_arrive_with_resets_and_stops<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    for code in [0, 64, 1 << 14, 1 << 30, (1 << 62) - 1] {
        let ((mut send, recv), (other_send, mut other_recv)) = bi(&pair.dialled, &pair.accepted).await;
        let mut recv = recv;
        recv.stop(code);
        assert_eq!(soon(other_send.stopped()).await, Some(code));
        send.reset(code);
        assert_eq!(read_to_end(&mut other_recv).await, Err(ReadError::Reset(code)));
    }
}

/// The window is one for all streams of a connection: a stranger does not get more by opening more streams.
pub async fn the_window_of_a_connection_is_shared_by_its_streams<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sends, mut recvs) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (send, recv) = pair.uni().await;
        sends.push(send);
        recvs.push(recv);
    }
    // Each for itself would fit.
    let size = usize::try_from(STRANGER.receive_window).unwrap() / 2;
    let mut writing = Box::pin(join_all(sends.iter_mut().map(|send| async move {
        send.write_chunks(&mut [pattern(0, size)]).await.unwrap();
        send.finish();
    })));
    assert!(waits(&mut writing).await);
    let reading = join_all(recvs.iter_mut().map(read_to_end));
    let (bodies, _) = soon(async { tokio::join!(reading, writing) }).await;
    for body in bodies {
        assert_eq!(body.unwrap().len(), size);
    }
}

/// Bytes that tell their place.
fn pattern(seed: usize, length: usize) -> Bytes {
    (0..length).map(|place| u8::try_from((place + seed) % 251).unwrap_or(0)).collect()
}
