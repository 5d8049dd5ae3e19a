//! Each lookup: whether it answers.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use p2p_provider::{
    PeerId, SecretKey,
    iroh::{CheckError, IrohConfig, Lookup, ask_lookup, peer_id},
};

use super::check::{Check, Topic};

/// The group of multicast DNS (RFC 6762 §3).
const MDNS_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// Asks for the host, or for a peer that nobody is.
pub(super) async fn check(lookup: &Lookup, host: Option<PeerId>, config: &IrohConfig, patience: Duration) -> Check {
    let asked = host.unwrap_or_else(|| peer_id(&SecretKey::generate()));
    let answer = ask_lookup(lookup, asked, config, patience).await;
    said(answer, host.is_some()).of(name(lookup))
}

fn said(answer: Result<Option<bool>, CheckError>, about_host: bool) -> Check {
    match answer {
        Ok(None) => multicast(),
        Ok(Some(true)) => Check::ok(Topic::Lookup, "answers, and knows the host"),
        Ok(Some(false)) if about_host => Check::note(Topic::Lookup, "answers, and does not know the host")
            .next("start the host with the same --lookup; a ticket with addresses works without"),
        Ok(Some(false)) => Check::ok(Topic::Lookup, "answers"),
        Err(error) => Check::failed(Topic::Lookup, error.to_string()).next(match error {
            CheckError::Name(_) => "look at its spelling, and whether this machine resolves other names",
            CheckError::Certificate(_) => {
                "look at this machine's clock; for an authority of your own give --relay-ca FILE"
            }
            CheckError::Other(_) => "look at the URL: it ends with /pkarr, as in https://lookup.example.org/pkarr",
            _ => "look whether it runs, and whether a firewall lets this machine through to it",
        }),
    }
}

/// Nobody answers for others there; that the group can be joined is what can be known.
fn multicast() -> Check {
    let joined = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.join_multicast_v4(&MDNS_GROUP, &Ipv4Addr::UNSPECIFIED));
    match joined {
        Ok(()) => {
            Check::ok(Topic::Lookup, "multicast can be used here; whether the LAN passes it on shows with a peer")
        }
        Err(error) => Check::problem(Topic::Lookup, format!("multicast cannot be used here: {error}"))
            .next("connect to a LAN; inside containers multicast needs the network of the host"),
    }
}

fn name(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Mdns => "mdns".to_owned(),
        Lookup::N0 => "n0".to_owned(),
        Lookup::Pkarr(url) => url.clone(),
        Lookup::Dns(zone) => format!("dns:{zone}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    #[test]
    fn that_it_answers_is_what_counts() {
        assert_eq!(said(Ok(Some(false)), false).state, State::Ok);
        assert_eq!(said(Ok(Some(false)), true).state, State::Note);
        assert_eq!(said(Ok(Some(true)), true).state, State::Ok);
        let failed = said(Err(CheckError::Other("404".to_owned())), false);
        assert_eq!(failed.state, State::Failed);
        assert!(failed.next.unwrap().contains("/pkarr"));
    }
}
