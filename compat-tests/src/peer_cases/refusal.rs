//! Everything that a dial or a listen can be refused for.

use std::time::Duration;

use p2p_provider::{ConnectionConfig, P2PConnection, P2PError, P2PListener, P2PProvider, PeerAddr};
use tokio::time::Instant;

use super::{
    pair::{PROTOCOL, Pair, connect, dial, echo, listening, refusal},
    patience::soon,
};
use crate::backend::PeerBackend;

pub async fn a_second_listener_is_refused_until_the_first_is_gone<B: PeerBackend>(backend: B) {
    let (client, server) = (soon(backend.peer()).await, soon(backend.peer()).await);
    let first = server.listen(&[PROTOCOL]).await.unwrap();
    assert!(matches!(server.listen(&[PROTOCOL]).await, Err(P2PError::AlreadyListening)));
    drop(first);
    let mut second = server.listen(&[PROTOCOL]).await.unwrap();
    connect(&client, &server.local_addr(), &mut second).await;
}

pub async fn an_open_connection_outlives_its_listener<B: PeerBackend>(backend: B) {
    let Pair { dialled, accepted, listener, client: _client, server: _server } = Pair::new(&backend).await;
    drop(listener);
    echo(&dialled, &accepted).await;
}

pub async fn another_key_at_the_right_address_is_not_believed<B: PeerBackend>(backend: B) {
    let (server, mut listener) = listening(&backend).await;
    let client = soon(backend.peer()).await;
    let address = PeerAddr { id: soon(backend.dead_peer()).await.id, ..server.local_addr() };
    match refusal(&client, &address, &dial(), &mut listener).await {
        P2PError::Connect { peer, .. } => assert_eq!(peer, address.id),
        other => panic!("{other}"),
    }
}

pub async fn a_protocol_that_the_peer_does_not_speak_is_named<B: PeerBackend>(backend: B) {
    let (server, mut listener) = listening(&backend).await;
    let client = soon(backend.peer()).await;
    let config = ConnectionConfig::new(b"something-else/7");
    let error = refusal(&client, &server.local_addr(), &config, &mut listener).await;
    assert!(
        matches!(&error, P2PError::ProtocolMismatch { peer, protocol }
            if *peer == server.local_peer_id() && protocol == "something-else/7"),
        "{error}"
    );
    assert!(error.to_string().contains("something-else/7"));
    // The listener is none the worse for it.
    let (dialled, accepted) = connect(&client, &server.local_addr(), &mut listener).await;
    echo(&dialled, &accepted).await;
}

pub async fn any_of_the_protocols_of_a_listener_will_do<B: PeerBackend>(backend: B) {
    let (client, server) = (soon(backend.peer()).await, soon(backend.peer()).await);
    let mut listener = server.listen(&[b"old/1", PROTOCOL]).await.unwrap();
    connect(&client, &server.local_addr(), &mut listener).await;
    let config = ConnectionConfig::new(b"old/1");
    let address = server.local_addr();
    let (dialled, accepted) = soon(async { tokio::join!(client.connect(&address, &config), listener.accept()) }).await;
    assert_eq!(dialled.unwrap().peer_info().id, server.local_peer_id());
    assert_eq!(accepted.unwrap().peer_info().id, client.local_peer_id());
}

pub async fn a_dead_address_costs_the_timeout_of_the_dial_and_no_more<B: PeerBackend>(backend: B) {
    let client = soon(backend.peer()).await;
    let address = soon(backend.dead_peer()).await;
    let limit = Duration::from_millis(400);
    let started = Instant::now();
    let error = soon(client.connect(&address, &dial().connect_timeout(limit))).await.err().unwrap();
    assert!(matches!(error, P2PError::ConnectTimeout { timeout, .. } if timeout == limit), "{error}");
    // Half of what the idle timeout of a transport would take.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(client.connections().is_empty());
}

pub async fn a_peer_that_does_not_listen_cannot_be_dialled<B: PeerBackend>(backend: B) {
    let (client, server) = (soon(backend.peer()).await, soon(backend.peer()).await);
    let config = dial().connect_timeout(Duration::from_secs(1));
    assert!(soon(client.connect(&server.local_addr(), &config)).await.is_err());
}

pub async fn a_peer_without_an_address_is_not_dialled<B: PeerBackend>(backend: B) {
    let client = soon(backend.peer()).await;
    let id = soon(backend.dead_peer()).await.id;
    let error = soon(client.connect(&PeerAddr::new(id), &dial())).await.err().unwrap();
    assert!(matches!(error, P2PError::NoAddress { peer } if peer == id), "{error}");
}

pub async fn a_peer_that_has_stopped_listening_cannot_be_dialled<B: PeerBackend>(backend: B) {
    let Pair { dialled, accepted, listener, client, server } = Pair::new(&backend).await;
    drop(listener);
    let config = dial().connect_timeout(Duration::from_secs(1));
    assert!(soon(client.connect(&server.local_addr(), &config)).await.is_err());
    assert_eq!(client.connections().len(), 1);
    echo(&dialled, &accepted).await;
}

pub async fn a_failed_dial_is_forgotten_and_the_next_one_works<B: PeerBackend>(backend: B) {
    let (server, mut listener) = listening(&backend).await;
    let client = soon(backend.peer()).await;
    let config = dial().connect_timeout(Duration::from_millis(200));
    let dead = soon(backend.dead_peer()).await;
    for _ in 0..3 {
        let error = soon(client.connect(&dead, &config)).await.err().unwrap();
        assert!(matches!(error, P2PError::ConnectTimeout { peer, .. } if peer == dead.id), "{error}");
        assert!(client.connections().is_empty());
    }
    let (dialled, accepted) = connect(&client, &server.local_addr(), &mut listener).await;
    echo(&dialled, &accepted).await;
}

/// A dial that waits in vain is nobody else's matter.
pub async fn a_dial_to_a_dead_peer_does_not_delay_others<B: PeerBackend>(backend: B) {
    let (server, mut listener) = listening(&backend).await;
    let client = soon(backend.peer()).await;
    let (dead, config) = (soon(backend.dead_peer()).await, dial().connect_timeout(Duration::from_hours(1)));
    let mut vain = Box::pin(client.connect(&dead, &config));
    let others = async {
        for _ in 0..3 {
            let (dialled, accepted) = connect(&client, &server.local_addr(), &mut listener).await;
            echo(&dialled, &accepted).await;
        }
    };
    tokio::select! {
        biased;
        () = others => {}
        _ = &mut vain => panic!("the dead peer answered, or the dial gave up early"),
    }
}
