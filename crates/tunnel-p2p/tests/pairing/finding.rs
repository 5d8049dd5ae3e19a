//! A client that finds its host by itself.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use p2p_provider::simulator::{SimNetwork, SimNode, SimP2P, run};
use tempfile::{TempDir, tempdir};
use tokio::time::sleep;
use tunnel_core::{FailureKind, Handler, Health, Transport};
use tunnel_p2p::pairing::{KnownHosts, PairedClient, PairingConfig};

use crate::support::{Home, Tunnel, client_config, down, get, id, peer};

fn paired(node: &SimNode, state: &TempDir, tunnel: &Arc<Tunnel>) -> PairedClient<SimP2P> {
    let hosts = Arc::new(KnownHosts::new(state.path().join("hosts")));
    let mut config = PairingConfig::new("home", "http://tunnel");
    config.client = client_config();
    config.name = Some("phone".to_owned());
    PairedClient::start(peer(node), hosts, tunnel.clone(), config)
}

/// Waits, in simulated time, until the health is as expected.
async fn until(client: &PairedClient<SimP2P>, what: &str, expected: impl Fn(&Health) -> bool) {
    for _ in 0..20_000 {
        if expected(&client.health()) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: {:?}", client.health());
}

fn healthy(health: &Health) -> bool {
    matches!(health, Health::Healthy { .. })
}

fn says(part: &'static str) -> impl Fn(&Health) -> bool {
    move |health| down(health).is_some_and(|(_, message)| message.contains(part))
}

#[test]
fn it_pairs_by_itself_and_needs_the_tunnel_server_no_more() {
    run(1, |network: SimNetwork| async move {
        let (at_home, state) = (tempdir().unwrap(), tempdir().unwrap());
        let (node, away) = (network.node("home"), network.node("away"));
        let home = Home::start(&node, &at_home).await;
        let tunnel = Tunnel::to(&home);
        let client = paired(&away, &state, &tunnel);
        until(&client, "it is paired", healthy).await;
        assert_eq!(client.host(), Some(id(&node)));
        assert!(client.send(get("/")).await.is_ok());
        let entry = home.peers.find(id(&away)).unwrap();
        assert_eq!((entry.name.as_str(), entry.client_id.as_deref()), ("phone", Some("home")));
        client.close();
        drop(client);
        away.crash();
        away.start();

        tunnel.stopped.store(true, Ordering::Relaxed);
        let asked = tunnel.asked.load(Ordering::Relaxed);
        let client = paired(&away, &state, &tunnel);
        until(&client, "it knows the host", healthy).await;
        assert_eq!(tunnel.asked.load(Ordering::Relaxed), asked);
    });
}

#[test]
fn it_says_why_it_is_not_paired_and_tries_again() {
    run(1, |network: SimNetwork| async move {
        let (at_home, state) = (tempdir().unwrap(), tempdir().unwrap());
        let home = Home::start(&network.node("home"), &at_home).await;
        let tunnel = Tunnel::to(&home);
        tunnel.stopped.store(true, Ordering::Relaxed);
        let client = paired(&network.node("away"), &state, &tunnel);
        until(&client, "it says that the tunnel server is away", says("no tunnel server")).await;
        let error = client.send(get("/")).await.expect_err("there is no host");
        assert!(
            error.failure().message().starts_with("not paired with the host of \"home\" yet"),
            "{}",
            error.failure()
        );
        assert_eq!(client.host(), None);

        let service: Arc<dyn Handler> = home.service.clone();
        tunnel.switch_to(&service);
        tunnel.stopped.store(false, Ordering::Relaxed);
        until(&client, "it says that the host is older", says("does not pair")).await;
        tunnel.switch_to(&home.handler);
        until(&client, "it is paired in the end", healthy).await;
    });
}

#[test]
fn a_host_that_has_moved_is_found_again() {
    run(1, |network: SimNetwork| async move {
        let (at_home, state) = (tempdir().unwrap(), tempdir().unwrap());
        let (node, away) = (network.node("home"), network.node("away"));
        let home = Home::start(&node, &at_home).await;
        let before = home.keyed();
        let tunnel = Tunnel::to(&home);
        let client = paired(&away, &state, &tunnel);
        until(&client, "it is paired", healthy).await;
        drop(home);
        node.crash();
        node.start_elsewhere();
        let home = Home::start(&node, &at_home).await;
        assert_ne!(home.keyed(), before, "it is somewhere else");
        tunnel.switch_to(&home.handler);
        until(&client, "the old connection is given up", |health| !healthy(health)).await;
        until(&client, "it finds the host", healthy).await;
        assert!(client.send(get("/")).await.is_ok());
    });
}

#[test]
fn a_client_that_was_revoked_does_not_come_back_by_pairing() {
    run(1, |network: SimNetwork| async move {
        let (at_home, state) = (tempdir().unwrap(), tempdir().unwrap());
        let (node, away) = (network.node("home"), network.node("away"));
        let home = Home::start(&node, &at_home).await;
        let tunnel = Tunnel::to(&home);
        let client = paired(&away, &state, &tunnel);
        until(&client, "it is paired", healthy).await;
        home.peers.revoke(id(&away)).unwrap();
        until(&client, "it is turned out", says("revoked")).await;
        let asked = tunnel.asked.load(Ordering::Relaxed);
        while tunnel.asked.load(Ordering::Relaxed) < asked + 3 {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(down(&client.health()).unwrap().0, FailureKind::Unauthorized);
        }
        assert!(home.peers.find(id(&away)).unwrap().revoked);
        home.peers.allow(id(&away), None).unwrap();
        until(&client, "it comes back when it may", healthy).await;
    });
}

#[test]
fn another_host_is_not_taken_for_the_known_one_until_a_person_says_so() {
    run(1, |network: SimNetwork| async move {
        let (at_home, elsewhere, state) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
        let (node, other, away) = (network.node("home"), network.node("other"), network.node("away"));
        let home = Home::start(&node, &at_home).await;
        let tunnel = Tunnel::to(&home);
        let client = paired(&away, &state, &tunnel);
        until(&client, "it is paired", healthy).await;
        drop(home);
        node.crash();
        let impostor = Home::start(&other, &elsewhere).await;
        tunnel.switch_to(&impostor.handler);
        until(&client, "it says so loudly", says("KEY HAS CHANGED")).await;
        let (_, message) = down(&client.health()).unwrap();
        assert!(message.contains("tunnel-p2p peers forget home"), "{message}");
        assert_eq!(client.host(), Some(id(&node)));
        assert!(client.send(get("/")).await.is_err());
        assert_eq!(impostor.seen(), 0);

        KnownHosts::new(state.path().join("hosts")).forget("home").unwrap();
        until(&client, "it pairs with the other one", healthy).await;
        assert_eq!(client.host(), Some(id(&other)));
        assert!(client.send(get("/")).await.is_ok());
    });
}

#[test]
fn a_file_of_known_hosts_that_is_not_understood_is_not_passed_over() {
    run(1, |network: SimNetwork| async move {
        let (at_home, state) = (tempdir().unwrap(), tempdir().unwrap());
        let home = Home::start(&network.node("home"), &at_home).await;
        let tunnel = Tunnel::to(&home);
        let hosts = state.path().join("hosts");
        KnownHosts::new(&hosts).remember("someone", "http://t", &home.keyed()).unwrap();
        let good = std::fs::read_to_string(&hosts).unwrap();
        std::fs::write(&hosts, format!("{good}nonsense\n")).unwrap();
        let client = paired(&network.node("away"), &state, &tunnel);
        until(&client, "it names the line", says("hosts line 5")).await;
        sleep(Duration::from_mins(5)).await;
        assert_eq!(tunnel.asked.load(Ordering::Relaxed), 0);
        std::fs::write(&hosts, good).unwrap();
        until(&client, "it pairs once it is mended", healthy).await;
    });
}
