//! Who comes in, and who does not.

use std::fs;

use p2p_provider::{
    SecretKey,
    simulator::{SimNetwork, run},
};
use tempfile::tempdir;
use tunnel_core::{FailureKind, Health, Transport};
use tunnel_p2p::{Client, Ticket, TicketSecret, pairing::How};

use crate::support::{Home, client, down, get, id};

async fn refused(client: &Client<p2p_provider::simulator::SimP2P>, part: &str) {
    // Sent before the host can have said that it refuses.
    let request = client.send(get("/")).await.expect_err("nobody answers a stranger");
    assert_eq!(request.failure().kind(), FailureKind::Unauthorized, "{}", request.failure());
    let failure = client.connected().await.expect_err("refused");
    assert_eq!(failure.kind(), FailureKind::Unauthorized, "{failure}");
    assert!(failure.message().contains(part), "{failure}");
}

#[test]
fn a_stranger_is_refused_and_nothing_of_it_is_read() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let home = Home::start(&network.node("home"), &state).await;
        refused(&client(&network.node("stranger"), home.keyed()), "not paired").await;
        let secret = Some(TicketSecret::from(SecretKey::from_bytes([8; 32])));
        let wrong = Ticket { secret, ..home.host.ticket() };
        refused(&client(&network.node("guesser"), wrong), "ticket is not valid").await;
        assert_eq!(home.seen(), 0);
        assert!(home.peers.list().is_empty(), "strangers leave no trace");
    });
}

#[test]
fn a_client_with_the_ticket_comes_in_and_is_remembered() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let (node, away) = (network.node("home"), network.node("away"));
        let home = Home::start(&node, &state).await;
        let client = client(&away, home.host.ticket());
        assert!(client.send(get("/")).await.is_ok());
        let entry = home.peers.find(id(&away)).expect("it is in the list");
        assert_eq!((entry.how, entry.revoked), (How::Ticket, false));
        client.close();
        home.host.drain(std::time::Duration::ZERO).await;
        node.crash();
        node.start();
        away.crash();
        away.start();

        // A new secret locks it out, though its key is in the list.
        let renewed = Home::with_secret(&node, &state, 9).await;
        let old = Ticket { secret: Some(TicketSecret::from(SecretKey::from_bytes([7; 32]))), ..renewed.keyed() };
        refused(&crate::support::client(&away, old), "ticket is not valid").await;
        assert_eq!(renewed.seen(), 0);
    });
}

#[test]
fn a_key_that_is_allowed_needs_no_secret() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let home = Home::start(&network.node("home"), &state).await;
        let (paired, allowed) = (network.node("paired"), network.node("allowed"));
        home.peers.pair(id(&paired), Some("home"), "phone").unwrap();
        home.peers.allow(id(&allowed), Some("laptop")).unwrap();
        for node in [&paired, &allowed] {
            let client = client(node, home.keyed());
            assert!(client.send(get("/")).await.is_ok());
        }
        assert_eq!(home.seen(), 2);
    });
}

#[test]
fn a_key_that_is_revoked_stays_out_with_the_best_of_tickets() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let (node, away) = (network.node("home"), network.node("away"));
        let home = Home::start(&node, &state).await;
        home.peers.pair(id(&away), None, "").unwrap();
        home.peers.revoke(id(&away)).unwrap();
        let client = client(&away, home.host.ticket());
        refused(&client, "revoked").await;
        assert_eq!(home.seen(), 0);
        // It tries again, and comes in once it may.
        home.peers.allow(id(&away), None).unwrap();
        while !matches!(client.health(), Health::Healthy { .. }) {
            assert!(client.health_changed().await);
        }
        assert!(client.send(get("/")).await.is_ok());
    });
}

#[test]
fn a_revocation_ends_the_request_under_way_and_does_not_say_that_it_was_not_carried_out() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let (node, away) = (network.node("home"), network.node("away"));
        let home = Home::start(&node, &state).await;
        home.peers.pair(id(&away), None, "").unwrap();
        let client = client(&away, home.keyed());
        let revoking = async {
            home.service.hanging.notified().await;
            home.peers.revoke(id(&away)).unwrap();
        };
        let (answer, ()) = tokio::join!(client.send(get("/hang")), revoking);
        let error = answer.expect_err("the connection is closed");
        assert_eq!(error.failure().kind(), FailureKind::ConnectionLost, "the service had it: {}", error.failure());
        home.service.dropped.notified().await;
        while down(&client.health()).is_none() {
            assert!(client.health_changed().await);
        }
        let (kind, message) = down(&client.health()).unwrap();
        assert_eq!(kind, FailureKind::Unauthorized);
        assert!(message.contains("revoked"), "{message}");
        assert!(home.host.clients().is_empty());
        assert_eq!(home.seen(), 1);
    });
}

#[test]
fn what_a_person_writes_in_the_file_holds_for_open_connections() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let (node, away, ticketed) = (network.node("home"), network.node("away"), network.node("ticketed"));
        let home = Home::start(&node, &state).await;
        home.peers.pair(id(&away), None, "").unwrap();
        let paired = client(&away, home.keyed());
        let ticketed = client(&ticketed, home.host.ticket());
        assert!(paired.send(get("/")).await.is_ok());
        assert!(ticketed.send(get("/")).await.is_ok());

        // An editor that writes half a line turns nobody out.
        let good = fs::read_to_string(home.peers.path()).unwrap();
        fs::write(home.peers.path(), format!("{good}allow")).unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert!(paired.send(get("/")).await.is_ok());

        fs::write(home.peers.path(), "").unwrap();
        while down(&paired.health()).is_none() {
            assert!(paired.health_changed().await);
        }
        let (_, message) = down(&paired.health()).unwrap();
        assert!(message.contains("not paired"), "{message}");
        assert!(ticketed.send(get("/")).await.is_ok(), "the secret still lets this one in");
        assert_eq!(home.host.clients().len(), 1);
    });
}
