//! Which way packets go.

use futures::StreamExt;
use p2p_provider::{P2PConnection, P2PProvider, PathKind};

use crate::support::{Pair, soon};

#[tokio::test]
async fn a_path_on_loopback_is_direct_and_has_a_round_trip_time() {
    let pair = Pair::new().await;
    let path = pair.dialled.path();
    assert_eq!(path.kind, PathKind::Direct);
    assert_eq!(path.remote, pair.server.bound_sockets().first().map(ToString::to_string));
    assert!(path.rtt.is_some_and(|rtt| !rtt.is_zero()), "{path:?}");
    assert_eq!(pair.dialled.path_kind(), PathKind::Direct);
    assert_eq!(pair.accepted.path_kind(), PathKind::Direct);
}

#[tokio::test]
async fn a_peer_on_loopback_has_no_other_address() {
    let pair = Pair::new().await;
    let address = pair.server.local_addr();
    assert_eq!(address.id, pair.server.local_peer_id());
    assert_eq!(address.direct, pair.server.bound_sockets());
    assert!(address.direct.iter().all(|address| address.ip().is_loopback()));
    assert!(address.relays.is_empty());
}

#[tokio::test]
async fn path_changes_end_with_the_connection() {
    let pair = Pair::new().await;
    let (near, far) = (pair.dialled.path_changes(), pair.accepted.path_changes());
    pair.dialled.close(0, "");
    soon(near.collect::<Vec<_>>()).await;
    soon(far.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn watching_the_path_does_not_keep_a_connection_open() {
    let Pair { dialled, accepted, client: _client, server: _server, listener: _listener } = Pair::new().await;
    let changes = dialled.path_changes();
    drop(dialled);
    soon(accepted.closed()).await;
    soon(changes.collect::<Vec<_>>()).await;
}
