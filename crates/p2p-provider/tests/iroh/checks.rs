//! Questions to a relay and to a lookup. Both run in this process, on loopback.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    thread,
    time::Duration,
};

use iroh_relay::server::{self, AccessControl, ClientRequest, RelayConfig, Server, ServerConfig};
use p2p_provider::{
    PeerId, SecretKey,
    iroh::{CheckError, IrohConfig, Lookup, Relay, ask_lookup, ask_relay, enter_relay, peer_id},
};

use crate::support::soon;

const PATIENCE: Duration = Duration::from_secs(10);

fn config() -> IrohConfig {
    IrohConfig::loopback(SecretKey::generate())
}

/// Lets in who comes with the token.
#[derive(Debug)]
struct WantsToken;

impl AccessControl for WantsToken {
    async fn on_connect(&self, client: &ClientRequest) -> server::Access {
        match client.auth_token() {
            Some(token) if token == "sesame" => server::Access::Allow,
            _ => server::Access::Deny { reason: Some("it wants a token".to_owned()) },
        }
    }
}

async fn relay() -> (Server, Relay) {
    let mut config = ServerConfig::default();
    let mut relay = RelayConfig::new((Ipv4Addr::LOCALHOST, 0));
    relay.access = std::sync::Arc::new(WantsToken);
    config.relay = Some(relay);
    let server = soon(Server::spawn(config)).await.expect("loopback can be bound");
    let url = format!("http://{}", server.http_addr().expect("it serves HTTP"));
    (server, Relay::new(url))
}

#[tokio::test]
async fn a_relay_tells_everybody_its_time_and_lets_in_who_has_the_token() {
    let (_server, relay) = relay().await;
    let answer = soon(ask_relay(&relay, &config(), PATIENCE)).await.unwrap();
    assert!(answer.date.is_some_and(|date| date.ends_with("GMT")));

    let refused = soon(enter_relay(&relay, &config(), PATIENCE)).await;
    assert_eq!(refused, Err(CheckError::Denied("it wants a token".to_owned())));
    let relay = relay.token(Some("sesame".to_owned()));
    assert_eq!(soon(enter_relay(&relay, &config(), PATIENCE)).await, Ok(()));
}

#[tokio::test]
async fn another_server_is_no_relay() {
    let url = answers("HTTP/1.1 302 Found\r\nlocation: http://login.example/\r\ncontent-length: 0\r\n\r\n");
    let relay = Relay::new(url);
    let answer = soon(ask_relay(&relay, &config(), PATIENCE)).await;
    assert!(matches!(&answer, Err(CheckError::Other(text)) if text.contains("302")), "{answer:?}");
    let entered = soon(enter_relay(&relay, &config(), PATIENCE)).await;
    assert!(matches!(entered, Err(CheckError::Other(_))), "{entered:?}");
}

#[tokio::test]
async fn what_speaks_no_tls_is_not_a_matter_of_certificates() {
    let relay = Relay::new(answers("HTTP/1.1 400 Bad Request\r\n\r\n").replace("http:", "https:"));
    let answer = soon(ask_relay(&relay, &config(), PATIENCE)).await;
    assert!(matches!(answer, Err(CheckError::Unreachable(_))), "{answer:?}");
}

#[tokio::test]
async fn a_lookup_that_answers_knows_a_peer_or_does_not() {
    let peer: PeerId = peer_id(&SecretKey::generate());
    for (status, known) in [("200 OK", true), ("404 Not Found", false)] {
        let url = answers(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        let lookup = Lookup::Pkarr(format!("{url}/pkarr"));
        assert_eq!(soon(ask_lookup(&lookup, peer, &config(), PATIENCE)).await, Ok(Some(known)));
    }
    let url = answers("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let answer = soon(ask_lookup(&Lookup::Pkarr(url), peer, &config(), PATIENCE)).await;
    assert!(matches!(&answer, Err(CheckError::Other(text)) if text.contains("500")), "{answer:?}");
}

/// The URL of a server that says this to everybody.
fn answers(answer: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback can be bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = answer.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}
