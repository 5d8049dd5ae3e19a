//! Which hosts a gateway has paired with: a file, and the rule that a host's key does not change unnoticed.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::SystemTime,
};

use p2p_provider::PeerId;

use super::{
    fields,
    file::{Changed, StateFile, StateFileError},
};
use crate::Ticket;

/// The most hosts in a file: far more than one gateway talks to.
const HOSTS_MAX: usize = 1024;

const HEADER: &str = "\
# The hosts with which this machine's gateway of tunnel-p2p has paired, one per line:
# CLIENT_ID TUNNEL_SERVER TICKET TIME
# `tunnel-p2p peers forget CLIENT_ID` removes one whose key has changed for a good reason.
";

/// The hosts that this machine has paired with, in a file that a person can read and edit.
///
/// Permissions, comments and changes are as for [`AuthorizedPeers`](super::AuthorizedPeers). The functions read and write
/// the disk.
#[derive(Debug)]
pub struct KnownHosts {
    file: StateFile,
}

/// A host that this machine has paired with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownHost {
    /// Its client id.
    pub client_id: String,
    /// The tunnel server through which it was found.
    pub tunnel: String,
    /// Its key, which must not change, and where it was last.
    pub ticket: Ticket,
    /// When its line last changed, to the second.
    pub since: SystemTime,
}

impl KnownHosts {
    /// Does not touch the disk.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: StateFile::new(path.into()) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// All of them, in the order of the file.
    pub fn list(&self) -> Result<Vec<KnownHost>, StateFileError> {
        let (text, _) = self.file.read()?;
        Ok(self.parse(&text)?.into_iter().filter_map(Line::into_host).collect())
    }

    /// The host of this client id at this tunnel server.
    pub fn find(&self, client_id: &str, tunnel: &str) -> Result<Option<KnownHost>, StateFileError> {
        Ok(self.list()?.into_iter().find(|host| host.is(client_id, tunnel)))
    }

    /// Keeps a host, or its new addresses. One whose key is another than before is refused.
    pub fn remember(&self, client_id: &str, tunnel: &str, ticket: &Ticket) -> Result<(), RememberError> {
        self.file.change(
            |text| {
                let mut lines = self.parse(text)?;
                let new = KnownHost {
                    client_id: client_id.to_owned(),
                    tunnel: tunnel.to_owned(),
                    ticket: ticket.clone(),
                    since: fields::now(),
                };
                let full = lines.iter().filter(|line| matches!(line, Line::Host(_))).count() >= HOSTS_MAX;
                let old = lines.iter_mut().find_map(|line| match line {
                    Line::Host(host) if host.is(client_id, tunnel) => Some(host),
                    _ => None,
                });
                match old {
                    Some(old) if old.ticket == *ticket => return Ok(Changed { text: None, result: () }),
                    Some(old) if old.ticket.host.id != ticket.host.id => {
                        let client_id = client_id.to_owned();
                        return Err(RememberError::Changed {
                            client_id,
                            known: old.ticket.host.id,
                            found: ticket.host.id,
                        });
                    }
                    Some(old) => *old = new,
                    None if full => return Err(RememberError::Full { path: self.path().to_owned() }),
                    None => lines.push(Line::Host(new)),
                }
                Ok(Changed { text: Some(written(lines)), result: () })
            },
            |_, ()| {},
        )
    }

    /// Removes the hosts of this client id, at whatever tunnel server; returns them.
    pub fn forget(&self, client_id: &str) -> Result<Vec<KnownHost>, StateFileError> {
        self.file.change(
            |text| {
                let (gone, kept): (Vec<_>, Vec<_>) = self
                    .parse(text)?
                    .into_iter()
                    .partition(|line| matches!(line, Line::Host(host) if host.client_id == client_id));
                let gone: Vec<KnownHost> = gone.into_iter().filter_map(Line::into_host).collect();
                Ok(Changed { text: (!gone.is_empty()).then(|| written(kept)), result: gone })
            },
            |_, _| {},
        )
    }

    fn parse(&self, text: &str) -> Result<Vec<Line>, StateFileError> {
        let line = |(index, text): (usize, &str)| {
            if text.trim().is_empty() || text.trim_start().starts_with('#') {
                return Ok(Line::Comment(text.to_owned()));
            }
            let malformed =
                |message| StateFileError::Malformed { path: self.path().to_owned(), line: index + 1, message };
            text.parse().map(Line::Host).map_err(malformed)
        };
        text.lines().enumerate().map(line).collect()
    }
}

fn written(mut lines: Vec<Line>) -> String {
    if !matches!(lines.first(), Some(Line::Comment(_))) {
        lines.splice(0..0, HEADER.lines().map(|line| Line::Comment(line.to_owned())));
    }
    lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect()
}

enum Line {
    Comment(String),
    Host(KnownHost),
}

impl Line {
    fn into_host(self) -> Option<KnownHost> {
        match self {
            Self::Host(host) => Some(host),
            Self::Comment(_) => None,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comment(text) => f.write_str(text),
            Self::Host(host) => host.fmt(f),
        }
    }
}

impl KnownHost {
    /// When its line last changed, as in `2026-01-31T12:00:00Z`.
    #[must_use]
    pub fn since_text(&self) -> String {
        fields::time(self.since)
    }

    fn is(&self, client_id: &str, tunnel: &str) -> bool {
        self.client_id == client_id && self.tunnel == tunnel
    }
}

impl fmt::Display for KnownHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (client_id, tunnel) = (fields::escaped(&self.client_id), fields::escaped(&self.tunnel));
        write!(f, "{client_id} {tunnel} {} {}", self.ticket, fields::time(self.since))
    }
}

impl FromStr for KnownHost {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let mut next = |what: &str| words.next().ok_or_else(|| format!("{what} is missing"));
        let host = Self {
            client_id: fields::unescaped(next("the client id")?)?,
            tunnel: fields::unescaped(next("the tunnel server")?)?,
            ticket: next("the ticket")?.parse().map_err(|error: crate::ParseTicketError| error.to_string())?,
            since: fields::parse_time(next("the time")?)?,
        };
        match words.next() {
            Some(word) => Err(format!("there is {word:?} after the time")),
            None => Ok(host),
        }
    }
}

/// A host is not remembered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RememberError {
    /// Local: the file cannot be used.
    #[error(transparent)]
    File(#[from] StateFileError),
    /// Peer: it shows another key than before, as after it was set up anew, or because somebody stands in between.
    #[error(
        "THE HOST'S KEY HAS CHANGED: the host of client id {client_id:?} was peer {known} and now says that it is \
         {found}; either it was set up anew, or somebody at the tunnel server stands in its place. Compare with what \
         `tunnel-p2p id` shows at the host; if it was set up anew: tunnel-p2p peers forget {client_id}"
    )]
    Changed {
        /// The client id.
        client_id: String,
        /// Its key so far.
        known: PeerId,
        /// The key that it shows now.
        found: PeerId,
    },
    /// Local: there is no room.
    #[error("the list of hosts in {} is full ({HOSTS_MAX} lines); remove those that are not needed any more", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::fs;

    use p2p_provider::PeerAddr;
    use proptest::prelude::*;

    use super::*;

    fn ticket(id: u8, port: u16) -> Ticket {
        let direct = vec![([192, 0, 2, 1], port).into()];
        Ticket { host: PeerAddr { id: PeerId([id; 32]), direct, relays: Vec::new() }, secret: None }
    }

    fn hosts() -> (tempfile::TempDir, KnownHosts) {
        let directory = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::new(directory.path().join("hosts"));
        (directory, hosts)
    }

    #[test]
    fn a_host_may_move_but_not_become_another() {
        let (_directory, hosts) = hosts();
        assert!(hosts.list().unwrap().is_empty());
        hosts.remember("my home", "http://t", &ticket(1, 1)).unwrap();
        hosts.remember("my home", "http://t", &ticket(1, 2)).unwrap();
        assert_eq!(hosts.find("my home", "http://t").unwrap().unwrap().ticket, ticket(1, 2));
        let error = hosts.remember("my home", "http://t", &ticket(2, 2)).unwrap_err().to_string();
        assert!(error.contains("peers forget my home") && error.contains(&PeerId([2; 32]).to_string()), "{error}");
        assert_eq!(hosts.find("my home", "http://t").unwrap().unwrap().ticket, ticket(1, 2));
        // Another tunnel server is another world.
        hosts.remember("my home", "http://other", &ticket(2, 2)).unwrap();
        assert_eq!(hosts.list().unwrap().len(), 2);
        assert!(hosts.forget("nobody").unwrap().is_empty());
        assert_eq!(hosts.forget("my home").unwrap().len(), 2);
        hosts.remember("my home", "http://t", &ticket(2, 2)).unwrap();
    }

    #[test]
    fn comments_stay_and_a_wrong_line_is_named() {
        let (_directory, hosts) = hosts();
        hosts.remember("home", "http://t", &ticket(1, 1)).unwrap();
        let text = fs::read_to_string(hosts.path()).unwrap();
        fs::write(hosts.path(), format!("# mine\n{text}")).unwrap();
        hosts.remember("home", "http://t", &ticket(1, 2)).unwrap();
        let text = fs::read_to_string(hosts.path()).unwrap();
        assert!(text.starts_with("# mine\n# The hosts"), "{text}");
        for wrong in ["home", "home http://t", "home http://t tp2p1aa 2026-01-31T12:00:00Z"] {
            fs::write(hosts.path(), format!("{text}{wrong}\n")).unwrap();
            let message = hosts.list().unwrap_err().to_string();
            assert!(message.contains("hosts line 6"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn a_host_survives_its_line(client_id in ".{1,30}", tunnel in "[!-~]{1,30}", id in any::<u8>(), port in any::<u16>()) {
            let since = fields::parse_time("2026-01-31T12:00:00Z").unwrap();
            let host = KnownHost { client_id, tunnel, ticket: ticket(id, port), since };
            let line = host.to_string();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(line.parse(), Ok(host));
        }
    }
}
