//! Which way packets go.

use std::pin::pin;

use futures::StreamExt;
use p2p_provider::{P2PConnection, P2PProvider, PathKind, PeerAddr};

use super::{
    pair::{Pair, echo},
    patience::{soon, waits},
};
use crate::backend::PeerBackend;

pub async fn the_path_is_the_one_that_the_backend_promises<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let promised = match backend.via().path {
        tunnel_core::PathKind::Direct => PathKind::Direct,
        tunnel_core::PathKind::Relayed => PathKind::Relayed,
        tunnel_core::PathKind::Unknown => PathKind::Unknown,
        tunnel_core::PathKind::Server => panic!("peers need no tunnel server"),
    };
    for connection in [&pair.dialled, &pair.accepted] {
        assert_eq!(connection.path().kind, promised);
        assert_eq!(connection.path_kind(), promised);
    }
}

pub async fn a_path_leads_to_an_address_of_the_peer_and_has_a_round_trip_time<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    echo(&pair.dialled, &pair.accepted).await;
    for (connection, peer) in [(&pair.dialled, &pair.server), (&pair.accepted, &pair.client)] {
        let path = connection.path();
        let remote = path.remote.clone().unwrap();
        assert!(addresses(&peer.local_addr()).contains(&remote), "{path:?}");
        assert!(path.rtt.is_some_and(|rtt| !rtt.is_zero()), "{path:?}");
    }
}

pub async fn a_peer_knows_who_and_where_it_is<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    for peer in [&pair.client, &pair.server] {
        let address = peer.local_addr();
        assert_eq!(address.id, peer.local_peer_id());
        assert!(!addresses(&address).is_empty());
    }
    assert_ne!(pair.client.local_peer_id(), pair.server.local_peer_id());
    let shared = |address: &String| addresses(&pair.server.local_addr()).contains(address);
    assert!(!pair.client.local_addr().direct.iter().map(ToString::to_string).any(|address| shared(&address)));
}

pub async fn path_changes_wait_while_the_connection_is_open<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let mut end = pin!(pair.dialled.path_changes().for_each(|_| async {}));
    assert!(waits(&mut end).await);
    echo(&pair.dialled, &pair.accepted).await;
    pair.accepted.close(0, "");
    soon(end).await;
}

pub async fn path_changes_end_with_the_connection<B: PeerBackend>(backend: B) {
    let pair = Pair::new(&backend).await;
    let (near, far) = (pair.dialled.path_changes(), pair.accepted.path_changes());
    pair.dialled.close(0, "");
    soon(near.collect::<Vec<_>>()).await;
    soon(far.collect::<Vec<_>>()).await;
}

pub async fn watching_the_path_does_not_keep_a_connection_open<B: PeerBackend>(backend: B) {
    let Pair { dialled, accepted, client: _client, server: _server, listener: _listener } = Pair::new(&backend).await;
    let changes = dialled.path_changes();
    drop(dialled);
    soon(accepted.closed()).await;
    soon(changes.collect::<Vec<_>>()).await;
}

/// All the ways to a peer, as a path names them.
fn addresses(peer: &PeerAddr) -> Vec<String> {
    peer.direct.iter().map(ToString::to_string).chain(peer.relays.iter().cloned()).collect()
}
