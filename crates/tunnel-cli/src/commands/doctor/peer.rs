//! The way to one host: whether it is reached, by which path, and why that is not a direct one.

use std::{net::SocketAddr, time::Duration};

use p2p_provider::{
    P2PProvider, PeerAddr, PeerId,
    iroh::{IrohP2P, is_public},
};
use tokio::time::{Instant, sleep, timeout};
use tunnel_core::{Failure, FailureKind, PathDetails, PathKind, Transport};
use tunnel_p2p::{Client, ClientConfig, Ticket};

use super::{
    check::{Check, Topic},
    nat::Nat,
};
use crate::commands::ping::{RelayState, connected, millis, why_not_reached};

/// How often the path is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How the attempt went.
#[derive(Clone, Debug)]
pub(super) enum Attempt {
    Reached { after: Duration, direct_after: Option<Duration>, waited: Duration, path: Option<PathDetails> },
    Failed { failure: Failure, relay: RelayState, me: PeerId },
}

/// This side, as far as it is known.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts")]
pub(super) struct Here {
    pub(super) nat: Nat,
    pub(super) udp_is_blocked: bool,
    /// Whether a relay has told this machine where it is.
    pub(super) knows_itself: bool,
    pub(super) has_v4: bool,
    pub(super) has_v6: bool,
}

/// Connects, and waits for a direct path, until `until`.
pub(super) async fn attempt(provider: &IrohP2P, ticket: &Ticket, relays: &[String], until: Instant) -> Attempt {
    let began = Instant::now();
    let mut config = ClientConfig::default();
    config.connect_timeout = until - began;
    let client = Client::start(provider.clone(), ticket.clone(), config);
    let attempt = match connected(&client, until - began).await {
        Ok(()) => {
            let (after, connected) = (began.elapsed(), Instant::now());
            let is_direct = || client.path().is_some_and(|path| path.kind == PathKind::Direct);
            let wait = async {
                while !is_direct() {
                    sleep(LOOK_INTERVAL).await;
                }
                connected.elapsed()
            };
            let direct_after = timeout(until - connected, wait).await.ok();
            Attempt::Reached { after, direct_after, waited: connected.elapsed(), path: client.path() }
        }
        Err(failure) => {
            Attempt::Failed { failure, relay: RelayState::of(provider, relays), me: provider.local_peer_id() }
        }
    };
    client.close();
    attempt
}

/// What follows.
pub(super) fn checks(attempt: &Attempt, ticket: &Ticket, here: &Here) -> Vec<Check> {
    let host = ticket.host.id.short();
    match attempt {
        Attempt::Reached { after, direct_after: Some(direct_after), path, .. } => {
            let remote = path.as_ref().and_then(|path| path.remote.as_deref()).unwrap_or("an address unknown");
            let found = format!(
                "reached after {}, directly at {remote}{}",
                millis(*after),
                if direct_after.as_millis() < 2 { String::new() } else { format!(" {} later", millis(*direct_after)) }
            );
            vec![Check::ok(Topic::Peer, found).of(host)]
        }
        Attempt::Reached { after, direct_after: None, waited, path } => {
            let relay = path.as_ref().and_then(|path| path.remote.as_deref()).unwrap_or("a relay");
            let found = format!(
                "reached after {}, but only through {relay}: no direct path was found within {}",
                millis(*after),
                millis(*waited)
            );
            let mut checks = vec![Check::problem(Topic::Peer, found).of(host)];
            checks.extend(reasons(&ticket.host, here).into_iter().map(Reason::check));
            checks
        }
        Attempt::Failed { failure, relay, me } => {
            let (message, next) = why_not_reached(failure.kind(), ticket, relay, *me);
            let mut checks = vec![Check::failed(Topic::Peer, format!("{message}: {failure}")).of(host).next(next)];
            let unanswered = matches!(failure.kind(), FailureKind::Unreachable | FailureKind::Timeout);
            if unanswered && !matches!(relay, RelayState::Connected(_)) {
                let own = reasons(&ticket.host, here).into_iter().filter(|reason| *reason != Reason::Elsewhere);
                checks.extend(own.map(Reason::check));
            }
            checks
        }
    }
}

/// What keeps two peers from a direct path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    UdpBlocked,
    OnlyV4There,
    OnlyV6There,
    HostNotPublic,
    NatHere,
    UnknownHere,
    Elsewhere,
}

/// All that can be told from here, the surest first.
fn reasons(host: &PeerAddr, here: &Here) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let direct = |of: fn(&SocketAddr) -> bool| host.direct.iter().any(of);
    if here.udp_is_blocked {
        reasons.push(Reason::UdpBlocked);
    }
    if direct(SocketAddr::is_ipv4) && !direct(SocketAddr::is_ipv6) && !here.has_v4 {
        reasons.push(Reason::OnlyV4There);
    }
    if direct(SocketAddr::is_ipv6) && !direct(SocketAddr::is_ipv4) && !here.has_v6 {
        reasons.push(Reason::OnlyV6There);
    }
    // A relay that tells nobody its address tells the host none either.
    if !here.knows_itself && !here.udp_is_blocked {
        reasons.push(Reason::UnknownHere);
    }
    if !host.direct.iter().any(|address| is_public(address.ip())) {
        reasons.push(Reason::HostNotPublic);
    }
    if here.nat == Nat::Dependent {
        reasons.push(Reason::NatHere);
    }
    if reasons.is_empty() {
        reasons.push(Reason::Elsewhere);
    }
    reasons
}

impl Reason {
    fn check(self) -> Check {
        let (found, next) = match self {
            Self::UdpBlocked => (
                "UDP does not get through on this network, and a direct path is made of UDP",
                "let UDP out in the firewall here, or try another network",
            ),
            Self::OnlyV4There => (
                "the host has IPv4 addresses only, and this machine has no way out over IPv4",
                "get IPv6 for the host, or stay on the relay",
            ),
            Self::OnlyV6There => (
                "the host has IPv6 addresses only, and this machine has no way out over IPv6",
                "get IPv4 for the host, or IPv6 here, or stay on the relay",
            ),
            Self::HostNotPublic => (
                "the ticket names no public address of the host: it does not know how the world sees it, or does not tell",
                "run `tunnel-p2p doctor --relay ..` beside the host: it needs a relay with TLS that tells it its address, or a \
                 forwarded port (--external-address); it may also keep its addresses back (--publish)",
            ),
            Self::NatHere => (
                "the NAT here gives each destination another port: with a NAT of the same kind at the host no direct path \
                 exists",
                "forward a UDP port to the host in its router, or use IPv6 on both sides",
            ),
            Self::UnknownHere => (
                "no relay has told this machine its own public address, so that the host cannot be told it either",
                "use a relay with TLS and UDP 7842, on both sides: `--relay n0`, or `tunnel-p2p relay --acme`",
            ),
            Self::Elsewhere => (
                "nothing on this side stands in the way, as far as can be seen",
                "run `tunnel-p2p doctor --relay ..` beside the host: look at its NAT and its UDP",
            ),
        };
        Check::note(Topic::Peer, found).of("why not direct").next(next)
    }
}

#[cfg(test)]
mod tests {
    use tunnel_p2p::TicketSecret;

    use super::*;
    use crate::commands::doctor::check::State;

    fn here() -> Here {
        Here { nat: Nat::Independent, udp_is_blocked: false, knows_itself: true, has_v4: true, has_v6: true }
    }

    fn host(direct: &[&str]) -> PeerAddr {
        PeerAddr {
            id: PeerId([7; 32]),
            direct: direct.iter().map(|address| address.parse().unwrap()).collect(),
            relays: vec!["https://relay.example.org/".to_owned()],
        }
    }

    #[test]
    fn each_side_of_the_way_has_its_reasons() {
        let (v4, v6, private) = (["203.0.113.9:17420"], ["[2001:db8::9]:17420"], ["192.168.1.4:17420"]);
        let cases: [(Here, &[&str], &[Reason]); 9] = [
            (here(), &v4, &[Reason::Elsewhere]),
            (Here { udp_is_blocked: true, knows_itself: false, ..here() }, &v4, &[Reason::UdpBlocked]),
            (Here { has_v4: false, ..here() }, &v4, &[Reason::OnlyV4There]),
            (Here { has_v6: false, ..here() }, &v6, &[Reason::OnlyV6There]),
            (Here { has_v6: false, ..here() }, &v4, &[Reason::Elsewhere]),
            (here(), &private, &[Reason::HostNotPublic]),
            (here(), &[], &[Reason::HostNotPublic]),
            (Here { nat: Nat::Dependent, ..here() }, &private, &[Reason::HostNotPublic, Reason::NatHere]),
            (Here { nat: Nat::Unknown, knows_itself: false, ..here() }, &v4, &[Reason::UnknownHere]),
        ];
        for (here, direct, expected) in cases {
            assert_eq!(reasons(&host(direct), &here), expected, "{here:?} {direct:?}");
        }
    }

    #[test]
    fn the_outcome_is_told_with_its_times() {
        let ticket = Ticket { host: host(&["203.0.113.9:17420"]), secret: Some(TicketSecret::generate()) };
        let path = |kind, remote: &str| {
            Some(PathDetails { kind, remote: Some(remote.into()), rtt: None, age: Duration::ZERO })
        };
        let (after, waited) = (Duration::from_millis(50), Duration::from_secs(8));
        let direct = Attempt::Reached {
            after,
            waited,
            direct_after: Some(Duration::from_millis(120)),
            path: path(PathKind::Direct, "203.0.113.9:17420"),
        };
        let found = checks(&direct, &ticket, &here());
        assert_eq!((found.len(), found[0].state), (1, State::Ok));
        assert_eq!(found[0].found, "reached after 50.0 ms, directly at 203.0.113.9:17420 120.0 ms later");
        let relayed = Attempt::Reached {
            after,
            waited,
            direct_after: None,
            path: path(PathKind::Relayed, "https://relay.example.org/"),
        };
        let found = checks(&relayed, &ticket, &here());
        assert_eq!((found.len(), found[0].state, found[1].state), (2, State::Problem, State::Note));
        assert!(found[0].found.contains("only through https://relay.example.org/"));
    }

    #[test]
    fn a_host_that_is_off_has_a_next_step() {
        let ticket = Ticket { host: host(&["203.0.113.9:17420"]), secret: Some(TicketSecret::generate()) };
        let failure = Failure::new(FailureKind::Unreachable, "peer 0707 did not answer");
        let failed = Attempt::Failed { failure, relay: RelayState::None, me: PeerId([3; 32]) };
        let found = checks(&failed, &ticket, &here());
        assert_eq!((found.len(), found[0].state), (1, State::Failed));
        assert!(found[0].next.as_ref().unwrap().contains("start the host"));
        let blocked = Here { udp_is_blocked: true, knows_itself: false, ..here() };
        assert_eq!(checks(&failed, &ticket, &blocked).len(), 2);
    }
}
