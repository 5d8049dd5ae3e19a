//! Pairing through the tunnel server of a home server that has it in its own process.

use std::{path::Path, sync::Arc, time::Duration};

use http_body_util::BodyExt;
use migration::stage::{CLIENT_ID, Stage, peer};
use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use tokio::time::{sleep, timeout};
use tunnel_core::{Body, FailureKind, Health, Request, Transport};
use tunnel_p2p::{
    pairing::{AuthorizedPeers, KnownHosts, PairError, PairedClient, PairingConfig, Refusal, pair},
    transports::TransportMode,
};

use crate::load::PATIENCE;

async fn until(client: &PairedClient<IrohP2P>, what: &str, expected: impl Fn(&Health) -> bool) {
    let waiting = async {
        while !expected(&client.health()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "{what}: {:?}", client.health());
}

fn paired(provider: &IrohP2P, directory: &Path, stage: &Stage) -> PairedClient<IrohP2P> {
    let hosts = Arc::new(KnownHosts::new(directory.join("hosts")));
    let mut config = PairingConfig::new(CLIENT_ID, stage.tunnel.to_string());
    config.name = Some("phone".to_owned());
    config.retry_min = Duration::from_millis(100);
    PairedClient::start(provider.clone(), hosts, stage.through_the_tunnel().unwrap(), config)
}

#[tokio::test]
async fn a_client_without_a_ticket_is_paired_through_the_tunnel_and_can_be_revoked() {
    let (directory, stage) = (tempfile::tempdir().unwrap(), Stage::start().await.unwrap());
    let (identity, mut host) = peer().unwrap();
    let peers = Arc::new(AuthorizedPeers::open(directory.path().join("peers")).unwrap());
    host.peers = Some(Arc::clone(&peers));
    let mut config = stage.config((identity, host)).unwrap();
    config.mode = TransportMode::Tunnel;
    let (_running, transports) = stage.home(config).unwrap();
    timeout(PATIENCE, transports.switched()).await.unwrap();

    // Before there is a way peer to peer, nobody is let in.
    let provider = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await.unwrap();
    let id = provider.local_peer_id();
    let tunnel = stage.through_the_tunnel().unwrap();
    let refused = pair(&*tunnel, CLIENT_ID, id, None).await.unwrap_err();
    assert!(matches!(&refused, PairError::Refused { refusal: Refusal::Unavailable, .. }), "{refused}");
    assert!(peers.list().is_empty());

    transports.set_mode(TransportMode::Dual).unwrap();
    timeout(PATIENCE, transports.switched()).await.unwrap();
    let client = paired(&provider, directory.path(), &stage);
    until(&client, "paired", |health| matches!(health, Health::Healthy { .. })).await;
    let (parts, ()) = http::Request::get("/files/1000.bin").body(()).unwrap().into_parts();
    let response = client.send(Request::http(1, parts, Body::empty())).await.unwrap();
    assert_eq!(response.via.unwrap().transport.name(), "p2p");
    assert_eq!(response.body.collect().await.unwrap().to_bytes().len(), 1000);
    let entry = peers.find(id).unwrap();
    assert_eq!((entry.name.as_str(), entry.client_id.as_deref()), ("phone", Some(CLIENT_ID)));

    peers.revoke(id).unwrap();
    let unauthorized =
        |health: &Health| matches!(health, Health::Down(failure) if failure.kind() == FailureKind::Unauthorized);
    until(&client, "revoked", unauthorized).await;
    let refused = pair(&*tunnel, CLIENT_ID, id, None).await.unwrap_err();
    assert!(matches!(&refused, PairError::Refused { refusal: Refusal::Revoked, .. }), "{refused}");
    client.close();
}
