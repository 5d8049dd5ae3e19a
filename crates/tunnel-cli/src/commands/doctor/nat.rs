//! What stands between this machine and the world: NAT, blocked UDP, a login page, a router that forwards ports.

use std::{net::SocketAddr, time::Duration};

use p2p_provider::iroh::NetReport;
use portmapper::{Client, Config};
use tokio::time::timeout;

use super::check::{Check, Topic};

/// A router answers at once, or not at all; the search for UPnP takes a second.
const PORT_MAPPING_TIMEOUT: Duration = Duration::from_secs(3);

/// What is known of the network.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) report: Option<NetReport>,
    /// The addresses of this machine's own interfaces.
    pub(super) own: Vec<SocketAddr>,
    /// How many relays are there.
    pub(super) relays: usize,
    /// How many of them could tell this machine its address.
    pub(super) discovering: usize,
    /// How many of them answer over HTTP.
    pub(super) answering: usize,
}

/// How this machine's NAT treats destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nat {
    /// Its address is public.
    None,
    /// One port for all destinations: others can be told it.
    Independent,
    /// Another port for each destination: nobody can be told one.
    Dependent,
    /// There is one, and one relay alone does not show its kind.
    Some,
    /// Nobody has said.
    Unknown,
}

impl Facts {
    /// The NAT over IPv4.
    pub(super) fn nat(&self) -> Nat {
        let Some(report) = &self.report else { return Nat::Unknown };
        let Some(public) = report.public_v4 else { return Nat::Unknown };
        if self.own.iter().any(|own| own.ip() == *public.ip()) {
            return Nat::None;
        }
        match report.mapping_varies_v4 {
            Some(true) => Nat::Dependent,
            Some(false) => Nat::Independent,
            None => Nat::Some,
        }
    }

    /// Whether relays answer over TCP and none over UDP.
    pub(super) fn udp_is_blocked(&self) -> bool {
        let discovered = self.report.as_ref().is_some_and(|report| !report.discovered_by.is_empty());
        self.report.is_some() && !discovered && self.discovering > 0 && self.answering > 0
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        vec![self.captive_portal(), self.udp(), self.kind()]
    }

    /// Why nothing can be said, if nothing can.
    fn silent(&self) -> Option<String> {
        if self.relays == 0 {
            Some("nobody outside was asked, since no relay is given".to_owned())
        } else if self.discovering == 0 {
            Some("relays without TLS (http://) tell nobody the address from which it comes".to_owned())
        } else if self.report.is_none() {
            Some("the relays have not been heard in this time: give a longer --timeout".to_owned())
        } else {
            None
        }
    }

    fn udp(&self) -> Check {
        if let Some(why) = self.silent() {
            return Check::not_checked(Topic::Udp, why);
        }
        let heard = self.report.as_ref().map_or(0, |report| report.discovered_by.len());
        match (heard, self.answering) {
            (0, 0) => Check::not_checked(Topic::Udp, "no relay is reached at all"),
            (0, _) => Check::problem(
                Topic::Udp,
                "relays answer over TCP and not over UDP: either this network blocks UDP, and then every path goes \
                 through a relay; or the relay's UDP port 7842 is closed",
            )
            .next("let UDP out in the firewall here, or try another network; for a relay of your own: open UDP 7842 there"),
            (heard, _) => {
                let plural = if heard == 1 { "relay" } else { "relays" };
                Check::ok(Topic::Udp, format!("gets through; {heard} {plural} told this machine its public address"))
            }
        }
    }

    fn kind(&self) -> Check {
        if let Some(why) = self.silent() {
            return Check::not_checked(Topic::Nat, why).next(if self.discovering == 0 && self.relays > 0 {
                "a relay with TLS tells (`tunnel-p2p relay --acme`), or those of n0: `tunnel-p2p doctor --relay n0`"
            } else {
                "relays tell: `tunnel-p2p doctor --relay n0`"
            });
        }
        let public = self.report.iter().flat_map(NetReport::public).map(|address| address.to_string());
        let public = public.collect::<Vec<_>>().join(" and ");
        let open_v6 = self
            .report
            .as_ref()
            .and_then(|report| report.public_v6)
            .is_some_and(|public| self.own.iter().any(|own| own.ip() == *public.ip()));
        match self.nat() {
            Nat::None => Check::ok(Topic::Nat, format!("none: the world sees this machine's own address, {public}")),
            Nat::Independent => Check::ok(
                Topic::Nat,
                format!("one that lets holes be punched (endpoint-independent): all relays see {public}"),
            ),
            Nat::Dependent => Check::note(
                Topic::Nat,
                format!(
                    "one that gives each destination another port (endpoint-dependent; seen: {public}): two such NATs \
                     find no direct path to each other, with other networks one is found as a rule"
                ),
            )
            .next(
                "if hosts here are to be reached directly by everybody: forward a UDP port in the router and tell the \
                 host (--external-address ADDRESS:PORT), let the router do it (UPnP, PCP), or use IPv6",
            ),
            Nat::Some => {
                Check::note(Topic::Nat, format!("there is one, seen as {public}; its kind shows only to two relays"))
                    .next("give a second relay, or `--relay n0`, to know whether holes can be punched")
            }
            Nat::Unknown if open_v6 => {
                Check::ok(Topic::Nat, format!("none over IPv6: {public} is this machine's own; IPv4 is not known"))
            }
            Nat::Unknown => {
                Check::not_checked(Topic::Nat, "no relay was reached over UDP, so that none could tell what it sees")
            }
        }
    }

    fn captive_portal(&self) -> Check {
        match self.report.as_ref().and_then(|report| report.captive_portal) {
            Some(true) if self.answering == 0 => Check::failed(
                Topic::CaptivePortal,
                "something on this network answers in the place of others, as the login page of a hotel or a train does",
            )
            .next("open any page in a browser and log in, then run this again"),
            // The port 80 of one's own relay may belong to another server.
            Some(true) => Check::ok(Topic::CaptivePortal, "none: relays answer over TLS themselves"),
            Some(false) => Check::ok(Topic::CaptivePortal, "none"),
            None if self.answering > 0 => Check::ok(Topic::CaptivePortal, "none: relays answer themselves"),
            None => Check::not_checked(Topic::CaptivePortal, "it shows only when a relay is asked and does not answer"),
        }
    }
}

/// Asks the router which ways to forward a port it knows. It forwards none.
pub(super) async fn port_mapping(allowed: bool, stays_here: bool) -> Check {
    if stays_here {
        return Check::not_checked(Topic::PortMapping, "--bind keeps this on the machine, where there is no router");
    }
    if !allowed {
        return Check::not_checked(Topic::PortMapping, "turned off (--no-port-mapping)");
    }
    let client = Client::new(Config::default());
    let answer = timeout(PORT_MAPPING_TIMEOUT, client.probe()).await;
    let found = match answer {
        Ok(Ok(Ok(found))) => [(found.upnp, "UPnP"), (found.pcp, "PCP"), (found.nat_pmp, "NAT-PMP")]
            .map(|(there, name)| there.then_some(name)),
        Ok(Ok(Err(error))) => return Check::not_checked(Topic::PortMapping, format!("no router was asked: {error}")),
        Ok(Err(_)) | Err(_) => [None; 3],
    };
    forwards(&found.into_iter().flatten().collect::<Vec<_>>())
}

fn forwards(names: &[&str]) -> Check {
    if names.is_empty() {
        Check::note(Topic::PortMapping, "the router forwards no ports by itself (UPnP, PCP, NAT-PMP)")
    } else {
        Check::ok(Topic::PortMapping, format!("the router forwards ports when asked ({})", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    fn heard(public: &str, varies: Option<bool>) -> Facts {
        let mut report = NetReport::default();
        report.public_v4 = Some(public.parse().unwrap());
        report.mapping_varies_v4 = varies;
        report.discovered_by = vec!["https://relay.example.org/".to_owned()];
        Facts {
            report: Some(report),
            own: vec!["192.168.1.4:5000".parse().unwrap()],
            relays: 2,
            discovering: 2,
            answering: 2,
        }
    }

    fn found(facts: &Facts, topic: Topic) -> Check {
        facts.checks().into_iter().find(|check| check.topic == topic).unwrap()
    }

    #[test]
    fn each_kind_of_nat_is_told() {
        let public = "203.0.113.9:4000";
        let cases = [
            (heard("192.168.1.4:4000", None), Nat::None, State::Ok, "own address"),
            (heard(public, Some(false)), Nat::Independent, State::Ok, "holes be punched"),
            (heard(public, Some(true)), Nat::Dependent, State::Note, "another port"),
            (heard(public, None), Nat::Some, State::Note, "two relays"),
        ];
        for (facts, nat, state, words) in cases {
            let check = found(&facts, Topic::Nat);
            assert_eq!((facts.nat(), check.state), (nat, state), "{check:?}");
            assert!(check.found.contains(words), "{check:?}");
            assert_eq!(found(&facts, Topic::Udp).state, State::Ok);
        }
    }

    #[test]
    fn what_cannot_be_known_says_why() {
        let none = Facts::default();
        for topic in [Topic::Nat, Topic::Udp] {
            let check = found(&none, topic);
            assert_eq!(check.state, State::NotChecked);
            assert!(check.found.contains("no relay is given"), "{check:?}");
        }
        let plain = Facts { relays: 1, answering: 1, report: Some(NetReport::default()), ..none.clone() };
        assert!(found(&plain, Topic::Nat).found.contains("without TLS"));
        assert!(!plain.udp_is_blocked(), "nobody has tried");
        let late = Facts { relays: 1, discovering: 1, answering: 1, ..none };
        assert!(found(&late, Topic::Nat).found.contains("--timeout"));
    }

    #[test]
    fn udp_is_blocked_where_relays_answer_over_tcp_only() {
        let blocked =
            Facts { report: Some(NetReport::default()), relays: 2, discovering: 2, answering: 2, ..Facts::default() };
        assert!(blocked.udp_is_blocked());
        let check = found(&blocked, Topic::Udp);
        assert_eq!(check.state, State::Problem);
        assert!(check.next.unwrap().contains("7842"));
        let down = Facts { answering: 0, ..blocked };
        assert!(!down.udp_is_blocked());
        assert_eq!(found(&down, Topic::Udp).state, State::NotChecked);
    }

    #[test]
    fn a_login_page_is_one_only_where_no_relay_answers() {
        let mut facts = heard("203.0.113.9:4000", None);
        facts.report.as_mut().unwrap().captive_portal = Some(true);
        assert_eq!(found(&facts, Topic::CaptivePortal).state, State::Ok);
        facts.answering = 0;
        assert_eq!(found(&facts, Topic::CaptivePortal).state, State::Failed);
    }

    #[test]
    fn a_router_that_forwards_is_named() {
        assert!(forwards(&["UPnP", "PCP"]).found.contains("UPnP, PCP"));
        assert_eq!(forwards(&[]).state, State::Note);
    }
}
