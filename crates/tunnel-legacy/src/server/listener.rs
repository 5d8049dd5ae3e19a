//! Where hosts and apps connect.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// Accepts connections. [`TunnelServer::bind`](super::TunnelServer::bind) uses [`Tcp`].
pub trait Listener: Send + 'static {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and who has opened it. An error does not end the listener: the server asks again after a
    /// pause.
    ///
    /// Must be cancel safe: the server drops the future and asks again.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;

    /// The address that others connect to.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Connections over TCP.
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    nodelay: bool,
}

impl Tcp {
    /// Accepts from `listener`, with Nagle's algorithm off if `nodelay`.
    #[must_use]
    pub const fn new(listener: TcpListener, nodelay: bool) -> Self {
        Self { listener, nodelay }
    }
}

impl Listener for Tcp {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        // Fails only for a peer that has left again.
        let _ = stream.set_nodelay(self.nodelay);
        Ok((stream, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
