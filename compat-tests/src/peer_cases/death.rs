//! Peers that go without a word.

use std::time::Duration;

use bytes::Bytes;
use p2p_provider::{
    CloseReason, MessageError, P2PConnection, P2PError, P2PListener, P2PProvider, ReadError, SendStream, WriteError,
};
use tokio::time::sleep;

use super::{
    pair::{PROTOCOL, Pair, bi, connect, dial, echo, listening, read_to_end},
    patience::{soon, waits},
};
use crate::backend::PeerBackend;

/// The death of a peer is a `TimedOut` within the idle timeout, which is seconds.
pub async fn a_peer_that_is_killed_is_noticed<B: PeerBackend>(backend: B) {
    let Pair { client, server, listener, dialled, accepted } = acquainted(&backend).await;
    assert_eq!(dialled.close_reason(), None);
    soon(backend.kill_peer(server)).await;
    assert_eq!(soon(dialled.closed()).await, CloseReason::TimedOut);
    assert_eq!(soon(dialled.open_bi()).await.err(), Some(CloseReason::TimedOut));
    assert_eq!(dialled.close_reason(), Some(CloseReason::TimedOut));
    assert!(client.connections().is_empty());
    drop((listener, accepted));
}

/// Its process stands still: nothing is refused, and nothing answers.
pub async fn a_peer_that_freezes_is_noticed<B: PeerBackend>(backend: B) {
    let pair = acquainted(&backend).await;
    soon(backend.freeze_peer(&pair.server)).await;
    assert_eq!(soon(pair.dialled.closed()).await, CloseReason::TimedOut);
    assert_eq!(soon(pair.dialled.open_bi()).await.err(), Some(CloseReason::TimedOut));
    assert!(pair.client.connections().is_empty());
}

pub async fn the_death_of_the_dialler_is_noticed_too<B: PeerBackend>(backend: B) {
    let Pair { client, server, mut listener, dialled, accepted } = acquainted(&backend).await;
    soon(backend.kill_peer(client)).await;
    assert_eq!(soon(accepted.closed()).await, CloseReason::TimedOut);
    assert!(server.connections().is_empty());
    // The listener has survived it.
    let another = soon(backend.peer()).await;
    let (dialled_again, accepted_again) = connect(&another, &server.local_addr(), &mut listener).await;
    echo(&dialled_again, &accepted_again).await;
    drop(dialled);
}

pub async fn readers_and_writers_learn_of_a_death<B: PeerBackend>(backend: B) {
    let Pair { client: _client, server, listener, dialled, accepted } = acquainted(&backend).await;
    let ((mut send, mut recv), other) = bi(&dialled, &accepted).await;
    let mut messages = dialled.messages();
    soon(backend.kill_peer(server)).await;
    let writing = async { send.write_chunks(&mut [Bytes::from(vec![1; 4 << 20])]).await };
    let (written, read, received) =
        soon(async { tokio::join!(writing, read_to_end(&mut recv), messages.recv()) }).await;
    assert_eq!(written, Err(WriteError::ConnectionLost(CloseReason::TimedOut)));
    assert_eq!(read, Err(ReadError::ConnectionLost(CloseReason::TimedOut)));
    assert_eq!(received, Err(MessageError::ConnectionLost(CloseReason::TimedOut)));
    assert_eq!(soon(send.stopped()).await, None);
    drop((listener, accepted, other));
}

pub async fn the_survivors_of_a_death_go_on<B: PeerBackend>(backend: B) {
    let Pair { client, server, listener, dialled, accepted } = acquainted(&backend).await;
    let (other, mut other_listener) = listening(&backend).await;
    let (to_other, at_other) = connect(&client, &other.local_addr(), &mut other_listener).await;
    soon(backend.kill_peer(server)).await;
    let mut death = Box::pin(dialled.closed());
    while waits(&mut death).await {
        echo(&to_other, &at_other).await;
    }
    echo(&to_other, &at_other).await;
    assert_eq!(client.connections().iter().map(|info| info.id).collect::<Vec<_>>(), [to_other.id()]);
    drop((listener, accepted));
}

/// Silence alone is no death: the transport keeps connections alive on which nothing happens.
pub async fn an_idle_connection_stays_open<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    // Longer than the idle timeout of 5 s.
    sleep(Duration::from_secs(8)).await;
    assert_eq!((pair.dialled.close_reason(), pair.accepted.close_reason()), (None, None));
    echo(&pair.dialled, &pair.accepted).await;
}

pub async fn a_dial_to_a_killed_peer_takes_its_timeout_and_no_more<B: PeerBackend>(backend: B) {
    let Pair { client, server, listener, dialled, accepted } = acquainted(&backend).await;
    let address = server.local_addr();
    soon(backend.kill_peer(server)).await;
    let config = dial().connect_timeout(Duration::from_millis(400));
    let error = soon(client.connect(&address, &config)).await.err().unwrap();
    assert!(matches!(error, P2PError::ConnectTimeout { peer, .. } if peer == address.id), "{error}");
    drop((listener, dialled, accepted));
}

pub async fn nobody_answers_at_the_address_of_a_killed_peer<B: PeerBackend>(backend: B) {
    let Pair { client, server, listener, dialled, accepted } = acquainted(&backend).await;
    let address = server.local_addr();
    soon(backend.kill_peer(server)).await;
    let mut newcomers = Vec::new();
    for _ in 0..10 {
        let (peer, listener) = listening(&backend).await;
        assert_ne!(peer.local_peer_id(), address.id);
        newcomers.push((peer, listener));
    }
    let config = dial().connect_timeout(Duration::from_secs(1));
    let accepts = newcomers.iter_mut().map(|(_, listener)| Box::pin(listener.accept()));
    soon(async {
        tokio::select! {
            biased;
            _ = futures::future::select_all(accepts) => panic!("a newcomer was taken for the dead peer"),
            dialled = client.connect(&address, &config) => assert!(dialled.is_err()),
        }
    })
    .await;
    drop((listener, dialled, accepted));
}

/// What a reboot looks like from outside: the address that is known still leads to the peer.
pub async fn a_peer_that_comes_back_is_found_where_it_was<B: PeerBackend>(backend: B) {
    let Pair { client, server, listener, dialled, accepted } = acquainted(&backend).await;
    let address = server.local_addr();
    soon(backend.kill_peer(server)).await;
    drop((listener, accepted));
    let server = soon(backend.revive_peer(address.id)).await;
    assert_eq!(server.local_addr(), address);
    assert!(server.connections().is_empty());
    let mut listener = soon(server.listen(&[PROTOCOL])).await.unwrap();
    let (again, at_server) = connect(&client, &address, &mut listener).await;
    echo(&again, &at_server).await;
    // Its first life is over all the same.
    assert_ne!(soon(dialled.closed()).await, CloseReason::Local);
    echo(&at_server, &again).await;
}

/// Two peers that have talked, so that no handshake is under way any more.
async fn acquainted<B: PeerBackend>(backend: &B) -> Pair<B::Provider> {
    let pair = Pair::new(backend).await;
    echo(&pair.dialled, &pair.accepted).await;
    echo(&pair.accepted, &pair.dialled).await;
    pair
}
