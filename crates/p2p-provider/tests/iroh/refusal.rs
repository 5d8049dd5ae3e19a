//! Settings and addresses that only Iroh can refuse.

use std::net::UdpSocket;

use p2p_provider::{
    P2PError, P2PProvider, PeerAddr, PeerId, SecretKey,
    iroh::{IrohConfig, IrohP2P, Relays, peer_id},
};

use crate::support::{dial, peer, soon};

#[tokio::test]
async fn addresses_that_cannot_be_are_refused_with_their_name() {
    let client = peer().await;
    let no_url = PeerAddr { relays: vec!["not a url".to_owned()], ..PeerAddr::new(peer_id(&SecretKey::generate())) };
    let error = soon(client.connect(&no_url, &dial())).await.unwrap_err();
    assert!(matches!(error, P2PError::Config { field: "relay", .. }), "{error}");

    // y = 2 is on no point of the curve.
    let mut bytes = [0; 32];
    bytes[0] = 2;
    let no_key = PeerAddr { direct: vec!["127.0.0.1:9".parse().unwrap()], ..PeerAddr::new(PeerId(bytes)) };
    let error = soon(client.connect(&no_key, &dial())).await.unwrap_err();
    assert!(matches!(error, P2PError::Config { field: "peer id", .. }), "{error}");

    let config = IrohConfig::loopback(SecretKey::generate()).relays(Relays::Custom(vec!["not a url".into()]));
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
