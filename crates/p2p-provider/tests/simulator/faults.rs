//! Faults, while they last and after they have healed.

use std::time::Duration;

use bytes::Bytes;
use p2p_provider::{
    CloseReason, ConnectionConfig, ConnectionLimits, P2PConnection, P2PError, P2PListener, P2PProvider, PathKind,
    SendStream,
    simulator::{Conditions, Nat, PacketClass, SimPeerConfig, Verdict, run},
};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{PROTOCOL, Pair, ROOMY, read_to_end, soon};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_short_partition_delays_and_a_long_one_ends_connections() {
    run(1, async |network| {
        let pair = Pair::new(&network).await;
        let partition = network.partition(&[&pair.home], &[&pair.away]);
        let (took, ()) = tokio::join!(pair.echo(), async {
            sleep(secs(3)).await;
            partition.heal();
        });
        assert!((secs(3)..secs(6)).contains(&took), "{took:?}");

        let start = Instant::now();
        let _partition = network.partition(&[&pair.home], &[&pair.away]);
        assert_eq!(pair.dialled.closed().await, CloseReason::TimedOut);
        assert_eq!(pair.accepted.closed().await, CloseReason::TimedOut);
        assert!((secs(4)..secs(7)).contains(&start.elapsed()), "{:?}", start.elapsed());
    });
}

#[test]
fn a_partition_of_others_is_not_felt() {
    run(1, async |network| {
        let pair = Pair::new(&network).await;
        let other = network.node("other");
        let _partition = network.partition(&[&pair.home], &[&other]);
        pair.echo().await;
    });
}

#[test]
fn a_stall_keeps_the_connection_and_moves_nothing() {
    run(1, async |network| {
        let pair = Pair::new(&network).await;
        let stall = network.stall(&[&pair.home], &[&pair.away]);
        assert!(timeout(secs(60), pair.echo()).await.is_err());
        assert_eq!(pair.dialled.close_reason(), None);
        stall.heal();
        sleep(secs(3)).await;
        assert_eq!(pair.dialled.close_reason(), None);
    });
}

#[test]
fn a_blocked_direct_path_gives_way_to_the_relay_and_comes_back() {
    run(1, async |network| {
        network.set_relay(true);
        let pair = Pair::new(&network).await;
        assert_eq!(pair.dialled.path_kind(), PathKind::Direct);
        let block = network.block_direct(&[&pair.home], &[&pair.away]);
        let took = pair.echo().await;
        assert!((secs(2)..secs(6)).contains(&took), "{took:?}");
        assert_eq!(pair.dialled.path_kind(), PathKind::Relayed);
        assert_eq!(pair.accepted.path_kind(), PathKind::Relayed);
        sleep(secs(200)).await;
        assert_eq!(pair.dialled.path_kind(), PathKind::Relayed, "the direct path is still blocked");
        block.heal();
        sleep(secs(70)).await;
        assert_eq!(pair.dialled.path_kind(), PathKind::Direct);
        pair.echo().await;
    });
}

#[test]
fn peers_without_a_direct_path_live_and_die_with_the_relay() {
    run(1, async |network| {
        network.set_relay(true);
        let home = network.node("home");
        home.set_nat(Nat::Relayed);
        let server = home.peer(SimPeerConfig::default()).expect("the node runs");
        let client = network.node("away").peer(SimPeerConfig::default()).expect("the node runs");
        let mut listener = server.listen(&[PROTOCOL]).await.expect("free");
        let (address, config) = (server.local_addr(), ConnectionConfig::new(PROTOCOL));
        let (dialled, accepted) = tokio::join!(client.connect(&address, &config), listener.accept());
        let (dialled, _accepted) = (dialled.expect("through the relay"), accepted.expect("open"));
        sleep(secs(130)).await;
        assert_eq!(dialled.path_kind(), PathKind::Relayed);
        let outage = network.relay_outage();
        assert_eq!(soon(dialled.closed()).await, CloseReason::TimedOut);
        assert!(matches!(client.connect(&address, &config).await, Err(P2PError::ConnectTimeout { .. })));
        outage.heal();
        let (dialled, _accepted) = tokio::join!(client.connect(&address, &config), listener.accept());
        assert_eq!(dialled.expect("through the relay").path_kind(), PathKind::Relayed);
    });
}

#[test]
fn an_unreachable_node_is_not_reached_but_reaches_nobody_either() {
    run(1, async |network| {
        network.set_relay(true);
        let (one, other) = (network.node("one"), network.node("other"));
        one.set_nat(Nat::Unreachable);
        let near = one.peer(SimPeerConfig::default()).expect("the node runs");
        let far = other.peer(SimPeerConfig::default()).expect("the node runs");
        let _listener = near.listen(&[PROTOCOL]).await.expect("free");
        let config = ConnectionConfig::new(PROTOCOL).connect_timeout(secs(1));
        let mut address = near.local_addr();
        assert!(address.relays.is_empty());
        address.relays = far.local_addr().relays;
        assert!(matches!(far.connect(&address, &config).await, Err(P2PError::ConnectTimeout { .. })));
    });
}

#[test]
fn dials_are_refused_at_once_or_ignored_as_ordered() {
    run(1, async |network| {
        let pair = Pair::new(&network).await;
        let (address, config) = (pair.server.local_addr(), ConnectionConfig::new(PROTOCOL));
        let refused = network.refuse_dials(&pair.home);
        let start = Instant::now();
        assert!(matches!(pair.client.connect(&address, &config).await, Err(P2PError::Connect { .. })));
        assert!(start.elapsed() < secs(1));
        refused.heal();
        let ignored = network.ignore_dials(&pair.home);
        assert!(matches!(pair.client.connect(&address, &config).await, Err(P2PError::ConnectTimeout { .. })));
        // The connection that there is lives on.
        pair.echo().await;
        ignored.heal();
        assert!(pair.client.connections().len() == 1);
    });
}

#[test]
fn a_link_is_degraded_until_the_fault_heals() {
    run(1, async |network| {
        let pair = Pair::new(&network).await;
        let before = pair.echo().await;
        let slow = network.degrade(&[&pair.home], &[&pair.away], Conditions::new(secs(1)));
        assert!(pair.echo().await >= secs(3));
        slow.heal();
        assert_eq!(pair.echo().await, before);
    });
}

#[test]
fn a_rule_sees_every_packet_and_may_delay_it() {
    run(1, async |network| {
        let pair = Pair::new(&network).await;
        let home = pair.home.id();
        let mut first = true;
        let _rule = network.rule("first bytes to home late", move |packet| {
            let hit = packet.class == PacketClass::Stream && packet.to == home && packet.bytes > 0;
            if hit && std::mem::take(&mut first) { Verdict::Delay(secs(2)) } else { Verdict::Pass }
        });
        assert!(pair.echo().await >= secs(2));
        assert!(pair.echo().await < secs(1));
    });
}

#[test]
fn a_crash_is_silent_and_a_restart_needs_a_new_connection() {
    run(1, async |network| {
        let Pair { home, client, dialled, accepted, server, listener, away: _away } = Pair::new(&network).await;
        let address = server.local_addr();
        home.crash();
        assert!(matches!(accepted.close_reason(), Some(CloseReason::Transport(_))));
        drop((accepted, listener, server));
        assert_eq!(dialled.close_reason(), None, "nobody has said anything");
        home.start();
        let server = home.peer(SimPeerConfig::default()).expect("it runs again");
        assert_eq!(server.local_addr(), address);
        assert_eq!(soon(dialled.closed()).await, CloseReason::TimedOut);
        let mut listener = server.listen(&[PROTOCOL]).await.expect("free");
        let config = ConnectionConfig::new(PROTOCOL);
        let (dialled, _accepted) = tokio::join!(client.connect(&address, &config), listener.accept());
        dialled.expect("it listens again");
    });
}

#[test]
fn a_node_that_moves_is_found_by_relay_only() {
    run(1, async |network| {
        network.set_relay(true);
        let Pair { home, client, server, listener, accepted, dialled, away: _away } = Pair::new(&network).await;
        let old = server.local_addr();
        home.crash();
        drop((accepted, listener, server, dialled));
        home.start_elsewhere();
        let server = home.peer(SimPeerConfig::default()).expect("it runs again");
        assert_ne!(server.local_addr().direct, old.direct);
        let mut listener = server.listen(&[PROTOCOL]).await.expect("free");
        let config = ConnectionConfig::new(PROTOCOL).connect_timeout(secs(2));
        let mut direct_only = old.clone();
        direct_only.relays.clear();
        assert!(matches!(client.connect(&direct_only, &config).await, Err(P2PError::ConnectTimeout { .. })));
        let (dialled, accepted) = tokio::join!(client.connect(&old, &config), listener.accept());
        let (dialled, _accepted) = (dialled.expect("through the relay"), accepted.expect("open"));
        sleep(secs(2)).await;
        assert_eq!(dialled.path_kind(), PathKind::Direct, "the relay has told the new address");
    });
}

#[test]
fn too_many_small_unread_pieces_end_the_connection() {
    run(1, async |network| {
        let pair = Pair::new(&network).await;
        let mut send = pair.dialled.open_uni().await.expect("open");
        let mut written = 0;
        while send.write_chunks(&mut [Bytes::from_static(b"small")]).await.is_ok() {
            written += 1;
            sleep(Duration::from_millis(2)).await;
        }
        assert!((2040..2060).contains(&written), "{written}");
        assert!(matches!(pair.accepted.close_reason(), Some(CloseReason::Transport(_))));
    });
}

#[test]
fn what_a_peer_leaves_behind_is_forgotten() {
    run(1, async |network| {
        let mut pair = Pair::new(&network).await;
        let (address, config) = (pair.server.local_addr(), ConnectionConfig::new(PROTOCOL));
        for _ in 0..50 {
            let (dialled, accepted) = tokio::join!(pair.client.connect(&address, &config), pair.listener.accept());
            let (dialled, accepted) = (dialled.expect("it listens"), accepted.expect("open"));
            let (mut send, _recv) = dialled.open_bi().await.expect("open");
            send.write_chunks(&mut [Bytes::from_static(b"x")]).await.expect("open");
            let (_send, mut recv) = soon(accepted.accept_bi()).await.expect("open");
            drop(send);
            assert!(read_to_end(&mut recv).await.is_err());
        }
        sleep(secs(1)).await;
        assert_eq!(pair.client.connections().len(), 1);
        assert_eq!(pair.server.connections().len(), 1);
    });
}

#[test]
fn a_dial_ends_when_the_peer_closes_in_the_middle_of_it() {
    run(1, async |network| {
        let (home, away) = (network.node("home"), network.node("away"));
        let server = home.peer(SimPeerConfig::default()).expect("the node runs");
        let client = away.peer(SimPeerConfig::default()).expect("the node runs");
        let _listener = server.listen(&[PROTOCOL]).await.expect("nobody listens yet");
        let (address, config, start) = (server.local_addr(), ConnectionConfig::new(PROTOCOL), Instant::now());
        let (dialled, ()) = tokio::join!(client.connect(&address, &config), async {
            sleep(Duration::from_millis(10)).await;
            server.close().await;
        });
        assert!(matches!(dialled, Err(P2PError::Connect { .. })), "{dialled:?}");
        assert!(start.elapsed() < secs(1), "{:?}", start.elapsed());
        assert!(client.connections().is_empty());
    });
}

#[test]
fn a_listener_that_is_dropped_leaves_no_handshake_behind() {
    run(1, async |network| {
        network.set_conditions(Conditions::new(Duration::from_millis(25)));
        let (home, away) = (network.node("home"), network.node("away"));
        let server = home.peer(SimPeerConfig::default()).expect("the node runs");
        let client = away.peer(SimPeerConfig::default()).expect("the node runs");
        let mut listener = server.listen(&[PROTOCOL]).await.expect("nobody listens yet");
        let (address, config) = (server.local_addr(), ConnectionConfig::new(PROTOCOL));
        let (dialled, accepted) = tokio::join!(client.connect(&address, &config), async move {
            // It has answered the dial, and waits for the last word.
            timeout(Duration::from_millis(40), listener.accept()).await
        });
        assert!(accepted.is_err());
        let closed = soon(dialled.expect("it was answered").closed()).await;
        assert_eq!(closed, CloseReason::Peer { code: 0, reason: String::new() });
        assert_eq!(network.usage().connections, 0);
    });
}

#[test]
fn a_dial_that_arrives_after_a_restart_meets_the_limits_of_the_new_peer() {
    run(1, async |network| {
        let (home, away) = (network.node("home"), network.node("away"));
        let mut narrow = SimPeerConfig::default();
        narrow.initial_limits.receive_window = 1;
        let address = home.peer(narrow.clone()).expect("the node runs").local_addr();
        let client = away.peer(SimPeerConfig::default()).expect("the node runs");
        home.crash();
        let config = ConnectionConfig::new(PROTOCOL);
        let (dialled, accepted) = tokio::join!(client.connect(&address, &config), async {
            home.start();
            let server = home.peer(narrow).expect("it runs again");
            let mut listener = server.listen(&[PROTOCOL]).await.expect("nobody listens yet");
            (listener.accept().await, listener)
        });
        let (dialled, accepted, _listener) = (dialled.expect("it listens"), accepted.0.expect("open"), accepted.1);
        // Wider than the peer's own, and narrower than the defaults.
        accepted.set_limits(ConnectionLimits { receive_window: 200_000, ..ROOMY });
        let mut send = dialled.open_uni().await.expect("open");
        soon(send.write_chunks(&mut [Bytes::from(vec![7; 100_000])])).await.expect("there is room");
    });
}
