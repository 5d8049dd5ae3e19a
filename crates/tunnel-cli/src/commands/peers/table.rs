//! The lists, for people.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use tunnel_p2p::pairing::{KnownHost, PeerEntry};

/// What a peer may do, in words.
pub(super) fn state(entry: &PeerEntry) -> &'static str {
    match (entry.revoked, entry.is_admitted()) {
        (true, _) => "revoked",
        (false, true) => "allowed",
        (false, false) => "needs the ticket",
    }
}

pub(super) fn peers(peers: &[PeerEntry]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["name", "peer", "state", "came by", "client id", "since"]);
    for entry in peers {
        table.add_row([
            entry.name.clone(),
            entry.peer.to_string(),
            state(entry).to_owned(),
            entry.how.name().to_owned(),
            entry.client_id.as_deref().map(printable).unwrap_or_default(),
            entry.since_text(),
        ]);
    }
    table.to_string()
}

pub(super) fn hosts(hosts: &[KnownHost]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["client id", "tunnel server", "peer", "since"]);
    for host in hosts {
        table.add_row([
            printable(&host.client_id),
            printable(&host.tunnel),
            host.ticket.host.id.to_string(),
            host.since_text(),
        ]);
    }
    table.to_string()
}

/// Client ids are from other machines: none of them moves the cursor of this one's terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
