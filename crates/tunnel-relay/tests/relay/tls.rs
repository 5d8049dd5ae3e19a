//! HTTPS, its certificate, and QUIC address discovery.

use std::fs;

use iroh::tls::{CaTlsConfig, default_provider};
use iroh_relay::quic::QuicClient;
use tempfile::tempdir;
use tunnel_relay::{Relay, RelayError};

use crate::support::{ANY, Authority, Client, echo, get, metric, online, soon, start};

#[tokio::test]
async fn peers_that_know_the_root_meet_over_https() {
    let (authority, directory) = (Authority::new(), tempdir().unwrap());
    let relay = start(authority.config(&directory)).await;
    assert!(relay.url().unwrap().starts_with("https://127.0.0.1:"), "{relay:?}");
    assert!(relay.needs_ca());
    assert_eq!(relay.http(), None, "nobody has asked for plain HTTP");
    let one = Client::trusting(&authority).bind(&relay).await;
    let other = Client::trusting(&authority).bind(&relay).await;
    online(&one).await;
    online(&other).await;
    echo(&one, &other).await;
}

#[tokio::test]
async fn a_client_learns_the_address_from_which_its_packets_come() {
    let (authority, directory) = (Authority::new(), tempdir().unwrap());
    let relay = start(authority.config(&directory)).await;
    let endpoint = noq::Endpoint::client(ANY).unwrap();
    let tls = CaTlsConfig::custom_roots([authority.root()]).client_config(default_provider()).unwrap();
    let client = QuicClient::new(endpoint.clone(), tls);
    let connection = soon(client.create_conn(relay.quic().unwrap(), "127.0.0.1")).await.unwrap();
    let mut observed = connection.observed_external_addr();
    let address = soon(futures::StreamExt::next(&mut observed)).await.unwrap();
    assert_eq!(address, endpoint.local_addr().unwrap());
}

#[tokio::test]
async fn an_endpoint_uses_address_discovery_unless_the_relay_has_none() {
    for offered in [true, false] {
        let (authority, directory) = (Authority::new(), tempdir().unwrap());
        let mut config = authority.config(&directory);
        config.metrics = Some(ANY);
        if !offered {
            config.tls.as_mut().unwrap().quic_port = None;
        }
        let relay = start(config).await;
        assert_eq!(relay.quic().is_some(), offered);
        let client = Client::trusting(&authority).bind_with_udp(&relay).await;
        online(&client).await;
        assert_eq!(metric(&relay, "relayserver_qad_connections_total").await > 0, offered);
    }
}

#[tokio::test]
async fn with_tls_plain_http_answers_the_check_for_captive_portals_and_nothing_else() {
    let (authority, directory) = (Authority::new(), tempdir().unwrap());
    let mut config = authority.config(&directory);
    config.http = Some(ANY);
    let relay = start(config).await;
    let http = relay.http().unwrap();
    assert!(get(http, "/generate_204").await.starts_with("HTTP/1.1 204"));
    for path in ["/relay", "/healthz"] {
        assert!(get(http, path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[tokio::test]
async fn new_connections_get_the_certificate_that_the_files_have_now() {
    let (old, new, directory) = (Authority::new(), Authority::new(), tempdir().unwrap());
    let relay = start(old.config(&directory)).await;
    assert!(!relay.reload_certificate().await.unwrap(), "it is the same");
    new.issue(&directory, "127.0.0.1");
    assert!(relay.reload_certificate().await.unwrap());
    online(&Client::trusting(&new).bind(&relay).await).await;

    fs::write(directory.path().join("key.pem"), "half a fi").unwrap();
    assert!(matches!(relay.reload_certificate().await, Err(RelayError::Certificate { .. })));
    online(&Client::trusting(&new).bind(&relay).await).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
    let (authority, directory) = (Authority::new(), tempdir().unwrap());
    let refusal = async |spoil: fn(&Authority, &tempfile::TempDir)| {
        let config = authority.config(&directory);
        spoil(&authority, &directory);
        soon(Relay::start(config)).await.expect_err("refused").to_string()
    };
    let message = refusal(|_, directory| fs::remove_file(directory.path().join("chain.pem")).unwrap()).await;
    assert!(message.contains("chain.pem") && message.contains("cannot be read"), "{message}");
    let message = refusal(|_, directory| fs::write(directory.path().join("chain.pem"), "").unwrap()).await;
    assert!(message.contains("chain.pem") && message.contains("no certificate"), "{message}");
    let message = refusal(|_, directory| fs::write(directory.path().join("key.pem"), "").unwrap()).await;
    assert!(message.contains("key.pem") && message.contains("no private key"), "{message}");
    let message = refusal(|_, directory| {
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        fs::write(directory.path().join("key.pem"), other).unwrap();
    })
    .await;
    assert!(message.contains("key.pem") && message.contains("is not the key of"), "{message}");
    let message = refusal(|authority, directory| _ = authority.issue(directory, "relay.example.org")).await;
    assert!(message.contains("is not for 127.0.0.1") && message.contains("host"), "{message}");
}
