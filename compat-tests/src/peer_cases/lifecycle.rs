//! From the dial to the close.

use std::{pin::pin, task::Poll, time::Duration};

use futures::future::join_all;
use p2p_provider::{
    CloseReason, ConnectionState, Direction, P2PConnection, P2PError, P2PListener, P2PProvider, SendStream,
};
use tokio::time::sleep;

use super::{
    pair::{Pair, connect, dial, echo, listening, read_to_end, uni, write},
    patience::{soon, until, waits},
};
use crate::backend::PeerBackend;

pub async fn both_sides_know_who_the_other_is<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    assert_eq!(pair.dialled.peer_info().id, pair.server.local_peer_id());
    assert_eq!(pair.accepted.peer_info().id, pair.client.local_peer_id());
    echo(&pair.dialled, &pair.accepted).await;
    echo(&pair.accepted, &pair.dialled).await;
}

pub async fn an_open_connection_is_listed_on_both_sides<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    for (peer, connection, direction) in
        [(&pair.client, &pair.dialled, Direction::Outgoing), (&pair.server, &pair.accepted, Direction::Incoming)]
    {
        let list = peer.connections();
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!(list[0].id, connection.id());
        assert_eq!(list[0].peer, connection.peer_info());
        assert_eq!(list[0].direction, direction);
        assert_eq!(list[0].state, ConnectionState::Open);
        assert_eq!(list[0].path.as_ref().map(|path| path.kind), Some(connection.path_kind()));
    }
}

pub async fn connections_are_listed_oldest_first<B: PeerBackend>(backend: B) {
    let mut pair = Pair::new(&backend).await;
    let (second, _accepted) = pair.another().await;
    let ids: Vec<u64> = pair.client.connections().iter().map(|info| info.id).collect();
    assert_eq!(ids, [pair.dialled.id(), second.id()]);
}

pub async fn a_dial_is_listed_while_it_goes_on<B: PeerBackend>(backend: B) {
    let client = soon(backend.peer()).await;
    let address = soon(backend.dead_peer()).await;
    {
        let config = dial();
        let mut attempt = pin!(client.connect(&address, &config));
        assert!(waits(&mut attempt).await);
        let list = client.connections();
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!((list[0].id, list[0].peer.id), (0, address.id));
        assert_eq!((list[0].direction, list[0].state), (Direction::Outgoing, ConnectionState::Connecting));
        assert_eq!(list[0].path, None);
    }
    assert!(client.connections().is_empty(), "an abandoned dial is forgotten");
}

pub async fn a_closed_connection_is_no_longer_listed<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    pair.dialled.close(0, "done");
    assert!(pair.client.connections().is_empty());
    soon(pair.accepted.closed()).await;
    assert!(pair.server.connections().is_empty());
}

pub async fn the_reason_and_the_code_of_a_close_reach_the_other_side<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    assert_eq!(pair.accepted.close_reason(), None);
    pair.dialled.close(4711, "enough for today");
    let reason = CloseReason::Peer { code: 4711, reason: "enough for today".to_owned() };
    assert_eq!(soon(pair.accepted.closed()).await, reason);
    assert_eq!(pair.accepted.close_reason(), Some(reason.clone()));
    assert_eq!(soon(pair.accepted.open_bi()).await.err(), Some(reason));
    assert_eq!(soon(pair.dialled.closed()).await, CloseReason::Local);
    assert_eq!(soon(pair.dialled.accept_uni()).await.err(), Some(CloseReason::Local));
}

pub async fn the_first_close_counts<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    pair.dialled.close(1, "first");
    pair.dialled.close(2, "second");
    assert_eq!(soon(pair.accepted.closed()).await, CloseReason::Peer { code: 1, reason: "first".to_owned() });
}

pub async fn disconnect_closes_every_connection_to_that_peer_and_no_other<B: PeerBackend>(backend: B) {
    let mut pair = Pair::new(&backend).await;
    let (_second, accepted) = pair.another().await;
    let other = soon(backend.peer()).await;
    let (_other_dialled, other_accepted) = connect(&other, &pair.server.local_addr(), &mut pair.listener).await;

    assert_eq!(pair.client.disconnect(pair.server.local_peer_id(), 5, "moving"), 2);

    let reason = CloseReason::Peer { code: 5, reason: "moving".to_owned() };
    assert_eq!(soon(pair.accepted.closed()).await, reason);
    assert_eq!(soon(accepted.closed()).await, reason);
    assert_eq!(other_accepted.close_reason(), None);
    assert_eq!(pair.client.disconnect(pair.server.local_peer_id(), 5, "moving"), 0);
}

pub async fn a_peer_can_be_dialled_again_after_a_close<B: PeerBackend>(backend: B) {
    let mut pair = Pair::new(&backend).await;
    for round in 0..5 {
        pair.dialled.close(round, "again");
        soon(pair.accepted.closed()).await;
        (pair.dialled, pair.accepted) = pair.another().await;
        echo(&pair.dialled, &pair.accepted).await;
    }
}

pub async fn a_connection_closes_with_its_last_clone<B: PeerBackend>(backend: B) {
    let Pair { dialled, accepted, client: _client, server: _server, listener: _listener } = Pair::new(&backend).await;
    let clone = dialled.clone();
    drop(dialled);
    echo(&clone, &accepted).await;
    drop(clone);
    assert!(matches!(soon(accepted.closed()).await, CloseReason::Peer { code: 0, .. }));
}

pub async fn a_stream_keeps_its_connection_open<B: PeerBackend>(backend: B) {
    let Pair { dialled, accepted, client: _client, server: _server, listener: _listener } = Pair::new(&backend).await;
    let (mut send, mut recv) = uni(&dialled, &accepted).await;
    drop(dialled);
    let mut closed = Box::pin(accepted.closed());
    assert!(waits(&mut closed).await);
    write(&mut send, b"still here").await;
    send.finish();
    assert_eq!(read_to_end(&mut recv).await.unwrap(), b"still here");
    drop(send);
    soon(closed).await;
}

pub async fn waiting_for_the_close_does_not_keep_a_connection_open<B: PeerBackend>(backend: B) {
    let Pair { dialled, accepted, client: _client, server: _server, listener: _listener } = Pair::new(&backend).await;
    let closed = dialled.closed();
    drop(dialled);
    soon(accepted.closed()).await;
    soon(closed).await;
}

pub async fn closing_a_peer_is_seen_at_once_by_all_its_connections<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    soon(pair.client.close()).await;
    // Had the close not been sent, this would be a `TimedOut`.
    assert!(matches!(soon(pair.accepted.closed()).await, CloseReason::Peer { .. }));
    soon(pair.client.close()).await;
}

pub async fn a_closed_peer_refuses_work<B: PeerBackend>(backend: B) {
    let mut pair = Pair::new(&backend).await;
    soon(pair.server.close()).await;
    assert!(soon(pair.listener.accept()).await.is_none());
    assert!(matches!(pair.server.listen(&[b"x"]).await, Err(P2PError::Closed)));
    let address = pair.client.local_addr();
    assert!(matches!(soon(pair.server.connect(&address, &dial())).await, Err(P2PError::Closed)));
    assert!(pair.server.connections().is_empty());
}

/// [`P2PListener::accept`] is cancel safe, even when it is dropped after every look.
pub async fn no_connection_is_lost_when_accept_is_cancelled<B: PeerBackend>(backend: B) {
    let (server, mut listener) = listening(&backend).await;
    let clients = join_all((0..5).map(|_| backend.peer())).await;
    let (address, config) = (server.local_addr(), dial());
    let dials = join_all(clients.iter().map(|client| client.connect(&address, &config)));
    let accept = async {
        let mut accepted = Vec::new();
        while accepted.len() < 5 {
            let polled = futures::poll!(pin!(listener.accept()));
            match polled {
                Poll::Ready(connection) => accepted.push(connection.unwrap()),
                Poll::Pending => sleep(Duration::from_millis(1)).await,
            }
        }
        accepted
    };
    let (dialled, accepted) = soon(async { tokio::join!(dials, accept) }).await;
    for (client, connection) in clients.iter().zip(dialled) {
        let other = accepted.iter().find(|other| other.peer_info().id == client.local_peer_id()).unwrap();
        echo(&connection.unwrap(), other).await;
    }
}

/// A dial that is dropped leaves nothing behind that would be in the way of the next one.
pub async fn an_abandoned_dial_does_not_hinder_the_next<B: PeerBackend>(backend: B) {
    let (server, mut listener) = listening(&backend).await;
    let client = soon(backend.peer()).await;
    let (address, config) = (server.local_addr(), dial());
    // Nobody accepts, so the handshake does not end.
    assert!(waits(&mut pin!(client.connect(&address, &config))).await);
    assert!(client.connections().is_empty());
    let dialled = soon(async {
        let mut dialled = pin!(client.connect(&address, &config));
        let mut accepted = Vec::new();
        loop {
            tokio::select! {
                biased;
                dialled = &mut dialled => break dialled,
                // Perhaps also what is left of the first dial.
                connection = listener.accept() => accepted.push(connection),
            }
        }
    });
    assert_eq!(dialled.await.unwrap().peer_info().id, server.local_peer_id());
}

pub async fn disconnecting_a_stranger_is_nothing<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let stranger = soon(backend.dead_peer()).await.id;
    assert_eq!(pair.client.disconnect(stranger, 5, "who are you?"), 0);
    echo(&pair.dialled, &pair.accepted).await;
}

pub async fn the_side_that_was_dialled_can_disconnect<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    assert_eq!(pair.server.disconnect(pair.client.local_peer_id(), 12, "full"), 1);
    assert_eq!(soon(pair.dialled.closed()).await, CloseReason::Peer { code: 12, reason: "full".to_owned() });
    assert_eq!(soon(pair.accepted.closed()).await, CloseReason::Local);
    assert!(pair.server.connections().is_empty());
    assert!(pair.client.connections().is_empty());
}

/// Codes have the 62 bits of a QUIC variable-length integer; reasons are any text.
pub async fn large_codes_and_any_words_arrive_with_a_close<B: PeerBackend>(backend: B) {
    let mut pair = Pair::new(&backend).await;
    for (code, words) in [(0, ""), (251, "Grüße, 世界"), ((1 << 62) - 1, &*"why? ".repeat(100))] {
        pair.dialled.close(code, words);
        assert_eq!(soon(pair.accepted.closed()).await, CloseReason::Peer { code, reason: words.to_owned() });
        (pair.dialled, pair.accepted) = pair.another().await;
    }
}

/// Who asks again, or late, or in several places at once, is told the same.
pub async fn the_reason_of_a_close_is_told_to_all_who_ask<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let early = join_all((0..3).map(|_| pair.accepted.closed()));
    let clone = pair.accepted.clone();
    pair.dialled.close(8, "bye");
    let reason = CloseReason::Peer { code: 8, reason: "bye".to_owned() };
    assert_eq!(soon(early).await, [reason.clone(), reason.clone(), reason.clone()]);
    // Our own close comes too late to count.
    clone.close(9, "no, I");
    assert_eq!(soon(clone.closed()).await, reason);
    assert_eq!(soon(pair.accepted.accept_bi()).await.err(), Some(reason.clone()));
    assert_eq!(clone.close_reason(), Some(reason));
}

pub async fn an_accept_that_waits_ends_with_its_peer<B: PeerBackend>(backend: B) {
    let (server, mut listener) = listening(&backend).await;
    let mut accept = pin!(listener.accept());
    assert!(waits(&mut accept).await);
    soon(server.close()).await;
    assert!(soon(accept).await.is_none());
}

pub async fn clones_of_a_peer_are_one_peer<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let clone = pair.client.clone();
    assert_eq!(clone.local_peer_id(), pair.client.local_peer_id());
    assert_eq!(clone.connections().len(), 1);
    soon(clone.close()).await;
    let refused = soon(pair.client.connect(&pair.server.local_addr(), &dial())).await;
    assert!(matches!(refused, Err(P2PError::Closed)));
    until(|| pair.server.connections().is_empty()).await;
}
