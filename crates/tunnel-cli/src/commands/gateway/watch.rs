//! What a gateway says while it runs.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use tunnel_core::{Health, PathDetails};

use super::transports::Transports;
use crate::{output::Output, routing::Switched};

/// How often the state of the connection is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// Says whenever the connection to the host comes or goes, and when the kill switch turns. Never ends.
pub(super) async fn watch(transports: &Transports, switched: &Switched, output: Output) {
    let Some(main) = transports.p2p().or_else(|| transports.legacy()) else { return std::future::pending().await };
    let mut known = Health::Probing;
    let mut killed = false;
    if transports.pairs() {
        output.note("Looking for the host; requests take the tunnel server meanwhile ...");
    } else if transports.p2p().is_some() {
        output.note("Connecting to the host ...");
    } else {
        output.note("No ticket is given: every request takes the tunnel server.");
    }
    let mut paired = None;
    loop {
        let host = transports.paired_host();
        if host != paired {
            paired = host;
            if let Some(host) = host {
                output.json(&json!({ "event": "paired", "host": host.to_string() }));
                output.note(format!("Paired with the host, peer {host}. (tunnel-p2p peers list)"));
            }
        }
        let health = main.health();
        if health != known {
            tell(&health, main.path().as_ref(), output);
            known = health;
        }
        let on = switched.look();
        if on != killed {
            killed = on;
            output.json(&json!({ "event": "kill-switch", "on": on }));
            output.note(if on {
                "The kill switch is on: every new request takes the tunnel server."
            } else {
                "The kill switch is off."
            });
        }
        sleep(WATCH_INTERVAL).await;
    }
}

fn tell(health: &Health, details: Option<&PathDetails>, output: Output) {
    match health {
        Health::Healthy { path, client_id } => {
            output.json(&json!({
                "event": "connected",
                "path": path.name(),
                "client_id": client_id,
                "remote": details.and_then(|details| details.remote.as_deref()),
                "rtt_us": details.and_then(|details| details.rtt).map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
                // For how long already: this is looked at five times a second.
                "path_for_ms": details.map(|details| u64::try_from(details.age.as_millis()).unwrap_or(u64::MAX)),
            }));
            let of = client_id.as_ref().map_or_else(String::new, |id| format!(" {id:?}"));
            let remote = details.and_then(|details| details.remote.as_deref());
            let remote = remote.map_or_else(String::new, |remote| format!(", {remote}"));
            output.note(format!("Connected to the host{of}, path: {}{remote}.", path.name()));
        }
        Health::Probing => {
            output.json(&json!({ "event": "connecting" }));
            output.note("Connecting to the host ...");
        }
        Health::Down(failure) => {
            output.json(&json!({ "event": "down", "reason": failure.kind().name(), "message": failure.message() }));
            output.note(format!("No connection to the host, trying again: {failure}"));
        }
    }
}
