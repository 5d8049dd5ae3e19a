//! The addresses of peers on loopback.

use p2p_provider::{P2PConnection, P2PProvider, PathKind};

use crate::support::{PROTOCOL, connect, peer};

#[tokio::test]
async fn a_path_on_loopback_leads_straight_to_the_socket_of_the_peer() {
    let (client, server) = (peer().await, peer().await);
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let (dialled, accepted) = connect(&client, &server.local_addr(), &mut listener).await;
    let path = dialled.path();
    assert_eq!(path.kind, PathKind::Direct);
    assert_eq!(path.remote, server.bound_sockets().first().map(ToString::to_string));
    assert_eq!(accepted.path_kind(), PathKind::Direct);
}

#[tokio::test]
async fn a_peer_on_loopback_has_no_other_address() {
    let peer = peer().await;
    let address = peer.local_addr();
    assert_eq!(address.id, peer.local_peer_id());
    assert_eq!(address.direct, peer.bound_sockets());
    assert!(address.direct.iter().all(|address| address.ip().is_loopback()));
    assert!(address.relays.is_empty());
}
