//! The list of peers in memory: which changes there are, and who is let in. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::SystemTime,
};

use p2p_provider::PeerId;

use super::entry::{How, PeerEntry};

/// The most peers in a list. More devices than one home has, and few enough that the whole list is read and written in a
/// millisecond; without a bound, whoever holds a ticket could fill the disk with fresh keys.
pub const PEERS_MAX: usize = 1024;

const HEADER: &str = "\
# Who may use this host of tunnel-p2p, one peer per line: change it here or with `tunnel-p2p peers`.
# allow|revoked PEER_ID CLIENT_ID|- tunnel|ticket|manual TIME NAME
# tunnel, manual: let in by its key. ticket: needs the ticket's secret each time. revoked: turned away.
";

/// The lines of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerList {
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
enum Line {
    /// A comment, or an empty line.
    Comment(String),
    Entry(PeerEntry),
}

/// A line that is not understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineError {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// Whether a peer is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is.
    Admitted,
    /// It is not, though it may hold a good ticket.
    Revoked,
    /// Nobody has let its key in, and it did not present the secret.
    Unknown,
}

/// There is no room for one more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl PeerList {
    pub(super) fn parse(text: &str) -> Result<Self, LineError> {
        let mut lines = Vec::new();
        let mut seen: BTreeMap<PeerId, usize> = BTreeMap::new();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            if text.trim().is_empty() || text.trim_start().starts_with('#') {
                lines.push(Line::Comment(text.to_owned()));
                continue;
            }
            let entry: PeerEntry = text.parse().map_err(|message| LineError { line, message })?;
            if let Some(first) = seen.insert(entry.peer, line) {
                // Which of the two counts must not depend on their order.
                return Err(LineError { line, message: format!("it is about the same peer as line {first}") });
            }
            lines.push(Line::Entry(entry));
        }
        Ok(Self { lines })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &PeerEntry> {
        self.lines.iter().filter_map(|line| match line {
            Line::Entry(entry) => Some(entry),
            Line::Comment(_) => None,
        })
    }

    pub(super) fn find(&self, peer: PeerId) -> Option<&PeerEntry> {
        self.entries().find(|entry| entry.peer == peer)
    }

    /// Whether the peer is let in; `secret` says whether it presented the ticket's.
    pub(super) fn verdict(&self, peer: PeerId, secret: bool) -> Verdict {
        match self.find(peer) {
            Some(entry) if entry.revoked => Verdict::Revoked,
            Some(entry) if entry.is_admitted() => Verdict::Admitted,
            _ if secret => Verdict::Admitted,
            _ => Verdict::Unknown,
        }
    }

    /// Puts a new line at the end, or the peer's line in the place of its old one. A full list gives up the oldest peer that
    /// came by ticket, is not `connected` and can come back by itself.
    pub(super) fn put(&mut self, entry: PeerEntry, connected: &BTreeSet<PeerId>) -> Result<(), NoRoom> {
        if self.lines.is_empty() {
            self.lines.extend(HEADER.lines().map(|line| Line::Comment(line.to_owned())));
        }
        let same = |line: &&mut Line| matches!(line, Line::Entry(old) if old.peer == entry.peer);
        if let Some(line) = self.lines.iter_mut().find(same) {
            *line = Line::Entry(entry);
            return Ok(());
        }
        if self.entries().count() >= PEERS_MAX {
            let oldest = self.oldest_to_spare(connected).ok_or(NoRoom)?;
            self.lines.retain(|line| !matches!(line, Line::Entry(old) if old.peer == oldest));
        }
        self.lines.push(Line::Entry(entry));
        Ok(())
    }

    fn oldest_to_spare(&self, connected: &BTreeSet<PeerId>) -> Option<PeerId> {
        let spare = |entry: &&PeerEntry| entry.how == How::Ticket && !entry.revoked && !connected.contains(&entry.peer);
        self.entries().filter(spare).min_by_key(|entry| entry.since).map(|entry| entry.peer)
    }

    /// Turns a peer away from now on. Returns whether that is news. A peer that is not in the list gets a line.
    pub(super) fn revoke(
        &mut self,
        peer: PeerId,
        now: SystemTime,
        connected: &BTreeSet<PeerId>,
    ) -> Result<bool, NoRoom> {
        let entry = match self.find(peer) {
            Some(entry) if entry.revoked => return Ok(false),
            Some(entry) => PeerEntry { revoked: true, since: now, ..entry.clone() },
            None => {
                PeerEntry { peer, revoked: true, client_id: None, how: How::Manual, since: now, name: String::new() }
            }
        };
        self.put(entry, connected).map(|()| true)
    }
}

impl fmt::Display for PeerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            match line {
                Line::Comment(text) => writeln!(f, "{text}")?,
                Line::Entry(entry) => writeln!(f, "{entry}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn entry(number: u16, how: How, since: u64) -> PeerEntry {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        PeerEntry {
            peer: PeerId(id),
            revoked: false,
            client_id: None,
            how,
            since: UNIX_EPOCH + Duration::from_secs(since),
            name: String::new(),
        }
    }

    fn full(how: impl Fn(u16) -> How) -> PeerList {
        let mut list = PeerList::default();
        for number in 0..1024 {
            list.put(entry(number, how(number), u64::from(number)), &BTreeSet::new()).unwrap();
        }
        list
    }

    #[test]
    fn comments_and_order_stay_and_each_wrong_line_is_named() {
        let id = "ab".repeat(32);
        let good = format!("# mine\n\nallow {id} - tunnel 2026-01-31T12:00:00Z living room\n  # end\n");
        let list = PeerList::parse(&good).unwrap();
        assert_eq!(list.to_string(), good);
        assert_eq!(list.entries().next().unwrap().name, "living room");
        for (line, part) in [
            (format!("deny {id} - tunnel 2026-01-31T12:00:00Z"), "neither `allow` nor `revoked`"),
            ("allow abcd - tunnel 2026-01-31T12:00:00Z".to_owned(), "not a peer id"),
            (format!("allow {id} - magic 2026-01-31T12:00:00Z"), "none of `tunnel`"),
            (format!("allow {id} - tunnel yesterday"), "is not a time"),
            (format!("allow {id} - tunnel"), "the time is missing"),
            (format!("allow {id} - manual 2026-01-31T12:00:00Z"), "the same peer as line 3"),
        ] {
            let error = PeerList::parse(&format!("{good}{line}\n")).unwrap_err();
            assert_eq!(error.line, 5);
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn a_key_that_is_revoked_stays_out_and_one_by_ticket_needs_the_secret() {
        let mut list = PeerList::default();
        let nobody = BTreeSet::new();
        for (number, how) in [(1, How::Tunnel), (2, How::Manual), (3, How::Ticket)] {
            let entry = entry(number, how, 0);
            let peer = entry.peer;
            assert_eq!(list.verdict(peer, false), Verdict::Unknown);
            assert_eq!(list.verdict(peer, true), Verdict::Admitted);
            list.put(entry, &nobody).unwrap();
            let by_key = if how == How::Ticket { Verdict::Unknown } else { Verdict::Admitted };
            assert_eq!((list.verdict(peer, false), list.verdict(peer, true)), (by_key, Verdict::Admitted));
            assert_eq!(list.revoke(peer, UNIX_EPOCH, &nobody), Ok(true));
            assert_eq!(list.revoke(peer, UNIX_EPOCH, &nobody), Ok(false));
            assert_eq!((list.verdict(peer, false), list.verdict(peer, true)), (Verdict::Revoked, Verdict::Revoked));
        }
    }

    #[test]
    fn a_full_list_gives_up_the_oldest_that_came_by_ticket_and_is_away() {
        let mut list = full(|number| if number == 7 || number == 9 { How::Ticket } else { How::Tunnel });
        let (seventh, ninth) = (entry(7, How::Ticket, 0).peer, entry(9, How::Ticket, 0).peer);
        list.put(entry(2000, How::Tunnel, 0), &BTreeSet::from([seventh])).unwrap();
        assert!(list.find(seventh).is_some() && list.find(ninth).is_none());
        assert_eq!(list.put(entry(2001, How::Tunnel, 0), &BTreeSet::from([seventh])), Err(NoRoom));
        assert_eq!(list.entries().count(), PEERS_MAX);
        // What is there already can be changed all the same.
        assert_eq!(list.revoke(entry(3, How::Tunnel, 0).peer, UNIX_EPOCH, &BTreeSet::new()), Ok(true));
        assert_eq!(PeerList::parse(&list.to_string()).unwrap().to_string(), list.to_string());
    }

    prop_compose! {
        fn any_entry()(
            id in any::<[u8; 32]>(),
            revoked in any::<bool>(),
            client_id in proptest::option::of(".{1,20}"),
            how in prop_oneof![Just(How::Tunnel), Just(How::Ticket), Just(How::Manual)],
            since in 0u64..4_000_000_000,
            name in ".{0,80}",
        ) -> PeerEntry {
            let since = UNIX_EPOCH + Duration::from_secs(since);
            PeerEntry { peer: PeerId(id), revoked, client_id, how, since, name: super::super::fields::name(&name) }
        }
    }

    proptest! {
        #[test]
        fn an_entry_survives_its_line(entry in any_entry()) {
            let line = entry.to_string();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(line.parse(), Ok(entry));
        }

        #[test]
        fn arbitrary_text_never_panics_and_what_is_read_is_written_the_same(text in "(allow|revoked|#|[a-f0-9]{64}|-|tunnel| |\n|.){0,40}") {
            if let Ok(list) = PeerList::parse(&text) {
                let written = list.to_string();
                prop_assert_eq!(PeerList::parse(&written).unwrap().to_string(), written);
            }
        }
    }
}
