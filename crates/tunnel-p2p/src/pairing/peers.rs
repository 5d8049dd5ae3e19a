//! Who may use a host: a list in memory, kept in a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use p2p_provider::PeerId;
use tokio::sync::Notify;

use super::{
    entry::{How, PeerEntry},
    fields,
    file::{Changed, Stamp, StateFile, StateFileError},
    list::{NoRoom, PEERS_MAX, PeerList, Verdict},
};

/// The peers that a host knows, kept in a file that a person can read and edit.
///
/// The file has one line per peer: `allow|revoked PEER_ID CLIENT_ID|- tunnel|ticket|manual TIME NAME`; empty lines and
/// those that begin with `#` are kept. It is made with mode 0600, and refused if others can read it. Changes are made under
/// a lock beside it, so several processes may make them at once; a crash leaves the old file or the new one. A host looks
/// at it four times a second, and whenever a client says hello.
///
/// The functions read and write the disk: call them from async code with `tokio::task::spawn_blocking`.
#[derive(Debug)]
pub struct AuthorizedPeers {
    file: StateFile,
    cached: Mutex<Cached>,
    /// How many sessions each peer has with a host of this process.
    connected: Mutex<BTreeMap<PeerId, usize>>,
    changed: Notify,
}

/// What was last read or written.
#[derive(Debug)]
struct Cached {
    stamp: Option<Stamp>,
    list: PeerList,
}

impl AuthorizedPeers {
    /// Reads the file; one that is not there is empty.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateFileError> {
        let file = StateFile::new(path.into());
        let (text, stamp) = file.read()?;
        let list = parse(&file, &text)?;
        let cached = Mutex::new(Cached { stamp, list });
        Ok(Self { file, cached, connected: Mutex::default(), changed: Notify::new() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What the list said when it was last looked at. Does not touch the disk.
    #[must_use]
    pub fn list(&self) -> Vec<PeerEntry> {
        self.cached().list.entries().cloned().collect()
    }

    /// What the list said about this peer when it was last looked at. Does not touch the disk.
    #[must_use]
    pub fn find(&self, peer: PeerId) -> Option<PeerEntry> {
        self.cached().list.find(peer).cloned()
    }

    /// Reads the file if it has changed.
    pub fn refresh(&self) -> Result<(), StateFileError> {
        let known = self.cached().stamp;
        if self.file.stamp()? == known {
            return Ok(());
        }
        let (text, stamp) = self.file.read()?;
        let list = parse(&self.file, &text)?;
        let mut cached = self.cached();
        // Not over what somebody has written or read meanwhile.
        if cached.stamp == known {
            *cached = Cached { stamp, list };
        }
        Ok(())
    }

    /// Lets a peer in by its key, because it has paired through the tunnel server. A revoked one stays out.
    ///
    /// `name` is what its owner calls it; what cannot be printed is left out, and what is beyond 64 characters.
    pub fn pair(&self, peer: PeerId, client_id: Option<&str>, name: &str) -> Result<(), AuthorizeError> {
        self.change(|list, connected| {
            let old = list.find(peer);
            if old.is_some_and(|old| old.revoked) {
                return Err(AuthorizeError::Revoked { peer });
            }
            let how = old.filter(|old| old.is_admitted()).map_or(How::Tunnel, |old| old.how);
            // A name that the owner of the host has given stays.
            let given = old.filter(|old| old.how == How::Manual && !old.name.is_empty()).map(|old| old.name.clone());
            let name = given.or_else(|| Some(fields::name(name)).filter(|name| !name.is_empty()));
            let name = name.or_else(|| old.map(|old| old.name.clone())).unwrap_or_default();
            let client_id = client_id.and_then(fields::client_id).or_else(|| old.and_then(|old| old.client_id.clone()));
            let since = fields::now();
            if let Some(old) = old
                && (old.how, &old.name, &old.client_id) == (how, &name, &client_id)
            {
                return Ok(());
            }
            let entry = PeerEntry { peer, revoked: false, client_id, how, since, name };
            list.put(entry, connected).map_err(|NoRoom| self.full())
        })
    }

    /// Lets a peer in by its key, because the owner of the host says so; takes a revocation back. Returns its line.
    pub fn allow(&self, peer: PeerId, name: Option<&str>) -> Result<PeerEntry, AuthorizeError> {
        self.change(|list, connected| {
            let old = list.find(peer);
            let entry = PeerEntry {
                peer,
                revoked: false,
                client_id: old.and_then(|old| old.client_id.clone()),
                how: How::Manual,
                since: fields::now(),
                name: name.map(fields::name).or_else(|| old.map(|old| old.name.clone())).unwrap_or_default(),
            };
            list.put(entry.clone(), connected).map(|()| entry).map_err(|NoRoom| self.full())
        })
    }

    /// Turns a peer away from now on, and closes its connections to every host with this list. Returns whether it was not
    /// revoked before. Also for a peer that is not in the list.
    ///
    /// Whoever holds a ticket with a secret can come back under another key: the secret has to change, too.
    pub fn revoke(&self, peer: PeerId) -> Result<bool, AuthorizeError> {
        self.change(|list, connected| list.revoke(peer, fields::now(), connected).map_err(|NoRoom| self.full()))
    }

    /// As [`revoke`](Self::revoke), for every peer in the list. Returns those that were not revoked before.
    pub fn revoke_all(&self) -> Result<Vec<PeerEntry>, AuthorizeError> {
        self.change(|list, connected| {
            let allowed: Vec<PeerEntry> = list.entries().filter(|entry| !entry.revoked).cloned().collect();
            for entry in &allowed {
                list.revoke(entry.peer, fields::now(), connected).map_err(|NoRoom| self.full())?;
            }
            Ok(allowed)
        })
    }

    /// Decides about a client that says hello. One that is let in by the secret is remembered, so that it can be named and
    /// revoked.
    pub(crate) fn admit(&self, peer: PeerId, secret: bool, client_id: Option<&str>) -> Result<Verdict, AuthorizeError> {
        self.refresh()?;
        let verdict = self.verdict(peer, secret);
        if verdict != Verdict::Admitted || self.find(peer).is_some() {
            return Ok(verdict);
        }
        let remembered = self.change(|list, connected| {
            // Somebody else may have been faster.
            if list.find(peer).is_some() {
                return Ok(list.verdict(peer, secret));
            }
            let client_id = client_id.and_then(fields::client_id);
            let since = fields::now();
            let entry = PeerEntry { peer, revoked: false, client_id, how: How::Ticket, since, name: String::new() };
            list.put(entry, connected).map(|()| Verdict::Admitted).map_err(|NoRoom| self.full())
        });
        match remembered {
            // The secret lets it in; that a list on a disk without room, or one that is read only, does not show it is no
            // reason to turn it away.
            Err(AuthorizeError::File(error @ StateFileError::Write { .. })) => {
                tracing::warn!(peer = %peer.short(), "a client with the ticket is not remembered: {error}");
                Ok(Verdict::Admitted)
            }
            other => other,
        }
    }

    /// As the list was when it was last looked at. Does not touch the disk.
    pub(crate) fn verdict(&self, peer: PeerId, secret: bool) -> Verdict {
        self.cached().list.verdict(peer, secret)
    }

    /// Waits until this process has changed the list. Cancel safe. For one host; further ones look now and then.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The peer has a session; it makes room for nobody until [`disconnected`](Self::disconnected).
    pub(crate) fn connected(&self, peer: PeerId) {
        *lock(&self.connected).entry(peer).or_default() += 1;
    }

    pub(crate) fn disconnected(&self, peer: PeerId) {
        let mut connected = lock(&self.connected);
        if let Some(count) = connected.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                connected.remove(&peer);
            }
        }
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut PeerList, &BTreeSet<PeerId>) -> Result<T, AuthorizeError>,
    ) -> Result<T, AuthorizeError> {
        let connected: BTreeSet<PeerId> = lock(&self.connected).keys().copied().collect();
        let changing = |text: &str| -> Result<_, AuthorizeError> {
            let mut list = parse(&self.file, text)?;
            let result = change(&mut list, &connected)?;
            let new = list.to_string();
            Ok(Changed { text: (new != text).then_some(new), result: (result, list) })
        };
        let settle = |stamp, (_, list): &(T, PeerList)| *self.cached() = Cached { stamp, list: list.clone() };
        let (result, _) = self.file.change(changing, settle)?;
        self.changed.notify_one();
        Ok(result)
    }

    fn full(&self) -> AuthorizeError {
        AuthorizeError::Full { path: self.path().to_owned() }
    }

    fn cached(&self) -> MutexGuard<'_, Cached> {
        lock(&self.cached)
    }
}

fn parse(file: &StateFile, text: &str) -> Result<PeerList, StateFileError> {
    PeerList::parse(text).map_err(|error| StateFileError::Malformed {
        path: file.path().to_owned(),
        line: error.line,
        message: error.message,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A list of peers was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// Local: the file cannot be used.
    #[error(transparent)]
    File(#[from] StateFileError),
    /// Peer: the owner of the host has revoked it.
    #[error("the peer {} has been revoked at this host", peer.short())]
    Revoked {
        /// The peer.
        peer: PeerId,
    },
    /// Local: there is no room, and nobody who could make some.
    #[error(
        "the list of peers in {} is full ({PEERS_MAX} lines); remove those that are not needed any more",
        path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    fn peers() -> (tempfile::TempDir, AuthorizedPeers) {
        let directory = tempfile::tempdir().unwrap();
        let peers = AuthorizedPeers::open(directory.path().join("peers")).unwrap();
        (directory, peers)
    }

    #[test]
    fn what_one_process_writes_another_one_sees() {
        let (_directory, one) = peers();
        let other = AuthorizedPeers::open(one.path()).unwrap();
        one.pair(peer(1), Some("home"), "phone").unwrap();
        assert_eq!(other.verdict(peer(1), false), Verdict::Unknown);
        other.refresh().unwrap();
        assert_eq!(other.verdict(peer(1), false), Verdict::Admitted);
        assert_eq!(other.list(), one.list());
        assert!(other.revoke(peer(1)).unwrap());
        one.refresh().unwrap();
        assert_eq!(one.verdict(peer(1), true), Verdict::Revoked);
        assert!(matches!(one.pair(peer(1), None, ""), Err(AuthorizeError::Revoked { .. })));
        let entry = one.allow(peer(1), None).unwrap();
        assert_eq!((entry.how, entry.name.as_str(), entry.client_id.as_deref()), (How::Manual, "phone", Some("home")));
    }

    #[test]
    fn pairing_again_changes_what_is_new_and_nothing_else() {
        let (_directory, peers) = peers();
        assert_eq!(peers.admit(peer(1), true, Some("home")).unwrap(), Verdict::Admitted);
        assert_eq!(peers.find(peer(1)).unwrap().how, How::Ticket);
        peers.pair(peer(1), None, "").unwrap();
        let before = peers.find(peer(1)).unwrap();
        assert_eq!((before.how, before.client_id.as_deref()), (How::Tunnel, Some("home")));
        let text = fs::read_to_string(peers.path()).unwrap();
        peers.pair(peer(1), None, "").unwrap();
        assert_eq!(fs::read_to_string(peers.path()).unwrap(), text);
        peers.allow(peer(1), Some("mine")).unwrap();
        peers.pair(peer(1), None, "theirs").unwrap();
        let entry = peers.find(peer(1)).unwrap();
        assert_eq!((entry.how, entry.name.as_str()), (How::Manual, "mine"));
    }

    #[test]
    fn a_line_that_is_not_understood_leaves_the_list_as_it_was_and_is_named() {
        let (_directory, peers) = peers();
        peers.pair(peer(1), None, "phone").unwrap();
        let good = fs::read_to_string(peers.path()).unwrap();
        fs::write(peers.path(), format!("{good}allow nobody\n")).unwrap();
        let message = peers.refresh().unwrap_err().to_string();
        assert!(message.contains("peers line 5") && message.contains("begin it with #"), "{message}");
        assert_eq!(peers.verdict(peer(1), false), Verdict::Admitted, "who is connected stays");
        assert!(peers.admit(peer(1), false, None).is_err(), "nobody new comes in");
        assert!(peers.revoke(peer(1)).is_err(), "nothing is written over what a person has begun");
        fs::write(peers.path(), good).unwrap();
        assert_eq!(peers.admit(peer(1), false, None).unwrap(), Verdict::Admitted);
    }

    #[test]
    fn revoking_all_leaves_nobody_in() {
        let (_directory, peers) = peers();
        peers.pair(peer(1), None, "").unwrap();
        peers.allow(peer(2), None).unwrap();
        peers.revoke(peer(3)).unwrap();
        assert_eq!(peers.revoke_all().unwrap().len(), 2);
        assert!(peers.list().iter().all(|entry| entry.revoked));
        assert_eq!(peers.list().len(), 3);
    }

    #[test]
    fn who_is_connected_makes_no_room() {
        let (_directory, peers) = peers();
        let number = |number: u16| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            PeerId(id)
        };
        let lines = |how: &str| -> String {
            let line = |n| format!("allow {} - {how} 2026-01-31T12:00:00Z\n", number(n));
            (1..1024).map(line).collect()
        };
        fs::write(peers.path(), lines("tunnel")).unwrap();
        #[cfg(unix)]
        fs::set_permissions(peers.path(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(peers.admit(number(2000), true, None).unwrap(), Verdict::Admitted);
        peers.connected(number(2000));
        let error = peers.pair(number(2001), None, "").unwrap_err();
        assert!(error.to_string().contains("is full (1024 lines)"), "{error}");
        assert!(matches!(peers.admit(number(2001), true, None), Err(AuthorizeError::Full { .. })));
        peers.disconnected(number(2000));
        peers.pair(number(2001), None, "").unwrap();
        assert_eq!(peers.find(number(2000)), None);
    }

    #[test]
    fn many_writers_at_once_lose_nothing() {
        let (_directory, peers) = peers();
        let peers = Arc::new(peers);
        let threads: Vec<_> = (0..8u8)
            .map(|writer| {
                // Half of them as another process would.
                let peers = if writer % 2 == 0 {
                    Arc::clone(&peers)
                } else {
                    Arc::new(AuthorizedPeers::open(peers.path()).unwrap())
                };
                std::thread::spawn(move || {
                    for number in 0..8u8 {
                        peers.pair(peer(writer * 8 + number), None, "x").unwrap();
                        peers.revoke(peer(writer * 8 + number)).unwrap();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        peers.refresh().unwrap();
        assert_eq!(peers.list().len(), 64);
        assert!(peers.list().iter().all(|entry| entry.revoked));
    }
}
