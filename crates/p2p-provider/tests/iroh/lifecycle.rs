//! From the dial to the close.

use std::pin::pin;

use futures::future::join_all;
use p2p_provider::{
    CloseReason, ConnectionState, Direction, P2PConnection, P2PError, P2PListener, P2PProvider, PathKind, SendStream,
};

use crate::support::{PROTOCOL, Pair, connect, dead_peer, dial, echo, peer, read_to_end, soon, uni, waits, write};

#[tokio::test]
async fn both_sides_know_who_the_other_is() {
    let pair = Pair::new().await;
    assert_eq!(pair.dialled.peer_info().id, pair.server.local_peer_id());
    assert_eq!(pair.accepted.peer_info().id, pair.client.local_peer_id());
    echo(&pair.dialled, &pair.accepted).await;
    echo(&pair.accepted, &pair.dialled).await;
}

#[tokio::test]
async fn an_open_connection_is_listed_on_both_sides() {
    let pair = Pair::new().await;
    for (peer, connection, direction) in
        [(&pair.client, &pair.dialled, Direction::Outgoing), (&pair.server, &pair.accepted, Direction::Incoming)]
    {
        let list = peer.connections();
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!(list[0].id, connection.id());
        assert_eq!(list[0].peer, connection.peer_info());
        assert_eq!(list[0].direction, direction);
        assert_eq!(list[0].state, ConnectionState::Open);
        assert_eq!(list[0].path.as_ref().map(|path| path.kind), Some(PathKind::Direct));
    }
}

#[tokio::test]
async fn connections_are_listed_oldest_first() {
    let mut pair = Pair::new().await;
    let (second, _accepted) = pair.another().await;
    let ids: Vec<u64> = pair.client.connections().iter().map(|info| info.id).collect();
    assert_eq!(ids, [pair.dialled.id(), second.id()]);
}

#[tokio::test]
async fn a_dial_is_listed_while_it_goes_on() {
    let client = peer().await;
    let (address, _socket) = dead_peer();
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

#[tokio::test]
async fn a_closed_connection_is_no_longer_listed() {
    let pair = Pair::new().await;
    pair.dialled.close(0, "done");
    assert!(pair.client.connections().is_empty());
    soon(pair.accepted.closed()).await;
    assert!(pair.server.connections().is_empty());
}

#[tokio::test]
async fn the_reason_and_the_code_of_a_close_reach_the_other_side() {
    let pair = Pair::new().await;
    assert_eq!(pair.accepted.close_reason(), None);
    pair.dialled.close(4711, "enough for today");
    let reason = CloseReason::Peer { code: 4711, reason: "enough for today".to_owned() };
    assert_eq!(soon(pair.accepted.closed()).await, reason);
    assert_eq!(pair.accepted.close_reason(), Some(reason.clone()));
    assert_eq!(soon(pair.accepted.open_bi()).await.err(), Some(reason));
    assert_eq!(soon(pair.dialled.closed()).await, CloseReason::Local);
    assert_eq!(soon(pair.dialled.accept_uni()).await.err(), Some(CloseReason::Local));
}

#[tokio::test]
async fn the_first_close_counts() {
    let pair = Pair::new().await;
    pair.dialled.close(1, "first");
    pair.dialled.close(2, "second");
    assert_eq!(soon(pair.accepted.closed()).await, CloseReason::Peer { code: 1, reason: "first".to_owned() });
}

#[tokio::test]
async fn disconnect_closes_every_connection_to_that_peer_and_no_other() {
    let mut pair = Pair::new().await;
    let (_second, accepted) = pair.another().await;
    let other = peer().await;
    let (_other_dialled, other_accepted) = connect(&other, &pair.server.local_addr(), &mut pair.listener).await;

    assert_eq!(pair.client.disconnect(pair.server.local_peer_id(), 5, "moving"), 2);

    let reason = CloseReason::Peer { code: 5, reason: "moving".to_owned() };
    assert_eq!(soon(pair.accepted.closed()).await, reason);
    assert_eq!(soon(accepted.closed()).await, reason);
    assert_eq!(other_accepted.close_reason(), None);
    assert_eq!(pair.client.disconnect(pair.server.local_peer_id(), 5, "moving"), 0);
}

#[tokio::test]
async fn a_peer_can_be_dialled_again_after_a_close() {
    let mut pair = Pair::new().await;
    for round in 0..5 {
        pair.dialled.close(round, "again");
        soon(pair.accepted.closed()).await;
        (pair.dialled, pair.accepted) = pair.another().await;
        echo(&pair.dialled, &pair.accepted).await;
    }
}

#[tokio::test]
async fn a_connection_closes_with_its_last_clone() {
    let Pair { dialled, accepted, client: _client, server: _server, listener: _listener } = Pair::new().await;
    let clone = dialled.clone();
    drop(dialled);
    echo(&clone, &accepted).await;
    drop(clone);
    assert!(matches!(soon(accepted.closed()).await, CloseReason::Peer { code: 0, .. }));
}

#[tokio::test]
async fn a_stream_keeps_its_connection_open() {
    let Pair { dialled, accepted, client: _client, server: _server, listener: _listener } = Pair::new().await;
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

#[tokio::test]
async fn waiting_for_the_close_does_not_keep_a_connection_open() {
    let Pair { dialled, accepted, client: _client, server: _server, listener: _listener } = Pair::new().await;
    let closed = dialled.closed();
    drop(dialled);
    soon(accepted.closed()).await;
    soon(closed).await;
}

#[tokio::test]
async fn closing_a_peer_is_seen_at_once_by_all_its_connections() {
    let pair = Pair::new().await;
    soon(pair.client.close()).await;
    // Had the close not been sent, this would be a `TimedOut`.
    assert!(matches!(soon(pair.accepted.closed()).await, CloseReason::Peer { .. }));
    soon(pair.client.close()).await;
}

#[tokio::test]
async fn a_closed_peer_refuses_work() {
    let mut pair = Pair::new().await;
    soon(pair.server.close()).await;
    assert!(soon(pair.listener.accept()).await.is_none());
    assert!(matches!(pair.server.listen(&[b"x"]).await, Err(P2PError::Closed)));
    let address = pair.client.local_addr();
    assert!(matches!(soon(pair.server.connect(&address, &dial())).await, Err(P2PError::Closed)));
    assert!(pair.server.connections().is_empty());
}

#[tokio::test]
async fn one_listener_serves_ten_dialers() {
    let server = peer().await;
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let address = server.local_addr();
    let clients = join_all((0..10).map(|_| peer())).await;

    let accept = async {
        let mut accepted = Vec::new();
        for _ in 0..10 {
            accepted.push(listener.accept().await.unwrap());
        }
        accepted
    };
    let config = dial();
    let dials = join_all(clients.iter().map(|client| client.connect(&address, &config)));
    let (accepted, dialled) = soon(async { tokio::join!(accept, dials) }).await;

    let dialled: Vec<_> = dialled.into_iter().map(Result::unwrap).collect();
    assert_eq!(server.connections().len(), 10);
    // Each answer reaches the one who asked.
    for (client, connection) in clients.iter().zip(&dialled) {
        let other = accepted.iter().find(|other| other.peer_info().id == client.local_peer_id()).unwrap();
        echo(connection, other).await;
    }
}
