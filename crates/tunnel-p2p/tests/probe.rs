//! Probes: questions that the host answers itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::StatusCode;
use p2p_provider::{
    ConnectionConfig, P2PConnection, P2PProvider, RecvStream, SecretKey, SendStream,
    simulator::{SimNetwork, SimNode, SimP2P, SimPeerConfig, run},
};
use tokio::time::{Instant, sleep, timeout};
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, Response, Transport, WsOpen, WsUpgrade};
use tunnel_p2p::{ALPN, Client, ClientConfig, Host, HostConfig, TicketSecret};

/// Answers every request but those for `/hang`. Probes never come here.
struct Service;

#[async_trait]
impl Handler for Service {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        match request.head {
            tunnel_core::RequestHead::Http(parts) if parts.uri.path() == "/hang" => std::future::pending().await,
            _ => Ok(Response::new(StatusCode::OK, Body::empty())),
        }
    }

    async fn ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::BadRequest, "no WebSockets here"))
    }
}

async fn host(node: &SimNode) -> Host<SimP2P> {
    let peer = node.peer(SimPeerConfig::default()).expect("a new node has no peer");
    let mut config = HostConfig::new(TicketSecret::from(SecretKey::from_bytes([7; 32])));
    config.max_requests = 1;
    Host::start(peer, Arc::new(Service), config).await.expect("nobody listens yet")
}

fn client(node: &SimNode, host: &Host<SimP2P>) -> Client<SimP2P> {
    let peer = node.peer(SimPeerConfig::default()).expect("a new node has no peer");
    let mut config = ClientConfig::default();
    config.seed = Some(1);
    Client::start(peer, host.ticket(), config)
}

fn get(target: &'static str) -> Request {
    let request = http::Request::get(target).body(()).expect("a valid target");
    Request::http(1, request.into_parts().0, Body::empty())
}

#[test]
fn the_host_answers_though_all_places_for_requests_are_taken() {
    run(1, |network: SimNetwork| async move {
        let (home, away) = (network.node("home"), network.node("away"));
        let host = host(&home).await;
        let client = client(&away, &host);
        assert_eq!(client.probe().await, Ok(()));
        client.connected().await.expect("the host knows the ticket");
        let hanging = client.send(get("/hang"));
        tokio::select! {
            biased;
            _ = hanging => panic!("nobody answers this"),
            () = async {
                for _ in 0..100 {
                    assert_eq!(client.probe().await, Ok(()));
                }
            } => {}
        }
    });
}

#[test]
fn a_network_that_swallows_everything_is_noticed() {
    run(1, |network: SimNetwork| async move {
        let (home, away) = (network.node("home"), network.node("away"));
        let host = host(&home).await;
        let client = client(&away, &host);
        client.connected().await.expect("the host knows the ticket");
        let fault = network.partition(&[&home], &[&away]);
        let begun = Instant::now();
        let failure = client.probe().await.expect_err("nothing arrives");
        assert!(matches!(failure.kind(), FailureKind::Timeout | FailureKind::ConnectionLost), "{failure}");
        assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
        fault.heal();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(client.probe().await, Ok(()));
    });
}

#[test]
fn a_host_that_drains_refuses_probes() {
    run(1, |network: SimNetwork| async move {
        let (home, away) = (network.node("home"), network.node("away"));
        let host = host(&home).await;
        let client = client(&away, &host);
        client.connected().await.expect("the host knows the ticket");
        let hanging = client.send(get("/hang"));
        let draining = async {
            sleep(Duration::from_secs(1)).await;
            host.drain(Duration::from_secs(5)).await;
        };
        let probing = async {
            sleep(Duration::from_secs(2)).await;
            client.probe().await
        };
        let (_, (), probe) = tokio::join!(timeout(Duration::from_secs(10), hanging), draining, probing);
        assert!(probe.is_err(), "a new request would be refused, too");
    });
}

#[test]
fn a_stranger_gets_no_answer() {
    run(1, |network: SimNetwork| async move {
        let (home, away) = (network.node("home"), network.node("away"));
        let host = host(&home).await;
        let stranger = away.peer(SimPeerConfig::default()).expect("a new node has no peer");
        let connection = stranger.connect(&host.ticket().host, &ConnectionConfig::new(ALPN)).await.expect("a way");
        let (mut control, _control) = connection.open_bi().await.expect("a stream");
        control.write_chunks(&mut [bytes::Bytes::from_static(&[0])]).await.expect("room for a byte");
        let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
        send.write_chunks(&mut [bytes::Bytes::from_static(&[4])]).await.expect("room for a byte");
        send.finish();
        let mut chunks = [bytes::Bytes::new()];
        assert!(!matches!(recv.read_chunks(&mut chunks).await, Ok(Some(_))), "an answer");
    });
}

#[test]
fn a_probe_leaves_no_stream_behind() {
    run(1, |network: SimNetwork| async move {
        let (home, away) = (network.node("home"), network.node("away"));
        let host = host(&home).await;
        let client = client(&away, &host);
        client.connected().await.expect("the host knows the ticket");
        // The bulk connection has come up.
        sleep(Duration::from_secs(1)).await;
        let before = network.usage();
        assert_eq!(client.probe().await, Ok(()));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(network.usage().streams, before.streams, "no stream is left over");
    });
}
