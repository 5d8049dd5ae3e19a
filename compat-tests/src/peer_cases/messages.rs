//! Whole messages.

use std::time::Duration;

use bytes::Bytes;
use p2p_provider::{CloseReason, MESSAGE_BYTES_MAX, MessageError, P2PConnection, ReadError, SendStream, WriteError};
use tokio::time::timeout;

use super::{
    pair::{Pair, write},
    patience::{soon, waits},
};
use crate::backend::PeerBackend;

pub async fn messages_keep_their_order_and_their_borders<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sender, mut receiver) = (pair.dialled.messages(), pair.accepted.messages());
    let send = async {
        for length in 0..1000 {
            sender.send(numbered(length)).await.unwrap();
        }
        sender.finish().await.unwrap();
    };
    let receive = async {
        for length in 0..1000 {
            assert_eq!(receiver.recv().await.unwrap(), Some(numbered(length)));
        }
        assert_eq!(receiver.recv().await, Ok(None));
        assert_eq!(receiver.recv().await, Ok(None));
    };
    soon(async { tokio::join!(send, receive) }).await;
}

pub async fn messages_go_both_ways_at_once<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut client, mut server) = (pair.dialled.messages(), pair.accepted.messages());
    for round in 0..20 {
        let (asked, answered) =
            soon(async { tokio::join!(client.send(numbered(round)), server.send("pong".into())) }).await;
        asked.unwrap();
        answered.unwrap();
        assert_eq!(soon(server.recv()).await.unwrap(), Some(numbered(round)));
        assert_eq!(soon(client.recv()).await.unwrap(), Some("pong".into()));
    }
}

pub async fn the_largest_message_arrives_whole<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sender, mut receiver) = (pair.dialled.messages(), pair.accepted.messages());
    let message = numbered(MESSAGE_BYTES_MAX);
    let (sent, arrived) = soon(async { tokio::join!(sender.send(message.clone()), receiver.recv()) }).await;
    sent.unwrap();
    assert!(arrived.unwrap() == Some(message), "the message has changed");
}

pub async fn a_message_over_the_limit_is_not_sent_and_hurts_nobody<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sender, mut receiver) = (pair.dialled.messages(), pair.accepted.messages());
    let bytes = MESSAGE_BYTES_MAX + 1;
    let refused = soon(sender.send(numbered(bytes))).await;
    assert_eq!(refused, Err(MessageError::TooLarge { bytes: bytes as u64 }));
    soon(sender.send("small".into())).await.unwrap();
    assert_eq!(soon(receiver.recv()).await.unwrap(), Some("small".into()));
}

pub async fn a_message_over_the_limit_is_not_received<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut raw = soon(pair.dialled.open_uni()).await.unwrap();
    write(&mut raw, &[0, 0x10, 0, 1]).await;
    let refused = soon(pair.accepted.messages().recv()).await;
    assert_eq!(refused, Err(MessageError::TooLarge { bytes: MESSAGE_BYTES_MAX as u64 + 1 }));
}

pub async fn an_end_inside_a_message_is_an_error<B: PeerBackend>(backend: B) {
    for part in [&b"\0"[..], b"\0\0\0\x05", b"\0\0\0\x05hell"] {
        let pair = Pair::new(&backend).await;
        let mut raw = soon(pair.dialled.open_uni()).await.unwrap();
        write(&mut raw, part).await;
        raw.finish();
        assert_eq!(soon(pair.accepted.messages().recv()).await, Err(MessageError::Truncated), "{part:?}");
    }
}

pub async fn a_sender_that_is_dropped_unfinished_is_an_error<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sender, mut receiver) = (pair.dialled.messages(), pair.accepted.messages());
    soon(sender.send("one".into())).await.unwrap();
    assert_eq!(soon(receiver.recv()).await.unwrap(), Some("one".into()));
    drop(sender);
    assert_eq!(soon(receiver.recv()).await, Err(MessageError::Read(ReadError::Reset(0))));
}

pub async fn a_close_ends_a_wait_for_messages<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut receiver = pair.accepted.messages();
    pair.dialled.close(6, "enough");
    let reason = CloseReason::Peer { code: 6, reason: "enough".to_owned() };
    assert_eq!(soon(receiver.recv()).await, Err(MessageError::ConnectionLost(reason)));
}

pub async fn no_message_is_lost_when_recv_is_cancelled<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sender, mut receiver) = (pair.dialled.messages(), pair.accepted.messages());
    let send = async {
        for round in 0..40 {
            sender.send(numbered(round * 10_000)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        sender.finish().await.unwrap();
    };
    let receive = async {
        let mut cancelled = 0;
        for round in 0..40 {
            let message = loop {
                match timeout(Duration::from_millis(1), receiver.recv()).await {
                    Ok(message) => break message.unwrap(),
                    Err(_) => cancelled += 1,
                }
            };
            assert!(message == Some(numbered(round * 10_000)), "message {round} has changed");
        }
        assert!(cancelled > 0, "nothing was put to the test");
    };
    soon(async { tokio::join!(send, receive) }).await;
}

pub async fn messages_of_no_bytes_are_messages<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sender, mut receiver) = (pair.dialled.messages(), pair.accepted.messages());
    for message in ["", "between", "", ""] {
        soon(sender.send(message.into())).await.unwrap();
    }
    soon(sender.finish()).await.unwrap();
    for message in ["", "between", "", ""] {
        assert_eq!(soon(receiver.recv()).await, Ok(Some(message.into())));
    }
    assert_eq!(soon(receiver.recv()).await, Ok(None));
}

pub async fn finishing_without_a_message_tells_the_peer<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sender, mut receiver) = (pair.dialled.messages(), pair.accepted.messages());
    soon(sender.finish()).await.unwrap();
    assert_eq!(soon(receiver.recv()).await, Ok(None));
    // Each direction ends alone.
    soon(receiver.send("still here".into())).await.unwrap();
    assert_eq!(soon(sender.recv()).await, Ok(Some("still here".into())));
    assert_eq!(soon(sender.send("too late".into())).await, Err(MessageError::Write(WriteError::Closed)));
}

/// A sender waits for its reader, and nothing is lost by that.
pub async fn a_reader_that_does_not_read_holds_its_sender_back<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (mut sender, mut receiver) = (pair.dialled.messages(), pair.accepted.messages());
    let mut sending = Box::pin(async {
        for round in 0..8 {
            sender.send(numbered(MESSAGE_BYTES_MAX - round)).await.unwrap();
        }
        sender.finish().await.unwrap();
    });
    // 8 MiB are more than any window.
    assert!(waits(&mut sending).await);
    let receiving = async {
        for round in 0..8 {
            let message = receiver.recv().await.unwrap();
            assert!(message == Some(numbered(MESSAGE_BYTES_MAX - round)), "message {round} has changed");
        }
        assert_eq!(receiver.recv().await, Ok(None));
    };
    soon(async { tokio::join!(sending, receiving) }).await;
}

/// Half a message is worse than none: the channel refuses what comes after it.
pub async fn a_send_that_is_cancelled_in_the_middle_breaks_the_channel<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut sender = pair.dialled.messages();
    {
        let mut sending = Box::pin(sender.send(numbered(MESSAGE_BYTES_MAX)));
        assert!(waits(&mut sending).await);
    }
    assert_eq!(soon(sender.send("next".into())).await, Err(MessageError::Write(WriteError::Closed)));
    assert_eq!(soon(sender.finish()).await, Err(MessageError::Write(WriteError::Closed)));
}

/// A message whose bytes tell their place and its length.
fn numbered(length: usize) -> Bytes {
    (0..length).map(|place| u8::try_from((place + length) % 251).unwrap_or(0)).collect()
}
