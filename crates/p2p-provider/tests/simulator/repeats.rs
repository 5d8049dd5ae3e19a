//! The same seed gives the same run.

use std::time::Duration;

use p2p_provider::{
    P2PConnection,
    simulator::{Conditions, TraceSummary, run},
};
use tokio::time::sleep;

use crate::support::Pair;

/// A conversation in bad weather.
fn weather(seed: u64) -> TraceSummary {
    run(seed, async |network| {
        network.keep_trace();
        network.set_conditions(Conditions::preset("hotel").expect("a preset"));
        network.set_relay(true);
        let pair = Pair::new(&network).await;
        let block = network.block_direct(&[&pair.home], &[&pair.away]);
        for _ in 0..5 {
            tokio::join!(pair.echo(), pair.send(100_000));
        }
        block.heal();
        network.note("test", "halfway");
        sleep(Duration::from_secs(100)).await;
        tokio::join!(pair.echo(), pair.send(100_000));
        pair.dialled.close(1, "enough");
        pair.accepted.closed().await;
        network.trace()
    })
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..5 {
        assert_eq!(weather(seed), weather(seed));
    }
}

#[test]
fn another_seed_gives_another_trace_and_another_identity() {
    assert_ne!(weather(1).hash, weather(2).hash);
    let id = |seed| run(seed, async |network| network.node("a").id());
    assert_eq!(id(1), id(1));
    assert_ne!(id(1), id(2));
}

#[test]
fn a_trace_reads_like_a_log() {
    let text = weather(1).text.expect("it was kept");
    for part in ["home started", "away c1 dials home direct", "c1 connected", "fault begins: direct path blocked"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    for part in ["now relayed", "test halfway", "now direct", "home c1 closed: closed by the peer: enough (code 1)"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(text.lines().is_sorted_by_key(|line| line.split_whitespace().next().map(str::len)));
}
