//! Links: latency, jitter, loss, bandwidth, order.

use std::time::Duration;

use bytes::Bytes;
use p2p_provider::{
    ConnectionConfig, P2PConnection, P2PError, P2PProvider, SendStream,
    simulator::{Conditions, SimPeerConfig, run},
};
use tokio::time::{Instant, timeout};

use crate::support::{PROTOCOL, Pair, read_to_end, soon};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_question_and_its_answer_take_a_round_trip() {
    run(1, async |network| {
        network.set_conditions(Conditions::new(ms(50)));
        let pair = Pair::new(&network).await;
        assert_eq!(pair.echo().await, ms(150), "there, back, and the acknowledgement there again");
        assert_eq!(pair.dialled.path().rtt, Some(ms(100)));
    });
}

#[test]
fn bytes_take_their_time_on_a_narrow_link() {
    run(1, async |network| {
        network.set_conditions(Conditions::new(ms(10)).bandwidth(1_000_000));
        let pair = Pair::new(&network).await;
        let took = pair.send(1_000_000).await;
        assert!((ms(1000)..ms(1100)).contains(&took), "{took:?}");
    });
}

#[test]
fn small_exchanges_take_turns_with_large_ones_on_a_narrow_link() {
    run(1, async |network| {
        network.set_conditions(Conditions::new(ms(10)).bandwidth(1_000_000));
        let pair = Pair::new(&network).await;
        let (bulk, small) = tokio::join!(pair.send(1_000_000), pair.echo());
        assert!(small < ms(100), "{small:?} beside {bulk:?}");
    });
}

#[test]
fn loss_delays_what_is_reliable_and_loses_nothing() {
    run(1, async |network| {
        let pair = Pair::new(&network).await;
        let clean = pair.send(200_000).await;
        network.set_conditions(Conditions::default().loss(0.2));
        let lossy = pair.send(200_000).await;
        assert!(lossy > clean * 5, "{clean:?} without loss, {lossy:?} with it");
    });
}

#[test]
fn streams_overtake_each_other_and_keep_their_own_order() {
    run(3, async |network| {
        network.set_conditions(Conditions::new(ms(20)).jitter(ms(40)).reorder(0.2));
        let pair = Pair::new(&network).await;
        let mut sends = Vec::new();
        for number in 0..20_u8 {
            let mut send = pair.dialled.open_uni().await.expect("open");
            for part in 0..10_u8 {
                send.write_chunks(&mut [Bytes::from(vec![number, part])]).await.expect("open");
            }
            send.finish();
            sends.push(send);
        }
        let mut arrivals = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let mut recv = soon(pair.accepted.accept_uni()).await.expect("open");
            arrivals.spawn(async move { read_to_end(&mut recv).await.expect("all of it") });
        }
        let mut order = Vec::new();
        while let Some(bytes) = soon(arrivals.join_next()).await {
            let bytes = bytes.expect("no panic");
            let number = bytes[0];
            assert_eq!(bytes, (0..10).flat_map(|part| [number, part]).collect::<Vec<u8>>());
            order.push(number);
        }
        assert!(!order.is_sorted(), "no stream has overtaken another");
    });
}

#[test]
fn datagrams_are_lost_for_good() {
    run(1, async |network| {
        network.set_conditions(Conditions::default().loss(0.3));
        let (one, other) = (network.node("one"), network.node("other"));
        let (from, to) = (one.socket(9).expect("free"), other.socket(9).expect("free"));
        for number in 0..1000_u32 {
            from.send_to(number.to_be_bytes().to_vec(), other.address(9));
            tokio::time::sleep(ms(1)).await;
        }
        let mut arrived = 0;
        while let Ok(datagram) = timeout(ms(100), to.recv_from()).await {
            assert_eq!(datagram.expect("the node runs").0, one.address(9));
            arrived += 1;
        }
        assert!((650..750).contains(&arrived), "{arrived} of 1000");
    });
}

#[test]
fn discovery_takes_its_time_and_counts_for_the_timeout() {
    run(1, async |network| {
        network.set_discovery_delay(ms(100));
        let start = Instant::now();
        let pair = Pair::new(&network).await;
        assert!(start.elapsed() >= ms(100));
        network.set_discovery_delay(Duration::from_mins(1));
        let config = ConnectionConfig::new(PROTOCOL).connect_timeout(ms(500));
        let error = pair.client.connect(&pair.server.local_addr(), &config).await.expect_err("too slow");
        assert!(matches!(error, P2PError::ConnectTimeout { .. }), "{error}");
    });
}

#[test]
fn every_preset_carries_a_conversation() {
    for (name, conditions) in Conditions::PRESETS {
        assert_eq!(Conditions::preset(name), Some(conditions));
        run(7, async |network| {
            network.set_conditions(conditions);
            let pair = Pair::new(&network).await;
            for _ in 0..5 {
                pair.echo().await;
            }
            pair.send(300_000).await;
            assert_eq!(pair.dialled.close_reason(), None, "{name}");
        });
    }
    assert_eq!(Conditions::preset("moon"), None);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_name() {
    run(1, async |network| {
        let node = network.node("one");
        let mut config = SimPeerConfig::default();
        config.keep_alive_interval = config.idle_timeout;
        assert!(matches!(node.peer(config), Err(P2PError::Config { field: "keep_alive_interval", .. })));
        let first = node.peer(SimPeerConfig::default()).expect("the node is free");
        assert!(matches!(node.peer(SimPeerConfig::default()), Err(P2PError::Bind { .. })));
        first.close().await;
        node.peer(SimPeerConfig::default()).expect("the node is free again");
    });
}
