//! What all checks together come to: one sentence and one next step.

use std::fmt::Write;

use serde_json::{Value, json};

use super::check::{Check, State, Topic};
use crate::error::Outcome;

/// The end of the examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    pub(super) message: String,
    pub(super) next: Option<String>,
    /// How many things are wrong.
    pub(super) problems: usize,
}

/// In a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing is wrong, and the network is known.
    Well,
    /// Nothing is wrong on this machine; nobody was asked about the network.
    Unknown,
    /// Something is wrong.
    Problem,
    /// The host is not reached.
    Unreachable,
}

impl Verdict {
    /// From what was found.
    pub(super) fn of(checks: &[Check]) -> Self {
        let problems = checks.iter().filter(|check| check.is_bad()).count();
        let host = checks.iter().find(|check| check.topic == Topic::Peer);
        if let Some(first) = first_to_mend(checks) {
            let unreached = host.is_some_and(|host| host.state == State::Failed);
            let kind = if unreached { Kind::Unreachable } else { Kind::Problem };
            return Self { kind, message: message(first, host, problems), next: next(first, checks), problems };
        }
        let (kind, message, next) = match (host, known(checks)) {
            (Some(host), _) => (Kind::Well, format!("All is well: the host is {}.", host.found), None),
            (None, Some(found)) => (Kind::Well, found.0, found.1),
            (None, None) => (
                Kind::Unknown,
                "Nothing is wrong on this machine. How the world sees it is not known, since nobody outside was asked."
                    .to_owned(),
                Some(
                    "`tunnel-p2p doctor --relay n0` asks the public relays of n0, `--relay URL` one of your own, `--peer \
                     TICKET` tries the way to a host"
                        .to_owned(),
                ),
            ),
        };
        Self { kind, message, next, problems }
    }

    /// For the exit code.
    pub(super) const fn outcome(&self) -> Outcome {
        match self.kind {
            Kind::Well | Kind::Unknown => Outcome::Done,
            Kind::Problem => Outcome::Problem,
            Kind::Unreachable => Outcome::Down,
        }
    }

    /// As scripts read it.
    pub(super) fn json(&self) -> Value {
        let kind = match self.kind {
            Kind::Well => "well",
            Kind::Unknown => "unknown",
            Kind::Problem => "problem",
            Kind::Unreachable => "unreachable",
        };
        json!({
            "event": "verdict",
            "verdict": kind,
            "message": self.message,
            "next": self.next,
            "problems": self.problems,
        })
    }
}

/// What explains the rest. What makes something impossible comes before what only harms; a wrong clock comes before all
/// that is about certificates.
fn first_to_mend(checks: &[Check]) -> Option<&Check> {
    let bad = || checks.iter().filter(|check| check.is_bad());
    let severe = |check: &Check| check.state == State::Failed || matches!(check.topic, Topic::Clock | Topic::Udp);
    // A host that is not reached is the consequence of what else was found.
    let own = |check: &&Check| check.topic != Topic::Peer;
    let by_topic = |check: &&Check| check.topic;
    let severe_own = bad().filter(own).filter(|check| severe(check)).min_by_key(by_topic);
    let peer = bad().find(|check| check.topic == Topic::Peer);
    severe_own.or(peer).or_else(|| bad().min_by_key(by_topic))
}

fn message(first: &Check, host: Option<&Check>, problems: usize) -> String {
    let subject = first.subject.as_deref().map_or_else(String::new, |subject| match subject.split_once(", ") {
        Some((one, others)) => format!(" {one} and {} more", others.split(", ").count()),
        None => format!(" {subject}"),
    });
    let mut message = match (first.topic, first.state) {
        (Topic::Peer, State::Failed) => format!("{}.", capitalised(&first.found)),
        (Topic::Peer, _) => format!("The host is {}.", first.found),
        (topic, _) => format!("First to look at, {}{subject}: {}.", topic.title(), first.found),
    };
    if first.topic != Topic::Peer
        && let Some(host) = host
    {
        message.push_str(match host.state {
            State::Failed => " The host is not reached.",
            State::Problem => " The host is reached through a relay only.",
            _ => " The host is reached directly all the same.",
        });
    }
    match problems {
        0 | 1 => {}
        2 => message.push_str(" One more thing is wrong, above."),
        // Writing to a string does not fail.
        more => _ = write!(message, " {} more things are wrong, above.", more - 1),
    }
    message
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

fn next(first: &Check, checks: &[Check]) -> Option<String> {
    first.next.clone().or_else(|| {
        // Of a host behind a relay only, the first reason says it.
        checks.iter().filter(|check| check.topic == first.topic).find_map(|check| check.next.clone())
    })
}

/// What the relays have shown, if they were asked.
fn known(checks: &[Check]) -> Option<(String, Option<String>)> {
    let nat = checks.iter().find(|check| check.topic == Topic::Nat)?;
    let relayed = checks.iter().any(|check| check.topic == Topic::Relay && check.state == State::Ok);
    match nat.state {
        State::Ok => Some(("All is well: from most networks this machine is reached directly.".to_owned(), None)),
        State::Note => Some((format!("Nothing is wrong. The NAT is {}.", nat.found), nat.next.clone())),
        _ if relayed => Some((
            format!("Nothing is wrong, and the relay is reached. The NAT is not known: {}.", nat.found),
            nat.next.clone(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(checks: &[Check]) -> Verdict {
        Verdict::of(checks)
    }

    fn relay_ok() -> Check {
        Check::ok(Topic::Relay, "reached")
    }

    #[test]
    fn without_a_relay_nothing_is_known_and_it_is_said_how_to_know() {
        let found = verdict(&[
            Check::ok(Topic::Sockets, "can be opened"),
            Check::note(Topic::Buffers, "small").next("sysctl"),
            Check::not_checked(Topic::Nat, "no relay"),
        ]);
        assert_eq!((found.kind, found.outcome()), (Kind::Unknown, Outcome::Done));
        assert!(found.next.unwrap().contains("--relay n0"));
    }

    #[test]
    fn what_explains_the_rest_comes_first() {
        let nat = || Check::not_checked(Topic::Nat, "no relay answers");
        let clock = || Check::problem(Topic::Clock, "3 hours ahead").next("set it");
        let relay = || Check::failed(Topic::Relay, "its certificate is not accepted").of("https://r").next("renew it");
        let key = || Check::failed(Topic::Secrets, "others can read it").next("chmod 600");
        let key_used = || Check::problem(Topic::Secrets, "others can read it").next("chmod 600");
        let network = || Check::failed(Topic::Ipv4, "there is no way out").next("connect it");
        let udp = || Check::problem(Topic::Udp, "blocked").next("let UDP out");
        let token = || Check::failed(Topic::TunnelToken, "refused").next("get another");
        let cases: [(&[Check], &str); 8] = [
            (&[relay(), clock(), nat()], "set it"),
            (&[relay(), nat()], "renew it"),
            (&[key(), relay()], "chmod 600"),
            (&[key_used(), relay()], "renew it"),
            (&[key_used()], "chmod 600"),
            (&[relay(), network()], "connect it"),
            (&[udp(), token()], "let UDP out"),
            (&[token()], "get another"),
        ];
        for (checks, expected) in cases {
            let found = verdict(checks);
            assert_eq!((found.next.as_deref(), found.outcome()), (Some(expected), Outcome::Problem), "{checks:?}");
            assert_eq!(found.problems, checks.iter().filter(|check| check.is_bad()).count());
        }
        let two = verdict(&[relay(), clock()]);
        assert!(two.message.contains("One more thing"), "{}", two.message);
    }

    #[test]
    fn of_many_with_one_fault_one_is_named() {
        let found =
            verdict(&[Check::failed(Topic::Relay, "it cannot be reached").of("https://a, https://b, https://c")]);
        assert!(found.message.contains("relay https://a and 2 more: it cannot"), "{}", found.message);
    }

    #[test]
    fn a_known_nat_is_the_end_of_a_good_examination() {
        let found = verdict(&[relay_ok(), Check::ok(Topic::Nat, "none")]);
        assert_eq!(found.kind, Kind::Well);
        let dependent = verdict(&[relay_ok(), Check::note(Topic::Nat, "one that ..").next("forward a port")]);
        assert_eq!((dependent.kind, dependent.next.as_deref()), (Kind::Well, Some("forward a port")));
        let plain = verdict(&[relay_ok(), Check::not_checked(Topic::Nat, "relays without TLS")]);
        assert_eq!(plain.kind, Kind::Well);
        assert!(plain.message.contains("the relay is reached"), "{}", plain.message);
    }

    #[test]
    fn the_host_has_the_last_word() {
        let direct = || Check::ok(Topic::Peer, "reached after 5 ms, directly at 192.0.2.1:1");
        let relayed = || Check::problem(Topic::Peer, "reached after 5 ms, but only through r");
        let reason = || Check::note(Topic::Peer, "the NAT here").next("forward a port");
        let off = || Check::failed(Topic::Peer, "the host is not reached").next("start the host");
        let relay = || Check::failed(Topic::Relay, "it cannot be reached").next("look whether it runs");
        let unknown = || Check::not_checked(Topic::Nat, "no relay");

        let found = verdict(&[direct(), unknown()]);
        assert_eq!((found.kind, found.next.clone()), (Kind::Well, None));
        assert!(found.message.contains("directly at 192.0.2.1:1"), "{}", found.message);

        let found = verdict(&[relayed(), reason()]);
        assert_eq!((found.kind, found.next.as_deref()), (Kind::Problem, Some("forward a port")));

        let found = verdict(&[off(), unknown()]);
        assert_eq!((found.kind, found.next.as_deref()), (Kind::Unreachable, Some("start the host")));
        assert_eq!(found.outcome(), Outcome::Down);

        let found = verdict(&[off(), relay()]);
        assert_eq!((found.kind, found.next.as_deref()), (Kind::Unreachable, Some("look whether it runs")));
        assert!(found.message.contains("The host is not reached"), "{}", found.message);

        let found = verdict(&[direct(), relay()]);
        assert_eq!(found.kind, Kind::Problem);
        assert!(found.message.contains("directly all the same"), "{}", found.message);
    }
}
