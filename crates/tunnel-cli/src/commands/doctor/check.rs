//! One thing that was looked at.

use serde_json::{Value, json};

/// What a check is about, in the order in which a fault of one explains faults of those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Configuration,
    Secrets,
    Sockets,
    HostPort,
    Buffers,
    Ipv4,
    Ipv6,
    Clock,
    CaptivePortal,
    Relay,
    Udp,
    Nat,
    PortMapping,
    Lookup,
    Tunnel,
    TunnelToken,
    Peer,
}

impl Topic {
    /// For people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Secrets => "secret files",
            Self::Sockets => "UDP sockets",
            Self::HostPort => "port of the host",
            Self::Buffers => "UDP buffers",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Clock => "clock",
            Self::CaptivePortal => "login page",
            Self::Relay => "relay",
            Self::Udp => "UDP to relays",
            Self::Nat => "NAT",
            Self::PortMapping => "port mapping",
            Self::Lookup => "lookup",
            Self::Tunnel => "tunnel server",
            Self::TunnelToken => "tunnel token",
            Self::Peer => "host",
        }
    }

    /// For scripts.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Secrets => "secret-files",
            Self::Sockets => "udp-sockets",
            Self::HostPort => "host-port",
            Self::Buffers => "udp-buffers",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Clock => "clock",
            Self::CaptivePortal => "captive-portal",
            Self::Relay => "relay",
            Self::Udp => "udp",
            Self::Nat => "nat",
            Self::PortMapping => "port-mapping",
            Self::Lookup => "lookup",
            Self::Tunnel => "tunnel-server",
            Self::TunnelToken => "tunnel-token",
            Self::Peer => "peer",
        }
    }
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Not looked at; it is said why.
    NotChecked,
    /// Nothing wrong, and good to know.
    Note,
    /// It works, with a fault: something is slower, less safe or will fail at times.
    Problem,
    /// It does not work.
    Failed,
}

impl State {
    /// In a word.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotChecked => "not checked",
            Self::Note => "note",
            Self::Problem => "problem",
            Self::Failed => "failed",
        }
    }
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) topic: Topic,
    /// Which of several: a URL, a file.
    pub(super) subject: Option<String>,
    pub(super) state: State,
    /// In plain words.
    pub(super) found: String,
    /// What to do about it.
    pub(super) next: Option<String>,
}

impl Check {
    pub(super) fn new(topic: Topic, state: State, found: impl Into<String>) -> Self {
        Self { topic, subject: None, state, found: found.into(), next: None }
    }

    pub(super) fn ok(topic: Topic, found: impl Into<String>) -> Self {
        Self::new(topic, State::Ok, found)
    }

    pub(super) fn note(topic: Topic, found: impl Into<String>) -> Self {
        Self::new(topic, State::Note, found)
    }

    pub(super) fn problem(topic: Topic, found: impl Into<String>) -> Self {
        Self::new(topic, State::Problem, found)
    }

    pub(super) fn failed(topic: Topic, found: impl Into<String>) -> Self {
        Self::new(topic, State::Failed, found)
    }

    pub(super) fn not_checked(topic: Topic, why: impl Into<String>) -> Self {
        Self::new(topic, State::NotChecked, why)
    }

    /// Says of which it is.
    pub(super) fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Adds what to do.
    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Whether something is wrong.
    pub(super) const fn is_bad(&self) -> bool {
        matches!(self.state, State::Problem | State::Failed)
    }

    /// As scripts read it.
    pub(super) fn json(&self) -> Value {
        json!({
            "event": "check",
            "check": self.topic.name(),
            "subject": self.subject,
            "state": self.state.name().replace(' ', "-"),
            "found": self.found,
            "next": self.next,
        })
    }
}
