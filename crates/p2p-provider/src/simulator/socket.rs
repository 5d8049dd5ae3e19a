//! Datagrams.

use std::{fmt, future::poll_fn, io, net::SocketAddr, sync::Arc, task::Poll};

use bytes::Bytes;

use super::shared::Shared;

/// A socket for datagrams, which may be lost, and overtake each other. Dropping it closes it.
pub struct SimSocket {
    shared: Arc<Shared>,
    node: usize,
    port: u16,
}

impl SimSocket {
    pub(super) fn open(shared: Arc<Shared>, node: usize, port: u16) -> io::Result<Self> {
        if shared.with(|world| world.open_socket(node, port)) {
            return Ok(Self { shared, node, port });
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, format!("port {port} is in use, or the node has crashed")))
    }

    /// Sends a datagram. What becomes of it nobody knows.
    pub fn send_to(&self, bytes: impl Into<Bytes>, to: SocketAddr) {
        self.shared.with(|world| world.send_datagram(self.node, self.port, to, bytes.into()));
    }

    /// The next datagram, and who has sent it; an error once the node has crashed. Cancel safe.
    pub async fn recv_from(&self) -> io::Result<(SocketAddr, Bytes)> {
        poll_fn(|cx| match self.shared.with(|world| world.receive_datagram(self.node, self.port, cx.waker())) {
            Ok(Some(datagram)) => Poll::Ready(Ok(datagram)),
            Ok(None) => Poll::Pending,
            Err(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::NetworkDown, "the node has crashed"))),
        })
        .await
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        self.shared.with(|world| world.close_socket(self.node, self.port));
    }
}

impl fmt::Debug for SimSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimSocket({})", self.port)
    }
}
