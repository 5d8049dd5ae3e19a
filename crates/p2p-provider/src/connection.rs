//! A connection and its streams.

use std::{
    future::Future,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;

use crate::{CloseReason, Messages, PeerInfo, ReadError, WriteError};

/// How many small writes may lie unread on one stream.
///
/// QUIC stacks keep a list of received pieces per stream; noq-proto 1.4 closes the *whole connection* once 2,048 of
/// them wait and do not merge. A protocol that writes small pieces needs credits below this number.
pub const UNREAD_CHUNKS_MAX: u32 = 512;

/// An authenticated connection to another peer. Clones share it; it closes when the last clone and stream is dropped.
pub trait P2PConnection: Clone + Send + Sync + 'static {
    /// The sending half of a stream.
    type SendStream: SendStream;
    /// The receiving half of a stream.
    type RecvStream: RecvStream;

    /// Opens a stream in both directions. The peer sees it with the first write. Waits while the peer's limit is
    /// reached. Cancel safe.
    fn open_bi(&self) -> impl Future<Output = Result<(Self::SendStream, Self::RecvStream), CloseReason>> + Send;

    /// The next stream in both directions that the peer opens. Cancel safe.
    fn accept_bi(&self) -> impl Future<Output = Result<(Self::SendStream, Self::RecvStream), CloseReason>> + Send;

    /// Opens a stream in one direction. Otherwise as [`open_bi`](Self::open_bi).
    fn open_uni(&self) -> impl Future<Output = Result<Self::SendStream, CloseReason>> + Send;

    /// The next stream in one direction that the peer opens. Cancel safe.
    fn accept_uni(&self) -> impl Future<Output = Result<Self::RecvStream, CloseReason>> + Send;

    /// Whole messages in order, over one stream per direction.
    ///
    /// Meant for connections that carry nothing but messages: it accepts the first one-way stream of the peer.
    fn messages(&self) -> Messages<Self> {
        Messages::new(self.clone())
    }

    /// A number that names this connection within the process.
    fn id(&self) -> u64;

    /// Who the peer is.
    fn peer_info(&self) -> PeerInfo;

    /// The path that packets take at this moment.
    fn path(&self) -> Path;

    /// As [`path`](Self::path), without its details. Cheap enough for every request.
    fn path_kind(&self) -> PathKind {
        self.path().kind
    }

    /// The smoothed round-trip time of the path. Cheap enough for every request.
    fn rtt(&self) -> Option<Duration> {
        self.path().rtt
    }

    /// The path, each time that it may have changed. The stream ends with the connection and does not keep it open.
    fn path_changes(&self) -> impl Stream<Item = Path> + Send + Unpin + 'static;

    /// Sets what the peer may have open and unread.
    ///
    /// A raise takes effect at once if it is large; noq announces one of less than an eighth of the new stream limit
    /// only with the next stream that ends. Lowering a limit works gradually.
    fn set_limits(&self, limits: ConnectionLimits);

    /// Resolves when the connection is closed, and says why. It does not keep the connection open.
    fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static;

    /// Why the connection is closed, if it is.
    fn close_reason(&self) -> Option<CloseReason>;

    /// Closes the connection and all its streams; the peer gets the code and the reason. Idempotent.
    fn close(&self, code: u64, reason: &str);
}

/// The sending half of a stream. Dropping it unfinished resets it with code 0.
pub trait SendStream: Send + 'static {
    /// The number of the stream: equal on both sides, never used twice on a connection.
    fn id(&self) -> u64;

    /// Writes all chunks without copying them, waiting while the reader's window is full.
    ///
    /// Not cancel safe: after a drop nobody knows how much was written; reset the stream.
    fn write_chunks(&mut self, chunks: &mut [Bytes]) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Marks the end. What was written is still delivered.
    fn finish(&mut self);

    /// Abandons the stream: what the peer has not read is lost, and it sees `code`. No effect after a finish that
    /// the peer has acknowledged.
    fn reset(&mut self, code: u64);

    /// Resolves with the peer's code when it stops reading, with `None` when it has everything or the connection is
    /// lost.
    fn stopped(&self) -> impl Future<Output = Option<u64>> + Send + 'static;
}

/// The receiving half of a stream. Dropping it stops the stream with code 0.
pub trait RecvStream: Send + Unpin + 'static {
    /// The number of the stream: equal on both sides, never used twice on a connection.
    fn id(&self) -> u64;

    /// Fills the front of `chunks` with the next pieces, without copying; `None` after the end.
    ///
    /// The pieces say nothing about how the peer wrote them. Only the last caller's waker is kept.
    fn poll_read_chunks(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, ReadError>>;

    /// As [`poll_read_chunks`](Self::poll_read_chunks). Cancel safe.
    fn read_chunks(&mut self, chunks: &mut [Bytes]) -> impl Future<Output = Result<Option<usize>, ReadError>> + Send {
        std::future::poll_fn(|cx| self.poll_read_chunks(cx, chunks))
    }

    /// Tells the peer to stop writing, with `code`.
    fn stop(&mut self, code: u64);
}

/// What a peer may have open and unread on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Streams in both directions that the peer may have open at once.
    pub bidi_streams: u32,
    /// Streams in one direction that the peer may have open at once.
    pub uni_streams: u32,
    /// Bytes that the peer may have sent and we have not read, over all streams.
    pub receive_window: u64,
}

/// The path of a connection's packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Direct or relayed.
    pub kind: PathKind,
    /// The address at the other end of the path: an IP address, or the relay's URL.
    pub remote: Option<String>,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
}

/// Direct or relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// Straight to the peer.
    Direct,
    /// Through a relay, encrypted end to end.
    Relayed,
    /// No path is selected at this moment.
    Unknown,
}

/// One line of [`P2PProvider::connections`](crate::P2PProvider::connections).
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The [`P2PConnection::id`]; 0 while dialling.
    pub id: u64,
    /// Who is at the other end.
    pub peer: PeerInfo,
    /// Who opened it.
    pub direction: Direction,
    /// How far it has come.
    pub state: ConnectionState,
    /// The path, once it is open.
    pub path: Option<Path>,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We did.
    Outgoing,
    /// The peer did.
    Incoming,
}

/// The life of a connection. Closed ones are no longer listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Being dialled.
    Connecting,
    /// Ready for streams.
    Open,
}
