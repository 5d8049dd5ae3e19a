//! Each relay: whether it is there, how far, and whether it lets this machine in.

use std::time::Duration;

use p2p_provider::{
    SecretKey,
    iroh::{CheckError, IrohConfig, Relay, RelayAnswer, ask_relay, enter_relay},
};

use super::check::{Check, State, Topic};

/// What a relay said.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) url: String,
    pub(super) has_token: bool,
    pub(super) answer: Result<RelayAnswer, CheckError>,
    pub(super) entered: Result<(), CheckError>,
}

/// Asks it, with a key that nobody else has: with the key of a host that runs, the host would lose its place.
pub(super) async fn ask(relay: Relay, config: &IrohConfig, patience: Duration) -> Facts {
    let mut config = config.clone();
    config.secret_key = SecretKey::generate();
    let (answer, entered) = tokio::join!(ask_relay(&relay, &config, patience), enter_relay(&relay, &config, patience));
    Facts { url: relay.url, has_token: relay.token.is_some(), answer, entered }
}

/// What follows. What is wrong with several in the same way is said once.
pub(super) fn checks(facts: &[Facts]) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for check in facts.iter().map(Facts::check) {
        let same =
            |known: &&mut Check| check.state != State::Ok && known.state == check.state && known.found == check.found;
        match (checks.iter_mut().find(same), &check.subject) {
            (Some(Check { subject: Some(known), next, .. }), Some(subject)) => {
                known.push_str(", ");
                known.push_str(subject);
                if matches!(facts[0].answer, Err(CheckError::Name(_))) {
                    *next = Some(NO_NAMES.to_owned());
                }
            }
            _ => checks.push(check),
        }
    }
    checks
}

/// Where several names have no address, they are not all misspelt.
const NO_NAMES: &str = "no name is resolved here: look at the DNS of this machine (/etc/resolv.conf), at its network, and at a \
                        VPN or login page that may be in the way";

impl Facts {
    /// Whether it is there.
    pub(super) const fn answers(&self) -> bool {
        self.answer.is_ok()
    }

    fn check(&self) -> Check {
        let check = match (&self.answer, &self.entered) {
            (Ok(answer), Ok(())) => {
                Check::ok(Topic::Relay, format!("reached, {} ms; it lets this machine in", answer.latency.as_millis()))
            }
            (Ok(_), Err(error)) => {
                Check::failed(Topic::Relay, format!("it is there, but {error}")).next(self.not_in(error))
            }
            (Err(error), _) => Check::failed(Topic::Relay, error.to_string()).next(not_there(error)),
        };
        check.of(shown(&self.url))
    }

    fn not_in(&self, error: &CheckError) -> &'static str {
        match (error, self.has_token) {
            (CheckError::Denied(_), false) => {
                "give its access token (--relay-token-file FILE); or if it has a list of peers instead, this means \
                 nothing: the doctor comes with a key of its own, and is on no list"
            }
            (CheckError::Denied(_), true) => {
                "get the token from whoever runs the relay, and look whether it is for this one"
            }
            _ => {
                "look whether it is a relay of iroh (`tunnel-p2p relay`), and whether a proxy before it passes WebSockets on"
            }
        }
    }
}

/// Without the slash and the dot with which Iroh ends them.
pub(super) fn shown(url: &str) -> &str {
    url.trim_end_matches(['/', '.'])
}

fn not_there(error: &CheckError) -> &'static str {
    match error {
        CheckError::Url(_) => "write it like https://relay.example.org",
        CheckError::Name(_) => "look at its spelling, and whether this machine resolves other names",
        CheckError::Certificate(_) => {
            "look at this machine's clock; for a relay with a certificate of your own authority give --relay-ca FILE; \
             otherwise its operator has to renew the certificate"
        }
        CheckError::Other(_) => "look at the URL: what is there is no relay, or a login page has answered in its place",
        _ => "look whether the relay runs, at this port, and whether a firewall lets TCP through to it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    #[test]
    fn each_fault_of_a_relay_has_its_next_step() {
        let there = || {
            let mut check = facts(Err(CheckError::Name("x".to_owned())), Ok(()));
            check.answer = Err(CheckError::Silent(Duration::from_secs(1)));
            check
        };
        let cases = [
            (facts(Err(CheckError::Name("no such host".to_owned())), Ok(())), "spelling"),
            (facts(Err(CheckError::Certificate("expired".to_owned())), Ok(())), "clock"),
            (facts(Err(CheckError::Unreachable("refused".to_owned())), Ok(())), "whether the relay runs"),
            (facts(Err(CheckError::Other("404".to_owned())), Ok(())), "login page"),
            (there(), "firewall"),
        ];
        for (facts, expected) in cases {
            let check = facts.check();
            assert_eq!(check.state, State::Failed);
            assert!(check.next.unwrap().contains(expected), "{expected}");
            assert_eq!(check.subject.as_deref(), Some("https://relay.example.org"));
        }
    }

    #[test]
    fn what_is_wrong_with_all_is_said_once() {
        let named =
            |url: &str| Facts { url: url.to_owned(), ..facts(Err(CheckError::Name("unknown".to_owned())), Ok(())) };
        let found = checks(&[named("https://a.example./"), named("https://b.example")]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subject.as_deref(), Some("https://a.example, https://b.example"));
        assert!(found[0].next.as_ref().unwrap().contains("DNS"), "{found:?}");
        let found = checks(&[named("https://a.example"), facts(Err(CheckError::Unreachable("x".to_owned())), Ok(()))]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_refusal_depends_on_whether_there_was_a_token() {
        let denied = || Err(CheckError::Denied("this relay wants its access token".to_owned()));
        let mut facts = facts(Err(CheckError::Silent(Duration::ZERO)), denied());
        assert!(facts.not_in(&CheckError::Denied(String::new())).contains("--relay-token-file"));
        facts.has_token = true;
        assert!(facts.not_in(&CheckError::Denied(String::new())).contains("whoever runs the relay"));
    }

    fn facts(answer: Result<RelayAnswer, CheckError>, entered: Result<(), CheckError>) -> Facts {
        Facts { url: "https://relay.example.org".to_owned(), has_token: false, answer, entered }
    }
}
