//! Peers that are found by their id, at a real lookup server on loopback.

use std::net::{IpAddr, Ipv4Addr};

use iroh_dns_server::{
    Server,
    config::{Config, DnsConfig, MetricsConfig, RateLimitConfig},
};
use p2p_provider::{
    P2PConnection, P2PError, P2PProvider, PathKind, PeerAddr, SecretKey,
    iroh::{IrohConfig, IrohP2P, Lookup, Publish},
};

use crate::support::{PROTOCOL, connect, dial, echo, soon};

#[tokio::test]
async fn a_peer_is_found_by_its_id_and_again_when_its_addresses_in_the_ticket_are_old() {
    let (_server, url, _files) = lookup_server().await;
    let server = peer(&url, true, Publish::All).await;
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let client = peer(&url, false, Publish::All).await;

    let by_id = published(&client, PeerAddr::new(server.local_peer_id())).await;
    let (dialled, accepted) = connect(&client, &by_id, &mut listener).await;
    echo(&dialled, &accepted).await;
    assert_eq!(dialled.path_kind(), PathKind::Direct);
    dialled.close(0, "");
    soon(accepted.closed()).await;

    let nobody = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let other = peer(&url, false, Publish::All).await;
    let old = PeerAddr { direct: vec![nobody], ..by_id };
    let (dialled, accepted) = connect(&other, &old, &mut listener).await;
    echo(&dialled, &accepted).await;
}

#[tokio::test]
async fn whoever_only_looks_up_or_publishes_nothing_direct_is_not_found() {
    let (_server, url, _files) = lookup_server().await;
    let silent = peer(&url, false, Publish::All).await;
    let discreet = peer(&url, true, Publish::Relays).await;
    assert_eq!(discreet.local_addr().direct, []);
    assert!(!discreet.addresses().is_empty(), "it knows where it is");
    let client = peer(&url, false, Publish::All).await;
    for hidden in [&silent, &discreet] {
        let _listener = hidden.listen(&[PROTOCOL]).await.unwrap();
        let result = soon(client.connect(&PeerAddr::new(hidden.local_peer_id()), &dial())).await;
        assert!(matches!(result, Err(P2PError::Connect { .. } | P2PError::ConnectTimeout { .. })), "{result:?}");
    }
}

/// The peer's id is published in the background: asks until it is.
async fn published(client: &IrohP2P, peer: PeerAddr) -> PeerAddr {
    let found = async {
        // Whoever does not listen refuses the protocol, and is found.
        while matches!(
            client.connect(&peer, &p2p_provider::ConnectionConfig::new(b"nobody-speaks-this/1")).await,
            Err(P2PError::Connect { .. })
        ) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(found).await;
    peer
}

async fn peer(url: &str, announce: bool, publish: Publish) -> IrohP2P {
    let mut config = IrohConfig::loopback(SecretKey::generate());
    config.lookups = vec![Lookup::Pkarr(url.to_owned())];
    config.announce = announce;
    config.publish = publish;
    soon(IrohP2P::bind(config)).await.expect("loopback can be bound")
}

/// A server and the URL of its records.
async fn lookup_server() -> (Server, String, tempfile::TempDir) {
    let files = tempfile::tempdir().expect("a directory");
    let loopback = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
    let mut config = Config::default();
    if let Some(http) = &mut config.http {
        (http.port, http.bind_addr) = (0, loopback);
    }
    config.https = None;
    let soa = "ns1.lookup.test hostmaster.lookup.test 0 10800 3600 604800 3600";
    let mut dns = DnsConfig::new(0, soa.to_owned(), 30, vec!["lookup.test.".to_owned(), ".".to_owned()]);
    dns.bind_addr = loopback;
    config.dns = dns;
    config.metrics = Some(MetricsConfig::disabled());
    config.mainline = None;
    config.pkarr_put_rate_limit = RateLimitConfig::Disabled;
    config.data_dir = Some(files.path().to_owned());
    let server = soon(Server::bind(config)).await.expect("loopback can be bound");
    let url = format!("http://{}/pkarr", server.http_addr().expect("it serves HTTP"));
    (server, url, files)
}
