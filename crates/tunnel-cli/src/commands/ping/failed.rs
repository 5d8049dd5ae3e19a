//! Why a host is not reached, and what to do about it.

use p2p_provider::{
    PeerId,
    iroh::{IrohP2P, is_public},
};
use tunnel_core::FailureKind;
use tunnel_p2p::Ticket;

/// How the relay is through which this side would reach the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RelayState {
    /// There is none.
    None,
    /// This side is connected to it.
    Connected(String),
    /// It cannot be reached from here.
    Failed(String),
    /// It does not let this peer in.
    Denied(String),
}

impl RelayState {
    /// That of this peer, which uses these relays.
    pub(crate) fn of(provider: &IrohP2P, relays: &[String]) -> Self {
        match provider.home_relay() {
            None if relays.is_empty() => Self::None,
            // A home is chosen among those that answer.
            None => Self::Failed(relays.join(", ")),
            Some(relay) if relay.connected => Self::Connected(relay.url),
            Some(relay) if relay.denied.is_some() => Self::Denied(relay.url),
            Some(relay) => Self::Failed(relay.url),
        }
    }
}

/// What is wrong, in a sentence, and the next step.
pub(crate) fn why_not_reached(kind: FailureKind, ticket: &Ticket, relay: &RelayState, me: PeerId) -> (String, String) {
    let said = |message: &str, next: &str| (message.to_owned(), next.to_owned());
    match kind {
        FailureKind::Unauthorized if ticket.secret.is_some() => said(
            "the host is there, and does not accept this ticket",
            "get the ticket that the host prints now: its secret is another one since `tunnel-p2p id --new-secret`, or this \
             device was turned away (`tunnel-p2p peers list` at the host)",
        ),
        FailureKind::Unauthorized => (
            "the host is there, and does not know this gateway's key".to_owned(),
            format!("let it in, at the host: tunnel-p2p peers allow {me}"),
        ),
        FailureKind::Protocol => said(
            "the host is there, and speaks another version",
            "bring both sides to the same version: `tunnel-p2p --version`",
        ),
        FailureKind::ShuttingDown => said("the host is shutting down", "start it again: tunnel-p2p host .."),
        FailureKind::Overloaded => said(
            "the host has too many connections",
            "close other gateways, or look at `tunnel-p2p status` beside the host",
        ),
        _ => unreachable(ticket, relay),
    }
}

fn unreachable(ticket: &Ticket, relay: &RelayState) -> (String, String) {
    let address = &ticket.host;
    let message = "the host is not reached".to_owned();
    let doctor = "`tunnel-p2p doctor --peer TICKET` looks for what is in the way here";
    let next = match relay {
        _ if address.direct.is_empty() && address.relays.is_empty() => {
            "the ticket names no address: get a fresh one, from a host that is connected to a network".to_owned()
        }
        RelayState::Denied(url) => {
            format!("the relay {url} refuses this peer: give its access token, --relay-token-file FILE")
        }
        RelayState::Failed(url) => format!(
            "the relay {url} cannot be reached from here: look whether it runs, and whether this network lets HTTPS \
             through; {doctor}"
        ),
        RelayState::Connected(url) => format!(
            "the relay {url} is reached, the host behind it is not: look whether `tunnel-p2p host` runs and is connected \
             to that relay; if it moved, get a fresh ticket"
        ),
        RelayState::None if !address.direct.is_empty() && address.direct.iter().all(|at| at.ip().is_loopback()) => {
            "the ticket names loopback addresses only: its host is on the machine that printed it, was started with \
             `--bind 127.0.0.1`, or is off"
                .to_owned()
        }
        RelayState::None if !address.direct.iter().any(|at| is_public(at.ip())) && address.relays.is_empty() => {
            format!(
                "start the host, if it is off. Its ticket names private addresses only and no relay: that works inside its \
             own network; from elsewhere the host needs `--relay n0`, or a relay of your own. {doctor}"
            )
        }
        RelayState::None => format!(
            "start the host, if it is off; if it has another address now, get a fresh ticket. UDP may be blocked here: \
             {doctor}"
        ),
    };
    (message, next)
}

#[cfg(test)]
mod tests {
    use p2p_provider::PeerAddr;
    use tunnel_p2p::TicketSecret;

    use super::*;

    const ME: PeerId = PeerId([3; 32]);

    fn ticket(direct: &[&str], relays: &[&str], secret: bool) -> Ticket {
        let direct = direct.iter().map(|address| address.parse().unwrap()).collect();
        let relays = relays.iter().map(ToString::to_string).collect();
        Ticket { host: PeerAddr { id: PeerId([7; 32]), direct, relays }, secret: secret.then(TicketSecret::generate) }
    }

    #[test]
    fn each_failure_has_its_next_step() {
        let relay = "https://relay.example.org/";
        let (private, public, none) = (["192.168.1.4:17420"], ["203.0.113.9:17420"], [""; 0]);
        let cases = [
            (FailureKind::Unauthorized, ticket(&public, &none, true), RelayState::None, "prints now"),
            (FailureKind::Unauthorized, ticket(&public, &none, false), RelayState::None, "peers allow 0303"),
            (FailureKind::Protocol, ticket(&public, &none, true), RelayState::None, "same version"),
            (FailureKind::Unreachable, ticket(&none, &none, true), RelayState::None, "fresh one"),
            (FailureKind::Unreachable, ticket(&private, &none, true), RelayState::None, "--relay n0"),
            (FailureKind::Unreachable, ticket(&["127.0.0.1:9"], &none, true), RelayState::None, "loopback"),
            (FailureKind::Timeout, ticket(&public, &none, true), RelayState::None, "doctor --peer"),
            (
                FailureKind::Unreachable,
                ticket(&private, &[relay], true),
                RelayState::Connected(relay.to_owned()),
                "host behind it",
            ),
            (
                FailureKind::Unreachable,
                ticket(&private, &[relay], true),
                RelayState::Failed(relay.to_owned()),
                "cannot be reached from here",
            ),
            (
                FailureKind::Unreachable,
                ticket(&none, &[relay], true),
                RelayState::Denied(relay.to_owned()),
                "--relay-token-file",
            ),
        ];
        for (kind, ticket, relay, expected) in cases {
            let (_, next) = why_not_reached(kind, &ticket, &relay, ME);
            assert!(next.contains(expected), "{kind:?} {relay:?}: {next}");
        }
    }
}
