//! Which peer a person means.

use p2p_provider::PeerId;
use tunnel_p2p::pairing::PeerEntry;

use crate::error::CliError;

/// The peer of this name, of this id, or whose id begins with this. A whole id may also be one that is not in the list.
pub(super) fn select(peers: &[PeerEntry], text: &str) -> Result<(PeerId, Option<PeerEntry>), CliError> {
    if let Ok(id) = text.parse() {
        return Ok((id, peers.iter().find(|entry| entry.peer == id).cloned()));
    }
    // Names are what devices say of themselves: one that calls itself as another's id begins must not be taken for it.
    let prefix = text.to_ascii_lowercase();
    let meant = |entry: &&PeerEntry| entry.name == text || entry.peer.to_string().starts_with(&prefix);
    let found: Vec<&PeerEntry> = peers.iter().filter(|_| !text.is_empty()).filter(meant).collect();
    match found[..] {
        [entry] => Ok((entry.peer, Some(entry.clone()))),
        [] => Err(CliError::failed(format!("no peer is called {text:?}, and no peer id begins with it")).next(
            "tunnel-p2p peers list shows those that there are; a peer that is not among them needs its whole id",
        )),
        _ => {
            let all: Vec<String> = found.iter().map(|entry| described(entry)).collect();
            Err(CliError::failed(format!("{text:?} may be any of {}: {}", found.len(), all.join(", ")))
                .next("give more of the peer id, or all of it"))
        }
    }
}

/// A peer, as a person knows it.
pub(super) fn described(entry: &PeerEntry) -> String {
    match entry.name.as_str() {
        "" => entry.peer.to_string(),
        name => format!("{name:?} ({})", entry.peer.short()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Vec<PeerEntry> {
        let line = |id: &str, name: &str| {
            format!("allow {} - tunnel 2026-01-31T12:00:00Z {name}", id.repeat(32)).parse().unwrap()
        };
        vec![line("ab", "phone"), line("ac", "laptop"), line("cd", "phone"), line("ef", ""), line("0a", "cdcd")]
    }

    fn chosen(text: &str) -> Result<String, String> {
        select(&peers(), text).map(|(id, _)| id.to_string()[..2].to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_an_id_or_a_beginning_that_only_one_has() {
        assert_eq!(chosen("laptop").as_deref(), Ok("ac"));
        assert_eq!(chosen("ABAB").as_deref(), Ok("ab"));
        assert_eq!(chosen("e").as_deref(), Ok("ef"));
        assert_eq!(chosen(&"01".repeat(32)).as_deref(), Ok("01"), "a whole id need not be in the list");
        for (text, part) in [
            ("phone", "may be any of 2"),
            ("a", "\"laptop\""),
            ("cdcd", "may be any of 2"),
            ("", "no peer"),
            ("tv", "peers list"),
        ] {
            let message = chosen(text).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
