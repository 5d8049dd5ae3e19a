//! What becomes of this process's peer while it runs: its relay, its addresses, what it had to do about them.

use std::time::Duration;

use p2p_provider::{
    P2PProvider, PeerAddr,
    iroh::{HomeRelay, IrohP2P},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::output::Output;

/// How often the peer is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// A relay that is away for no longer than this is not worth a word: it restarts, or another one takes its place.
const RELAY_PATIENCE: Duration = Duration::from_secs(2);

/// For the admin endpoint.
pub(crate) fn describe(peer: &IrohP2P) -> Value {
    let care = peer.care();
    json!({
        "relay": peer.home_relay().map(|relay| relay_json(&relay)),
        "care": {
            "network_changes": care.network_changes,
            "resumes": care.resumes,
            "relay_moves": care.relay_moves,
            "rebuilds": care.rebuilds,
        },
    })
}

/// Tells of the relay and, for a host, of its addresses: those from before and those of now. Never ends.
pub(crate) async fn watch(peer: &IrohP2P, moved: impl Fn(&PeerAddr, &PeerAddr), output: Output) {
    let mut relay = None;
    let mut away = Duration::ZERO;
    let mut told_away = false;
    let mut address = sorted(peer.local_addr());
    let mut rebuilds = 0;
    loop {
        match peer.home_relay().or_else(|| unanswered(peer)) {
            Some(now) if now.connected => {
                if told_away || relay.as_ref() != Some(&now.url) {
                    output.json(&with_event("relay", relay_json(&now)));
                    output.note(format!("Reachable through the relay {}.", now.url));
                }
                relay = Some(now.url);
                (away, told_away) = (Duration::ZERO, false);
            }
            Some(now) => {
                if away >= RELAY_PATIENCE && !told_away {
                    output.json(&with_event("relay", relay_json(&now)));
                    output.note(format!("The relay {} {}; trying again.", now.url, why(&now)));
                    told_away = true;
                }
                away += WATCH_INTERVAL;
            }
            None => {}
        }
        let now = sorted(peer.local_addr());
        if now != address {
            moved(&address, &now);
            address = now;
        }
        let care = peer.care();
        if care.rebuilds != rebuilds {
            rebuilds = care.rebuilds;
            output.json(&json!({ "event": "rebuilt", "count": rebuilds }));
            output.note("Nothing worked for a while: the sockets were opened anew.");
        }
        sleep(WATCH_INTERVAL).await;
    }
}

/// The first of the configured relays, while none has ever answered.
fn unanswered(peer: &IrohP2P) -> Option<HomeRelay> {
    peer.relays().into_iter().next().map(HomeRelay::unanswered)
}

/// Why there is no connection to a relay, as the end of a sentence that begins with its name.
pub(crate) fn why(relay: &HomeRelay) -> String {
    match (&relay.denied, &relay.error) {
        (Some(denied), _) => {
            format!("refuses this peer ({denied}): give its access token with --relay-token-file FILE")
        }
        (None, Some(error)) => format!("cannot be reached: {error}"),
        (None, None) => "does not answer".to_owned(),
    }
}

fn relay_json(relay: &HomeRelay) -> Value {
    json!({ "url": relay.url, "connected": relay.connected, "denied": relay.denied, "error": relay.error })
}

fn with_event(event: &str, mut value: Value) -> Value {
    value["event"] = event.into();
    value
}

/// In an order that says nothing, so that only changes of content count.
fn sorted(mut address: PeerAddr) -> PeerAddr {
    address.direct.sort_unstable();
    address
}
