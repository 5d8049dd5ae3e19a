//! Peers that meet at a relay. The relay runs in this process, on loopback and without TLS.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

use futures::StreamExt;
use iroh_relay::server::{RelayConfig, Server, ServerConfig};
use p2p_provider::{
    P2PConnection, P2PProvider, PathKind, PeerAddr, SecretKey,
    iroh::{IrohConfig, IrohP2P, Relays},
};

use crate::support::{PROTOCOL, connect, echo, soon};

#[tokio::test]
async fn a_peer_is_reached_through_its_relay_and_the_path_becomes_direct() {
    let (_relay, url) = relay().await;
    let (client, server) = (at_relay(&url, Family::V4).await, at_relay(&url, Family::V4).await);
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let (dialled, accepted) = connect(&client, &only_at_relay(&server), &mut listener).await;
    echo(&dialled, &accepted).await;

    let mut changes = dialled.path_changes();
    let direct = async {
        while dialled.path_kind() != PathKind::Direct {
            assert!(changes.next().await.is_some(), "the connection is open");
        }
    };
    soon(direct).await;
    assert_eq!(dialled.path().remote, server.bound_sockets().first().map(ToString::to_string));
    echo(&dialled, &accepted).await;
}

/// One peer has only IPv4, the other only IPv6: no packet goes straight from one to the other.
#[tokio::test]
async fn peers_without_a_direct_path_stay_on_the_relay() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let (_relay, url) = relay().await;
    let (client, server) = (at_relay(&url, Family::V4).await, at_relay(&url, Family::V6).await);
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    assert_eq!(server.local_addr().relays, [url.as_str()]);
    let (dialled, accepted) = connect(&client, &only_at_relay(&server), &mut listener).await;
    for _ in 0..20 {
        echo(&dialled, &accepted).await;
        echo(&accepted, &dialled).await;
    }
    let path = dialled.path();
    assert_eq!((path.kind, path.remote.as_deref()), (PathKind::Relayed, Some(url.as_str())));
    assert!(path.rtt.is_some());
    assert_eq!(accepted.path_kind(), PathKind::Relayed);
}

enum Family {
    V4,
    V6,
}

/// A relay and its URL.
async fn relay() -> (Server, String) {
    let mut config = ServerConfig::default();
    config.relay = Some(RelayConfig::new((Ipv4Addr::LOCALHOST, 0)));
    let relay = soon(Server::spawn(config)).await.expect("loopback can be bound");
    let address = relay.http_addr().expect("it serves HTTP");
    (relay, format!("http://{address}/"))
}

/// A peer on loopback that is registered at the relay.
async fn at_relay(url: &str, family: Family) -> IrohP2P {
    let mut config = IrohConfig::loopback(SecretKey::generate()).relays(Relays::Custom(vec![url.into()]));
    if matches!(family, Family::V6) {
        config.bind = vec![(Ipv6Addr::LOCALHOST, 0).into()];
    }
    let peer = soon(IrohP2P::bind(config)).await.expect("loopback can be bound");
    soon(peer.online()).await;
    peer
}

/// What a ticket holds of a peer whose own addresses are of no use.
fn only_at_relay(peer: &IrohP2P) -> PeerAddr {
    PeerAddr { direct: Vec::new(), ..peer.local_addr() }
}
