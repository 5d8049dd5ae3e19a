//! What happened, in order.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{CloseReason, PathKind};

/// Something that happened in the network.
///
/// Nodes are given by their name, connections and streams by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A node's process has started.
    Started,
    /// A node's process has ended without a word.
    Crashed,
    /// A node dials.
    Dialled {
        /// The connection.
        connection: u64,
        /// The peer; `?` if nobody is there.
        to: &'a str,
        /// The path.
        path: PathKind,
    },
    /// A node's dial was turned away, or it gave up.
    DialFailed {
        /// The connection.
        connection: u64,
    },
    /// A node has a new connection.
    Connected {
        /// The connection.
        connection: u64,
    },
    /// A node's connection takes another path.
    PathChanged {
        /// The connection.
        connection: u64,
        /// The new path.
        path: PathKind,
    },
    /// A node's connection has ended.
    Closed {
        /// The connection.
        connection: u64,
        /// Why.
        reason: &'a CloseReason,
    },
    /// A node has opened a stream.
    Opened {
        /// The connection.
        connection: u64,
        /// The stream.
        stream: u64,
    },
    /// Bytes have arrived at a node.
    Delivered {
        /// The connection.
        connection: u64,
        /// The stream.
        stream: u64,
        /// How many.
        bytes: usize,
        /// Bytes of this stream that wait to be read, these included.
        unread_bytes: u64,
        /// Pieces, as a QUIC stack would keep them, that wait to be read.
        unread_pieces: u64,
    },
    /// The end of a stream has arrived at a node.
    Finished {
        /// The connection.
        connection: u64,
        /// The stream.
        stream: u64,
    },
    /// A node's stream was reset by the peer.
    Reset {
        /// The connection.
        connection: u64,
        /// The stream.
        stream: u64,
        /// The peer's code.
        code: u64,
    },
    /// A node's stream was stopped by the peer.
    Stopped {
        /// The connection.
        connection: u64,
        /// The stream.
        stream: u64,
        /// The peer's code.
        code: u64,
    },
    /// A datagram has arrived at a node.
    Datagram {
        /// Bytes.
        bytes: usize,
    },
    /// A fault has begun. The node is `-`.
    FaultBegan(&'a str),
    /// A fault has ended. The node is `-`.
    FaultEnded(&'a str),
    /// Whatever the user of the network wants to have in the trace.
    Note(&'a str),
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Crashed => f.write_str("crashed"),
            Self::Dialled { connection, to, path } => write!(f, "c{connection} dials {to} {}", path_name(*path)),
            Self::DialFailed { connection } => write!(f, "c{connection} dial failed"),
            Self::Connected { connection } => write!(f, "c{connection} connected"),
            Self::PathChanged { connection, path } => write!(f, "c{connection} now {}", path_name(*path)),
            Self::Closed { connection, reason } => write!(f, "c{connection} closed: {reason}"),
            Self::Opened { connection, stream } => write!(f, "c{connection}/{stream} opened"),
            Self::Delivered { connection, stream, bytes, unread_bytes, unread_pieces } => {
                write!(f, "c{connection}/{stream} +{bytes} ({unread_bytes} in {unread_pieces})")
            }
            Self::Finished { connection, stream } => write!(f, "c{connection}/{stream} finished"),
            Self::Reset { connection, stream, code } => write!(f, "c{connection}/{stream} reset {code}"),
            Self::Stopped { connection, stream, code } => write!(f, "c{connection}/{stream} stopped {code}"),
            Self::Datagram { bytes } => write!(f, "datagram of {bytes}"),
            Self::FaultBegan(name) => write!(f, "fault begins: {name}"),
            Self::FaultEnded(name) => write!(f, "fault ends: {name}"),
            Self::Note(text) => f.write_str(text),
        }
    }
}

const fn path_name(path: PathKind) -> &'static str {
    match path {
        PathKind::Direct => "direct",
        PathKind::Relayed => "relayed",
        PathKind::Unknown => "nowhere",
    }
}

pub(super) type Observer = Box<dyn FnMut(Duration, &str, &Event<'_>) + Send>;

/// Hashes every event, and keeps the text of all of them if asked to.
#[derive(Default)]
pub(super) struct Trace {
    hash: Sha256,
    events: u64,
    line: String,
    text: Option<String>,
    observer: Option<Observer>,
}

impl Trace {
    pub(super) fn keep_text(&mut self) {
        self.text.get_or_insert_default();
    }

    pub(super) fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    pub(super) fn record(&mut self, now: Duration, node: &str, event: &Event<'_>) {
        self.line.clear();
        // Writing to a string does not fail.
        _ = writeln!(self.line, "{:>6}.{:06} {node} {event}", now.as_secs(), now.subsec_micros());
        self.hash.update(self.line.as_bytes());
        self.events += 1;
        if let Some(text) = &mut self.text {
            text.push_str(&self.line);
        }
        if let Some(observer) = &mut self.observer {
            observer(now, node, event);
        }
    }

    pub(super) fn summary(&self) -> TraceSummary {
        TraceSummary {
            events: self.events,
            hash: data_encoding::HEXLOWER.encode(&self.hash.clone().finalize()),
            text: self.text.clone(),
        }
    }
}

/// The trace of a run: equal for equal seeds, in every process and every build.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceSummary {
    /// How many events there were.
    pub events: u64,
    /// The SHA-256 of their text, in hexadecimal.
    pub hash: String,
    /// Their text, if it was [kept](super::SimNetwork::keep_trace): one line each, of time, node and event.
    pub text: Option<String>,
}

impl fmt::Debug for TraceSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceSummary({} events, {})", self.events, self.hash)
    }
}
