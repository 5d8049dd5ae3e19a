//! What a host says when it is ready.

use std::io::IsTerminal;

use p2p_provider::{
    PeerAddr,
    iroh::{IrohConfig, IrohP2P, Lookup, Publish, Relays},
};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde_json::json;

use super::ways::{Ways, unpublished};
use crate::{output::Output, peer_news};

/// The widest picture of a ticket, in columns of a terminal.
const QR_COLUMNS_MAX: usize = 80;

/// Where mDNS is heard.
const ON_THE_LAN: &str = "on the same LAN (mdns)";

/// How far a host can be reached, by its settings.
pub(super) struct Reach {
    relays: bool,
    lookups: Vec<&'static str>,
    published: Publish,
}

impl Reach {
    pub(super) fn of(peer: Option<&IrohConfig>) -> Self {
        let name = |lookup: &Lookup| match lookup {
            Lookup::Mdns => Some(ON_THE_LAN),
            Lookup::N0 => Some("at n0's public server"),
            Lookup::Pkarr(_) => Some("at your lookup server"),
            // It only asks.
            Lookup::Dns(_) => None,
        };
        Self {
            relays: peer.is_some_and(|peer| peer.relays != Relays::None),
            lookups: peer.into_iter().flat_map(|peer| peer.lookups.iter().filter_map(name)).collect(),
            published: peer.map_or(Publish::All, |peer| peer.publish),
        }
    }
}

/// Prints the ticket, and how else the host can be reached.
pub(super) fn announce(ways: &Ways, target: &str, reach: &Reach, admin: Option<&String>, output: Output) {
    let ticket = ways.ticket().map(|ticket| ticket.to_string());
    let address = ways.local_addr();
    let tunnel = ways.tunnel().map(|tunnel| tunnel.url().to_string());
    output.json(&json!({
        "event": "ready",
        "ticket": ticket,
        "peer_id": address.as_ref().map(|address| address.id.to_string()),
        "addresses": address.as_ref().map_or(&[][..], |address| &address.direct),
        "relays": address.as_ref().map_or(&[][..], |address| &address.relays),
        "unpublished": ways.peer().map(unpublished).unwrap_or_default(),
        "service": target,
        "tunnel": tunnel,
        "admin": admin,
        "known_peers": ways.known_peers(),
    }));
    if let (Some(ticket), Some(address)) = (&ticket, &address) {
        output.text(ticket);
        if std::io::stdout().is_terminal()
            && !output.is_quiet()
            && let Some(picture) = qr_code(ticket)
        {
            output.text(picture);
        }
        output.note(format!("Offering {target} as peer {}.", address.id));
        for address in &address.direct {
            output.note(format!("  UDP {address}"));
        }
        for address in ways.peer().map(unpublished).unwrap_or_default() {
            output.note(format!("  UDP {address} (told to nobody before a connection)"));
        }
        for relay in &address.relays {
            output.note(format!("  relay {relay}{}", relay_state(ways, relay)));
        }
        for lookup in &reach.lookups {
            let what = match reach.published {
                Publish::All => "its addresses and relays",
                Publish::Public => "its public addresses and relays",
                Publish::Relays if *lookup == ON_THE_LAN => {
                    "nothing, since --publish relay leaves it no address to tell"
                }
                Publish::Relays => "its relays",
            };
            output.note(format!("  found by its peer id {lookup}, which tells {what}"));
        }
        if address.direct.is_empty() && address.relays.is_empty() && reach.lookups.is_empty() {
            output.note(
                "The ticket names no way to this host: --publish keeps all its addresses back. Give a relay of your own \
                 (--relay URL), or publish more.",
            );
        }
        if !reach.relays {
            output.note(
                "No relay: only peers on the same network, or through a forwarded UDP port, can reach this host. \
                 `--relay n0` or a relay of your own lifts that.",
            );
        }
        output.note("The ticket above admits whoever holds it: treat it like a password. Use it elsewhere with");
        output.note("  tunnel-p2p gateway --ticket TICKET");
        match ways.known_peers() {
            0 => {}
            1 => output.note("One device may come in already: tunnel-p2p peers list"),
            known => output.note(format!("{known} devices may come in already: tunnel-p2p peers list")),
        }
    }
    if let Some(tunnel) = tunnel {
        if ticket.is_none() {
            output.text(&tunnel);
        }
        output.note(format!("Offering {target} through the tunnel server at {tunnel}, too."));
    }
    if let Some(admin) = admin {
        output.note(format!("Admin endpoint: {admin} (tunnel-p2p status --admin {admin})"));
    }
}

/// Says that the host is elsewhere now, or is reachable at more addresses.
pub(super) fn moved(ways: &Ways, before: &PeerAddr, now: &PeerAddr, output: Output) {
    let ticket = ways.ticket().map(|ticket| ticket.to_string());
    output.json(&json!({
        "event": "moved",
        "addresses": now.direct,
        "relays": now.relays,
        "ticket": ticket,
    }));
    let addresses = |address: &PeerAddr| -> Vec<String> {
        address.direct.iter().map(ToString::to_string).chain(address.relays.clone()).collect()
    };
    let (before, now) = (addresses(before), addresses(now));
    let added: Vec<&String> = now.iter().filter(|address| !before.contains(address)).collect();
    if before.iter().all(|address| now.contains(address)) {
        for address in added {
            output.note(format!("This host can be reached at {address}, too."));
        }
        if let Some(ticket) = ticket {
            output.note("Earlier tickets remain valid. A ticket with all addresses:");
            output.note(format!("  {ticket}"));
        }
        return;
    }
    output.note(format!(
        "This host's addresses changed: {}. Tickets from before work as long as one of their addresses or relays does.",
        if now.is_empty() { "none at the moment".to_owned() } else { now.join(", ") }
    ));
}

/// What is worth a word of a relay that the ticket names.
fn relay_state(ways: &Ways, url: &str) -> String {
    match ways.peer().and_then(IrohP2P::home_relay).filter(|home| home.url == url) {
        Some(home) if home.connected => " (connected)".to_owned(),
        Some(home) if home.error.is_some() || home.denied.is_some() => format!(", which {}", peer_news::why(&home)),
        Some(_) => " (connecting)".to_owned(),
        None => String::new(),
    }
}

/// The ticket as a picture for a phone's camera; nothing if it would not fit a terminal.
fn qr_code(ticket: &str) -> Option<String> {
    // Tickets may be read in either case, and capitals need fewer modules (ISO/IEC 18004, alphanumeric mode).
    let code = QrCode::with_error_correction_level(ticket.to_ascii_uppercase(), EcLevel::L).ok()?;
    // Terminals are mostly dark: light modules are drawn, dark ones are left.
    let picture = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    (picture.lines().next()?.chars().count() <= QR_COLUMNS_MAX).then_some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_with_a_few_addresses_fits_a_terminal_as_a_picture() {
        let picture = qr_code(&format!("tp2p1{}", "a2".repeat(100))).expect("it fits");
        assert!(picture.lines().count() < 40, "{picture}");
        assert_eq!(qr_code(&"a".repeat(4000)), None);
    }
}
