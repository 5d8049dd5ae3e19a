//! Byte streams as TCP has them, for code that reads and writes [`AsyncRead`] and [`AsyncWrite`].

use std::{
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    shared::Shared,
    world::{DialStatus, PortKey, SideId},
};
use crate::{ReadError, WriteError};

/// The one stream of a connection.
const STREAM: u64 = 0;

/// What one write takes at most, in bytes.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Accepts byte streams on a port of a node. Dropping it closes the port.
pub struct SimTcpListener {
    shared: Arc<Shared>,
    key: PortKey,
}

impl SimTcpListener {
    pub(super) const fn new(shared: Arc<Shared>, key: PortKey) -> Self {
        Self { shared, key }
    }

    /// The next byte stream, and who has opened it; an error once the node has crashed. Cancel safe.
    pub async fn accept(&mut self) -> io::Result<(SimTcpStream, SocketAddr)> {
        let accepted = poll_fn(|cx| self.shared.with(|world| world.poll_accept_tcp(self.key, cx.waker())));
        let (side, address) = accepted.await?;
        Ok((SimTcpStream::new(Arc::clone(&self.shared), side), address))
    }
}

impl Drop for SimTcpListener {
    fn drop(&mut self) {
        self.shared.with(|world| world.stop_listening_tcp(self.key));
    }
}

impl fmt::Debug for SimTcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimTcpListener({})", self.key.port)
    }
}

/// A byte stream in both directions.
///
/// As with TCP, there is no end of patience: in a partition it waits until the partition heals. Dropping it sends what
/// is written and then the end; a peer that goes on sending is reset. With something unread the peer is reset at once
/// (RFC 1122 §4.2.2.13).
pub struct SimTcpStream {
    shared: Arc<Shared>,
    side: SideId,
    /// What was taken from the network and not yet read.
    rest: Bytes,
    ended: bool,
}

impl SimTcpStream {
    fn new(shared: Arc<Shared>, side: SideId) -> Self {
        Self { shared, side, rest: Bytes::new(), ended: false }
    }

    pub(super) async fn connect(shared: Arc<Shared>, node: usize, to: SocketAddr) -> io::Result<Self> {
        let side = shared.with(|world| world.dial_tcp(node, to))?;
        let stream = Self::new(shared, side);
        match poll_fn(|cx| stream.shared.with(|world| world.poll_dial(side, cx.waker()))).await {
            DialStatus::Connected => Ok(stream),
            DialStatus::Refused(_) => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")),
            DialStatus::Abandoned | DialStatus::UnderWay => {
                Err(io::Error::new(io::ErrorKind::NetworkDown, "the node has crashed"))
            }
        }
    }
}

impl AsyncRead for SimTcpStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let mut chunks = [Bytes::new()];
            let read = this.shared.with(|world| world.poll_read(this.side, STREAM, cx.waker(), &mut chunks));
            match ready!(read) {
                Ok(Some(_)) => [this.rest] = chunks,
                Ok(None) | Err(ReadError::Closed) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, error))),
            }
        }
        let count = this.rest.len().min(buffer.remaining());
        buffer.put_slice(&this.rest[..count]);
        this.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimTcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut chunk = [Bytes::copy_from_slice(&bytes[..bytes.len().min(WRITE_BYTES_MAX)])];
        let written = self.shared.with(|world| world.poll_write_some(self.side, STREAM, cx.waker(), &mut chunk));
        written.map_err(|error| match error {
            WriteError::ConnectionLost(_) => io::Error::new(io::ErrorKind::ConnectionReset, error),
            other => io::Error::new(io::ErrorKind::BrokenPipe, other),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.ended, true) {
            self.shared.with(|world| world.finish(self.side, STREAM));
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimTcpStream {
    fn drop(&mut self) {
        self.shared.with(|world| {
            if !self.rest.is_empty() || world.has_unread(self.side, STREAM) {
                world.reset_peer(self.side);
            } else if !self.ended {
                world.finish(self.side, STREAM);
            }
            world.let_go(self.side);
        });
    }
}

impl fmt::Debug for SimTcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimTcpStream({:?})", self.side)
    }
}
