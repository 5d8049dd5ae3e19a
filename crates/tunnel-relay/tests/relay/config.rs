//! Settings that are wrong, each with its own message.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use tempfile::tempdir;
use tunnel_relay::{Access, AcmeConfig, Certificate, ClientRate, Relay, RelayConfig, RelayError, TlsConfig};

use crate::support::{ANY, Authority, soon};

/// What spoils a configuration.
type Change<'a> = &'a dyn Fn(&mut RelayConfig);

fn config() -> RelayConfig {
    let mut config = RelayConfig::new();
    config.http = Some(ANY);
    config
}

async fn refusal(config: RelayConfig) -> RelayError {
    soon(Relay::start(config)).await.expect_err("refused")
}

/// The field that is named, and the message.
async fn wrong(config: RelayConfig) -> (&'static str, String) {
    match refusal(config).await {
        RelayError::Config { field, message } => (field, message),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_others_reach_needs_tokens_peers_or_a_word() {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut open = config();
    open.http = Some(address);
    let error = refusal(open).await;
    assert!(matches!(error, RelayError::Unprotected { address: named } if named == address), "{error}");
}

#[tokio::test]
async fn tokens_that_no_client_can_send_are_refused_without_being_shown() {
    for token in ["", "söcret", "two\nlines", " before", "after "] {
        let mut config = config();
        config.access = Access::listed([token.to_owned()], []);
        let (field, message) = wrong(config).await;
        assert_eq!(field, "access-token");
        assert!(token.is_empty() || !message.contains(token), "{message}");
    }
}

#[tokio::test]
async fn a_list_without_anybody_on_it_is_refused() {
    let mut config = config();
    config.access = Access::listed([], []);
    assert_eq!(wrong(config).await.0, "access");
}

#[tokio::test]
async fn what_is_no_peer_id_is_refused() {
    for peer in ["", "abc", &"g".repeat(64), &"ab".repeat(33)] {
        let mut config = config();
        config.access = Access::listed([], [peer.to_owned()]);
        let (field, message) = wrong(config).await;
        assert!(field == "allow-peer" && message.contains("64 hex digits"), "{message}");
    }
}

#[tokio::test]
async fn a_host_is_a_name_or_an_address_and_nothing_more() {
    for host in ["https://relay.example.org", "relay.example.org:443", "re lay", ""] {
        let mut config = config();
        config.host = Some(host.to_owned());
        let (field, message) = wrong(config).await;
        assert!(field == "host" && message.contains("without scheme and port"), "{message}");
    }
}

#[tokio::test]
async fn rates_that_let_nothing_pass_are_refused() {
    for (rate, burst) in [(0, None), (9, None), (1000, Some(0))] {
        let mut config = config();
        let mut limit = ClientRate::new(rate);
        limit.burst_bytes = burst;
        config.client_rate = Some(limit);
        assert_eq!(wrong(config).await.0, "client-rate");
    }
}

#[tokio::test]
async fn acme_needs_a_name_an_https_directory_and_an_address_that_is_one() {
    let directory = tempdir().unwrap();
    let acme = |host: Option<&str>, change: fn(&mut AcmeConfig)| {
        let mut acme = AcmeConfig::new(directory.path());
        change(&mut acme);
        let mut config = config();
        config.host = host.map(str::to_owned);
        config.tls = Some(TlsConfig::new(ANY, Certificate::Acme(acme)));
        config
    };
    assert_eq!(wrong(acme(None, |_| ())).await.0, "host");
    assert_eq!(wrong(acme(Some("192.0.2.7"), |_| ())).await.0, "host");
    let host = Some("relay.example.org");
    assert_eq!(wrong(acme(host, |acme| acme.directory = "http://127.0.0.1".to_owned())).await.0, "acme-directory");
    assert_eq!(wrong(acme(host, |acme| acme.contact = Some("me".to_owned()))).await.0, "acme-contact");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_it_was_wanted_for() {
    let (authority, directory) = (Authority::new(), tempdir().unwrap());
    let (tcp, udp) = (TcpListener::bind(ANY).unwrap(), UdpSocket::bind(ANY).unwrap());
    let (tcp, udp) = (tcp.local_addr().map(|it| (tcp, it)).unwrap(), udp.local_addr().map(|it| (udp, it)).unwrap());
    let changes: [(&str, SocketAddr, Change<'_>); 5] = [
        ("HTTP", tcp.1, &|config| config.http = Some(tcp.1)),
        ("HTTP", tcp.1, &|config| (config.tls, config.http) = (None, Some(tcp.1))),
        ("HTTPS", tcp.1, &|config| config.tls.as_mut().unwrap().https = tcp.1),
        ("QUIC", udp.1, &|config| config.tls.as_mut().unwrap().quic_port = Some(udp.1.port())),
        ("metrics", tcp.1, &|config| config.metrics = Some(tcp.1)),
    ];
    for (wanted, at, change) in changes {
        let mut config = authority.config(&directory);
        change(&mut config);
        match refusal(config).await {
            RelayError::Bind { service, address, kind, .. } => {
                assert_eq!((service, address, kind), (wanted, at, std::io::ErrorKind::AddrInUse));
            }
            other => panic!("{wanted}: {other}"),
        }
    }
}
