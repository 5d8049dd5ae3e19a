//! The state of a gateway or host, for people.

use std::fmt::Write;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde_json::Value;

/// What a running gateway or host says about itself.
pub(super) fn status(status: &Value) -> String {
    let mut rows = Rows::default();
    let role = text(&status["role"]);
    rows.add(&role, [text(&status["url"]), text(&status["service"])].concat());
    rows.add("version", format!("{}, up {}", text(&status["version"]), seconds(&status["uptime_seconds"])));
    if status["draining"] == true {
        rows.add("draining", "requests under way may finish, new ones are refused");
    }
    rows.add("health", health(&status["health"]));
    if role == "host" {
        host(status, &mut rows);
    } else {
        gateway(status, &mut rows);
    }
    rows.0.to_string()
}

fn gateway(status: &Value, rows: &mut Rows) {
    let router = &status["router"];
    let forced = if router["forced"].is_null() {
        String::new()
    } else {
        format!(", set to {} by hand", text(&router["forced"]))
    };
    rows.add("mode", format!("{}, rollout {} %{forced}", text(&router["mode"]), text(&router["rollout_percent"])));
    let switch = &status["kill_switch"];
    let cause = match (switch["by_hand"] == true, switch["file_exists"] == true) {
        (_, true) => format!("on: {} exists", text(&switch["file"])),
        (true, false) => "on".to_owned(),
        (false, false) => "off".to_owned(),
    };
    rows.add("kill switch", cause);
    let p2p = &router["p2p"];
    if p2p.is_null() {
        rows.add("p2p", "no ticket is given");
    } else {
        let probe =
            p2p["next_probe_ms"].as_u64().map_or_else(String::new, |ms| format!(", next probe in {}", millis(ms)));
        let since = p2p["for_ms"].as_u64().map_or_else(String::new, |ms| format!(" for {}", millis(ms)));
        rows.add("p2p", format!("{}{since} ({}){probe}", text(&p2p["state"]), text(&p2p["cause"])));
        rows.add("", transport(&p2p["transport"]));
    }
    network(&status["network"], rows);
    let legacy = &router["legacy"];
    // It is asked only when a request takes it.
    let asked = match legacy["health"].as_str() {
        None => "none is given".to_owned(),
        Some("probing") => "not asked yet".to_owned(),
        Some(_) => format!("{}, when last asked", transport(legacy)),
    };
    rows.add("tunnel server", asked);
    let counts = &router["counts"];
    for line in counts["answered"].as_array().into_iter().flatten() {
        let name = format!("answered by {}", text(&line["transport"]));
        rows.add(&name, format!("{} ({})", text(&line["count"]), text(&line["reason"])));
    }
    for (name, key) in [("not answered", "failed"), ("fell back", "fallbacks"), ("hedged", "hedges_started")] {
        if counts[key].as_u64().is_some_and(|count| count > 0) {
            rows.add(name, text(&counts[key]));
        }
    }
    let shadow = &counts["shadow"];
    if ["matched", "mismatched", "failed"].iter().any(|key| shadow[key].as_u64().is_some_and(|count| count > 0)) {
        let [matched, mismatched, failed] = ["matched", "mismatched", "failed"].map(|key| text(&shadow[key]));
        rows.add("compared", format!("{matched} the same, {mismatched} not, {failed} without an answer"));
    }
    let configuration = &status["configuration"];
    if !configuration["last_error"].is_null() {
        rows.add("not reloaded", text(&configuration["last_error"]));
    }
    let restart: Vec<String> = configuration["needs_restart"].as_array().into_iter().flatten().map(text).collect();
    if !restart.is_empty() {
        rows.add("needs a restart", restart.join(", "));
    }
}

fn host(status: &Value, rows: &mut Rows) {
    if !status["client_id"].is_null() {
        rows.add("client id", text(&status["client_id"]));
    }
    let p2p = &status["p2p"];
    if p2p.is_null() {
        rows.add("p2p", "turned off");
    } else {
        let addresses: Vec<String> = p2p["addresses"].as_array().into_iter().flatten().map(text).collect();
        rows.add("p2p", format!("peer {}", text(&p2p["peer_id"])));
        rows.add("", format!("UDP {}", addresses.join(", ")));
        let unpublished: Vec<String> = p2p["unpublished"].as_array().into_iter().flatten().map(text).collect();
        if !unpublished.is_empty() {
            rows.add("", format!("UDP {}, told to nobody before a connection", unpublished.join(", ")));
        }
        if p2p["known_peers"].as_u64().is_some_and(|known| known > 0) {
            rows.add("", format!("{} in its list of peers (tunnel-p2p peers list)", text(&p2p["known_peers"])));
        }
        for client in p2p["clients"].as_array().into_iter().flatten() {
            let name = match client["name"].as_str() {
                Some(name) => format!("{name:?}, "),
                None => String::new(),
            };
            rows.add("", format!("client {name}{}, {}", text(&client["peer"]), path(client)));
        }
    }
    network(&p2p["network"], rows);
    let tunnel = &status["tunnel"];
    if tunnel.is_null() {
        rows.add("tunnel server", "none is given");
    } else {
        rows.add("tunnel server", format!("{}: {}", text(&tunnel["url"]), health(&tunnel["health"])));
    }
}

/// The relay of a peer, and what it did to stay reachable.
fn network(network: &Value, rows: &mut Rows) {
    let relay = &network["relay"];
    if let Some(url) = relay["url"].as_str() {
        let state = match (relay["connected"] == true, &relay["denied"], &relay["error"]) {
            (true, ..) => "connected".to_owned(),
            (false, Value::String(denied), _) => format!("refuses this peer: {denied}"),
            (false, _, Value::String(error)) => format!("not connected: {error}"),
            (false, ..) => "connecting".to_owned(),
        };
        rows.add("relay", format!("{url}, {state}"));
    }
    let care = &network["care"];
    let done = [
        ("relay_moves", "left a failed relay for another"),
        ("resumes", "woke up"),
        ("rebuilds", "opened its sockets anew"),
    ];
    for (key, what) in done {
        if let Some(count) = care[key].as_u64().filter(|count| *count > 0) {
            rows.add("care", format!("{what} {count} x"));
        }
    }
}

/// The last requests of a gateway, newest first.
pub(super) fn decisions(decisions: &Value) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["request", "client id", "status", "transport", "reason", "outcome", "time"]);
    for decision in decisions.as_array().into_iter().flatten() {
        let outcome = match &decision["outcome"] {
            Value::Object(object) => {
                object.iter().map(|(name, kind)| format!("{name}: {}", text(kind))).collect::<Vec<_>>().join(", ")
            }
            other => text(other),
        };
        let failovers = match decision["failovers"].as_u64() {
            Some(count) if count > 0 => format!(", continued {count} x"),
            _ => String::new(),
        };
        table.add_row([
            format!("{} {}", text(&decision["method"]), text(&decision["path"])),
            text(&decision["client_id"]),
            text(&decision["status"]),
            text(&decision["transport"]),
            text(&decision["reason"]),
            format!("{outcome}{failovers}"),
            decision["duration_ms"].as_u64().map_or_else(String::new, millis),
        ]);
    }
    table.to_string()
}

#[derive(Default)]
struct Rows(Table);

impl Rows {
    fn add(&mut self, name: &str, value: impl Into<String>) {
        if self.0.row_count() == 0 {
            self.0.load_style(UTF8_FULL_CONDENSED);
        }
        self.0.add_row([name.to_owned(), value.into()]);
    }
}

fn health(health: &Value) -> String {
    match text(&health["state"]).as_str() {
        "healthy" => match (&health["transport"], &health["path"]) {
            (Value::String(transport), Value::String(path)) => format!("requests go by {transport}, path {path}"),
            _ => "healthy".to_owned(),
        },
        "down" | "degraded" => format!("{}: {}", text(&health["state"]), text(&health["message"])),
        other => other.to_owned(),
    }
}

fn transport(transport: &Value) -> String {
    let id = if transport["client_id"].is_null() {
        String::new()
    } else {
        format!(", client id {}", text(&transport["client_id"]))
    };
    match (&transport["path"], &transport["failure"]) {
        (Value::String(_), _) => format!("{}, path {}{id}", text(&transport["health"]), path(transport)),
        (_, Value::String(failure)) => format!("{}: {failure}", text(&transport["health"])),
        _ => text(&transport["health"]),
    }
}

/// As `direct to 192.0.2.1:17420 for 5 min 2 s, round trip 3.2 ms`, as far as it is known.
fn path(path: &Value) -> String {
    let mut shown = text(&path["path"]);
    if let Some(remote) = path["remote"].as_str() {
        let by = if shown == "relayed" { "by" } else { "to" };
        write!(shown, " {by} {remote}").expect("a string");
    }
    if let Some(ms) = path["path_for_ms"].as_u64() {
        write!(shown, " for {}", millis(ms)).expect("a string");
    }
    if let Some(us) = path["rtt_us"].as_u64() {
        write!(shown, ", round trip {}.{} ms", us / 1000, us / 100 % 10).expect("a string");
    }
    shown
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn seconds(value: &Value) -> String {
    value.as_u64().map_or_else(String::new, |seconds| millis(seconds.saturating_mul(1000)))
}

/// A time as people say it.
fn millis(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_on_the_tunnel_server_says_why() {
        let shown = status(&json!({
            "role": "gateway", "url": "http://127.0.0.1:8017", "version": "1", "uptime_seconds": 3_725,
            "health": { "state": "healthy", "transport": "legacy", "path": "server" },
            "kill_switch": { "on": true, "by_hand": false, "file": "/run/no-p2p", "file_exists": true },
            "configuration": { "last_error": "`mode` is wrong", "needs_restart": ["listen"] },
            "router": {
                "mode": "p2p-first", "forced": "legacy", "rollout_percent": 25.0,
                "p2p": { "state": "down", "cause": "failures", "for_ms": 5000, "next_probe_ms": 400,
                         "transport": { "health": "down", "failure": "no answer" } },
                "legacy": { "health": "healthy", "path": "server", "client_id": "home" },
                "counts": { "answered": [{ "transport": "legacy", "reason": "kill-switch", "count": 3 }] },
            },
        }));
        for part in [
            "up 1 h 2 min",
            "requests go by legacy, path server",
            "rollout 25.0 %, set to legacy by hand",
            "on: /run/no-p2p exists",
            "down for 5 s (failures), next probe in 400 ms",
            "down: no answer",
            "healthy, path server, client id home, when last asked",
            "3 (kill-switch)",
            "`mode` is wrong",
            "needs a restart",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn a_host_names_its_clients_and_its_tunnel() {
        let shown = status(&json!({
            "role": "host", "service": "http://127.0.0.1:8000", "client_id": "home",
            "health": { "state": "degraded", "message": "the tunnel server is away" },
            "p2p": { "peer_id": "abc", "addresses": ["127.0.0.1:1"], "clients": [{ "peer": "xyz", "path": "direct", "remote": "192.0.2.1:7", "rtt_us": 3_250, "path_for_ms": 65_000 }, { "peer": "uvw", "path": "relayed", "name": "phone" }],
                     "known_peers": 2 },
            "tunnel": { "url": "http://t", "health": { "state": "down", "message": "away" } },
        }));
        for part in [
            "degraded: the tunnel server is away",
            "peer abc",
            "client xyz, direct to 192.0.2.1:7 for 1 min 5 s, round trip 3.2 ms",
            "client \"phone\", uvw, relayed",
            "2 in its list",
            "http://t: down: away",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn decisions_say_how_requests_ended() {
        let shown = decisions(&json!([{
            "method": "GET", "path": "/a", "status": 200, "transport": "p2p", "reason": "p2p-healthy",
            "failovers": 1, "outcome": { "cut": "connection-lost" }, "duration_ms": 1_500,
        }]));
        for part in ["GET /a", "cut: connection-lost, continued 1 x", "1 s"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
