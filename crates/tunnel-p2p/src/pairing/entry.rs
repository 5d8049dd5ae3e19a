//! One line of the list of peers.

use std::{fmt, str::FromStr, time::SystemTime};

use p2p_provider::PeerId;

use super::fields;

/// A peer that a host knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerEntry {
    /// Its key.
    pub peer: PeerId,
    /// Whether it is turned away, whatever it presents.
    pub revoked: bool,
    /// The client id under which it came, if it said one.
    pub client_id: Option<String>,
    /// How it came into the list.
    pub how: How,
    /// When its line last changed, to the second.
    pub since: SystemTime,
    /// What its owner calls it; may be empty. At most 64 printable characters.
    pub name: String,
}

/// How a peer came into the list of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum How {
    /// It paired through the tunnel server. It needs no secret.
    Tunnel,
    /// It presented the secret of a ticket, and has to each time.
    Ticket,
    /// The owner of the host has put it there. It needs no secret.
    Manual,
}

impl How {
    /// The word in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Ticket => "ticket",
            Self::Manual => "manual",
        }
    }
}

impl PeerEntry {
    /// When its line last changed, as in `2026-01-31T12:00:00Z`.
    #[must_use]
    pub fn since_text(&self) -> String {
        fields::time(self.since)
    }

    /// Whether the peer is let in by its key alone.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        !self.revoked && !matches!(self.how, How::Ticket)
    }
}

impl fmt::Display for PeerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.revoked { "revoked" } else { "allow" };
        let client_id = fields::optional(self.client_id.as_deref());
        write!(f, "{word} {} {client_id} {} {}", self.peer, self.how.name(), fields::time(self.since))?;
        if self.name.is_empty() { Ok(()) } else { write!(f, " {}", self.name) }
    }
}

impl FromStr for PeerEntry {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let mut next = |what: &str| words.next().ok_or_else(|| format!("{what} is missing"));
        let revoked = match next("`allow` or `revoked`")? {
            "allow" => false,
            "revoked" => true,
            other => return Err(format!("{other:?} is neither `allow` nor `revoked`")),
        };
        let peer = next("the peer id")?;
        let peer = peer.parse().map_err(|error| format!("{peer:?} is not a peer id: {error}"))?;
        let client_id = fields::unoptional(next("the client id (or -)")?)?;
        let how = match next("`tunnel`, `ticket` or `manual`")? {
            "tunnel" => How::Tunnel,
            "ticket" => How::Ticket,
            "manual" => How::Manual,
            other => return Err(format!("{other:?} is none of `tunnel`, `ticket` and `manual`")),
        };
        let since = fields::parse_time(next("the time")?)?;
        let name = fields::name(&words.collect::<Vec<_>>().join(" "));
        Ok(Self { peer, revoked, client_id, how, since, name })
    }
}
