//! The modes of a home server.

use std::time::Duration;

use http_body_util::BodyExt;
use migration::stage::{Stage, peer};
use p2p_provider::{SecretKey, iroh::IrohConfig};
use tokio::time::timeout;
use tunnel_p2p::{
    HostConfig, TicketSecret,
    transports::{TransportMode, TransportsConfig, TransportsError, TunnelTransports, WayState},
};

use crate::load::{PATIENCE, file};

#[tokio::test]
async fn rolling_back_is_one_call_the_next_request_takes_the_tunnel_and_the_download_ends() {
    let stage = Stage::start().await.unwrap();
    let mut config = stage.config(peer().unwrap()).unwrap();
    config.mode = TransportMode::Dual;
    let (running, transports) = stage.home(config).unwrap();
    timeout(PATIENCE, transports.switched()).await.unwrap();
    let client = stage.client(transports.ticket()).await.unwrap();
    client.p2p_connected().await.unwrap();

    let mut download = client.get("/files/32MiB.bin").await.unwrap();
    assert_eq!(download.via.unwrap().transport.name(), "p2p");
    download.body.frame().await.unwrap().unwrap();
    transports.set_mode(TransportMode::Tunnel).unwrap();
    timeout(PATIENCE, transports.switched()).await.unwrap();
    assert_eq!(transports.state().p2p, WayState::Closed);
    assert_eq!(transports.ticket(), None);
    assert_eq!(file(&client, 1000, None).await.unwrap(), "legacy");
    let rest = timeout(PATIENCE, download.body.collect()).await.unwrap().unwrap().to_bytes();
    assert!(rest.len() > 31 << 20, "{}", rest.len());
    client.close().await;
    assert!(transports.close(PATIENCE).await);
    // There is nothing more for the loop.
    timeout(PATIENCE, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn from_p2p_to_the_tunnel_no_request_finds_both_ways_shut() {
    let stage = Stage::start().await.unwrap();
    let mut config = stage.config(peer().unwrap()).unwrap();
    config.mode = TransportMode::P2p;
    let (_running, transports) = stage.home(config).unwrap();
    timeout(PATIENCE, transports.switched()).await.unwrap();
    let client = stage.client(transports.ticket()).await.unwrap();
    client.p2p_connected().await.unwrap();
    assert_eq!(file(&client, 1000, None).await.unwrap(), "p2p");
    transports.set_mode(TransportMode::Tunnel).unwrap();
    let mut held = Box::pin(timeout(PATIENCE, transports.switched()));
    loop {
        tokio::select! {
            biased;
            switched = &mut held => break switched.unwrap(),
            sent = file(&client, 1000, None) => drop(sent.unwrap()),
        }
    }
    assert_eq!(file(&client, 1000, None).await.unwrap(), "legacy");
}

#[tokio::test]
async fn an_operator_who_wants_p2p_off_gets_it_off_though_there_is_no_tunnel_server() {
    let (identity, host) = peer().unwrap();
    let mut config = TransportsConfig::new(TransportMode::P2p)
        .with_upstream_tunnel("http://127.0.0.1:9", "ws://127.0.0.1:9/ws", "home", "token")
        .unwrap()
        .with_p2p(identity, host);
    config.handover_timeout = Duration::from_millis(200);
    let transports = TunnelTransports::from_config(config).unwrap();
    let _messages = transports.start();
    timeout(PATIENCE, transports.switched()).await.unwrap();
    transports.set_mode(TransportMode::Tunnel).unwrap();
    let off = async {
        while transports.state().p2p != WayState::Closed {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, off).await.unwrap();
    let state = transports.state();
    assert!(!state.holds && matches!(state.tunnel, WayState::Down(_)), "{state:?}");
    assert!(transports.close(PATIENCE).await);
    assert_eq!(transports.set_mode(TransportMode::Dual), Err(TransportsError::Closed));
}

#[tokio::test]
async fn a_port_that_is_taken_is_tried_again() {
    let (identity, host) = peer().unwrap();
    let taken = tokio::net::UdpSocket::bind(identity.bind[0]).await.unwrap();
    let config = TransportsConfig::new(TransportMode::P2p).with_p2p(identity, host);
    let transports = TunnelTransports::from_config(config).unwrap();
    let _messages = transports.start();
    let down = async {
        while !matches!(transports.state().p2p, WayState::Down(_)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, down).await.unwrap();
    drop(taken);
    timeout(PATIENCE, transports.switched()).await.unwrap();
    assert!(transports.ticket().is_some());
}

#[test]
fn a_mode_without_its_way_is_an_error_that_names_the_fix() {
    let p2p = || {
        TransportsConfig::new(TransportMode::P2p)
            .with_p2p(IrohConfig::loopback(SecretKey::generate()), HostConfig::new(TicketSecret::generate()))
    };
    let error = TunnelTransports::from_config(TransportsConfig::new(TransportMode::Tunnel)).err().unwrap();
    assert!(error.to_string().contains("with_tunnel"), "{error}");
    let mut config = p2p();
    config.mode = TransportMode::Dual;
    let error = TunnelTransports::from_config(config).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the mode dual needs the way through the tunnel server, which is not configured; add TransportsConfig::with_tunnel"
    );
    let transports = TunnelTransports::from_config(p2p()).unwrap();
    transports.set_mode(TransportMode::Tunnel).unwrap_err();
    assert_eq!(transports.mode(), TransportMode::P2p, "nothing has changed");
}

#[test]
fn the_mode_is_read_from_the_environment_that_the_caller_passes() {
    let with = |value: Option<&str>| {
        let value = value.map(str::to_owned);
        TransportsConfig::new(TransportMode::Tunnel)
            .with_variables(move |name| (name == "MOOSICBOX_TRANSPORT").then(|| value.clone()).flatten())
            .map(|config| config.mode)
    };
    assert_eq!(with(None).unwrap(), TransportMode::Tunnel);
    assert_eq!(with(Some("")).unwrap(), TransportMode::Tunnel);
    assert_eq!(with(Some("Dual ")).unwrap(), TransportMode::Dual);
    assert_eq!(with(Some("p2p")).unwrap(), TransportMode::P2p);
    let error = with(Some("both")).unwrap_err();
    assert_eq!(error.to_string(), "MOOSICBOX_TRANSPORT: \"both\" is no transport mode; use tunnel, p2p or dual");
}

#[test]
fn upstreams_arguments_are_checked_against_each_other() {
    let with = |host: &str, url: &str| {
        let config = TransportsConfig::new(TransportMode::Tunnel);
        config.with_upstream_tunnel(host, url, "home", "Bearer token").err().map(|error| error.to_string())
    };
    assert_eq!(with("https://tunnel.example", "wss://tunnel.example/ws"), None);
    assert_eq!(with("http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws/"), None);
    assert!(with("https://tunnel.example", "wss://other.example/ws").unwrap().contains("url"));
    assert!(with("tunnel.example", "wss://tunnel.example/ws").unwrap().contains("host"));
}
