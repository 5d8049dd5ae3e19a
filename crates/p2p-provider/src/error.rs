//! What can go wrong with peers and streams, and who caused it.

use std::time::Duration;

use crate::PeerId;

/// A peer could not be started, dialled or listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum P2PError {
    /// Local: no socket at this address.
    #[error("cannot open UDP socket {addresses}: {message}; choose another port, or stop the process that has it")]
    Bind {
        /// The addresses that were asked for.
        addresses: String,
        /// What the system said.
        message: String,
    },
    /// Local: a setting is not usable.
    #[error("{field}: {message}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// Local: this peer is closed.
    #[error("this peer is closed")]
    Closed,
    /// Local: there is a listener already.
    #[error("this peer listens already; drop its listener first")]
    AlreadyListening,
    /// Local: the address holds nothing to dial.
    #[error("no address is known for peer {peer}; get a fresh ticket from it")]
    NoAddress {
        /// The peer.
        peer: PeerId,
    },
    /// Network: nobody answered.
    #[error("peer {peer} did not answer within {timeout:?}; it is off, unreachable from here, or at a new address")]
    ConnectTimeout {
        /// The peer.
        peer: PeerId,
        /// How long we waited.
        timeout: Duration,
    },
    /// Peer: it speaks none of our protocols.
    #[error("peer {peer} does not speak {protocol}; bring both sides to the same version")]
    ProtocolMismatch {
        /// The peer.
        peer: PeerId,
        /// The protocol we asked for.
        protocol: String,
    },
    /// Peer or network: the handshake failed.
    #[error("cannot connect to peer {peer}: {message}")]
    Connect {
        /// The peer.
        peer: PeerId,
        /// What the transport said.
        message: String,
    },
}

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    #[error("closed by this side")]
    Local,
    /// The peer closed it.
    #[error("closed by the peer: {reason} (code {code})")]
    Peer {
        /// The application's code.
        code: u64,
        /// The application's words; text of the peer's choice.
        reason: String,
    },
    /// Network: the peer was silent for longer than the idle timeout.
    #[error("the peer went silent")]
    TimedOut,
    /// Peer or network: the transport gave up.
    #[error("transport error: {0}")]
    Transport(String),
}

/// A stream cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The peer does not want more.
    #[error("stopped by the peer (code {0})")]
    Stopped(u64),
    /// Local: the stream is finished or reset already.
    #[error("stream is closed")]
    Closed,
    /// The connection is gone.
    #[error("connection lost: {0}")]
    ConnectionLost(#[source] CloseReason),
}

/// A stream cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The peer abandoned it.
    #[error("reset by the peer (code {0})")]
    Reset(u64),
    /// Local: the stream is stopped already.
    #[error("stream is closed")]
    Closed,
    /// The connection is gone.
    #[error("connection lost: {0}")]
    ConnectionLost(#[source] CloseReason),
}
