//! Everything that a dial, a bind or a listen can be refused for.

use std::{net::UdpSocket, time::Duration};

use p2p_provider::{
    ConnectionConfig, P2PConnection, P2PError, P2PListener, P2PProvider, PeerAddr, PeerId, SecretKey,
    iroh::{IrohConfig, IrohP2P, Relays},
};

use crate::support::{PROTOCOL, Pair, connect, dead_peer, dial, echo, peer, soon, stranger};

#[tokio::test]
async fn a_second_listener_is_refused_until_the_first_is_gone() {
    let (client, server) = (peer().await, peer().await);
    let first = server.listen(&[PROTOCOL]).await.unwrap();
    assert!(matches!(server.listen(&[PROTOCOL]).await, Err(P2PError::AlreadyListening)));
    drop(first);
    let mut second = server.listen(&[PROTOCOL]).await.unwrap();
    connect(&client, &server.local_addr(), &mut second).await;
}

#[tokio::test]
async fn an_open_connection_outlives_its_listener() {
    let Pair { dialled, accepted, listener, client: _client, server: _server } = Pair::new().await;
    drop(listener);
    echo(&dialled, &accepted).await;
}

#[tokio::test]
async fn another_key_at_the_right_address_is_not_believed() {
    let (client, server) = (peer().await, peer().await);
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let address = PeerAddr { id: stranger(), ..server.local_addr() };
    let config = dial();
    let dialled = soon(async {
        tokio::select! {
            dialled = client.connect(&address, &config) => dialled,
            _ = listener.accept() => unreachable!("the server is not who was dialled"),
        }
    });
    match dialled.await {
        Err(P2PError::Connect { peer, .. }) => assert_eq!(peer, address.id),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_protocol_that_the_peer_does_not_speak_is_named() {
    let (client, server) = (peer().await, peer().await);
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let config = ConnectionConfig::new(b"something-else/7");
    let address = server.local_addr();
    let error = soon(async {
        tokio::select! {
            dialled = client.connect(&address, &config) => dialled.unwrap_err(),
            _ = listener.accept() => unreachable!("no protocol in common"),
        }
    })
    .await;
    assert!(matches!(&error, P2PError::ProtocolMismatch { protocol, .. } if protocol == "something-else/7"), "{error}");
    assert!(error.to_string().contains("something-else/7"));
}

#[tokio::test]
async fn any_of_the_protocols_of_a_listener_will_do() {
    let (client, server) = (peer().await, peer().await);
    let mut listener = server.listen(&[b"old/1", PROTOCOL]).await.unwrap();
    connect(&client, &server.local_addr(), &mut listener).await;
    let config = ConnectionConfig::new(b"old/1");
    let address = server.local_addr();
    let (dialled, accepted) = soon(async { tokio::join!(client.connect(&address, &config), listener.accept()) }).await;
    assert_eq!(dialled.unwrap().peer_info().id, server.local_peer_id());
    assert_eq!(accepted.unwrap().peer_info().id, client.local_peer_id());
}

#[tokio::test]
async fn a_dead_address_costs_the_timeout_of_the_dial_and_no_more() {
    let client = peer().await;
    let (address, _socket) = dead_peer();
    let limit = Duration::from_millis(400);
    let started = tokio::time::Instant::now();
    let error = soon(client.connect(&address, &dial().connect_timeout(limit))).await.unwrap_err();
    assert!(matches!(error, P2PError::ConnectTimeout { timeout, .. } if timeout == limit), "{error}");
    // The idle timeout of the transport, which would end the dial otherwise, is 5 s.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(client.connections().is_empty());
}

#[tokio::test]
async fn a_peer_that_does_not_listen_cannot_be_dialled() {
    let (client, server) = (peer().await, peer().await);
    let config = dial().connect_timeout(Duration::from_secs(1));
    assert!(soon(client.connect(&server.local_addr(), &config)).await.is_err());
}

#[tokio::test]
async fn a_peer_without_an_address_is_not_dialled() {
    let client = peer().await;
    let id = stranger();
    let error = soon(client.connect(&PeerAddr::new(id), &dial())).await.unwrap_err();
    assert!(matches!(error, P2PError::NoAddress { peer } if peer == id), "{error}");
}

#[tokio::test]
async fn addresses_that_cannot_be_are_refused_with_their_name() {
    let client = peer().await;
    let no_url = PeerAddr { relays: vec!["not a url".to_owned()], ..PeerAddr::new(stranger()) };
    let error = soon(client.connect(&no_url, &dial())).await.unwrap_err();
    assert!(matches!(error, P2PError::Config { field: "relay", .. }), "{error}");

    // y = 2 is on no point of the curve.
    let mut bytes = [0; 32];
    bytes[0] = 2;
    let no_key = PeerAddr { direct: vec!["127.0.0.1:9".parse().unwrap()], ..PeerAddr::new(PeerId(bytes)) };
    let error = soon(client.connect(&no_key, &dial())).await.unwrap_err();
    assert!(matches!(error, P2PError::Config { field: "peer id", .. }), "{error}");

    let config = IrohConfig::loopback(SecretKey::generate()).relays(Relays::Custom(vec!["not a url".to_owned()]));
    assert!(matches!(soon(IrohP2P::bind(config)).await, Err(P2PError::Config { field: "relay", .. })));
}

#[tokio::test]
async fn a_port_that_is_in_use_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = IrohConfig::loopback(SecretKey::generate());
    config.bind = vec![address];
    let error = soon(IrohP2P::bind(config)).await.unwrap_err();
    assert!(matches!(&error, P2PError::Bind { addresses, .. } if *addresses == address.to_string()), "{error}");
    assert!(error.to_string().contains(&address.to_string()));
}
