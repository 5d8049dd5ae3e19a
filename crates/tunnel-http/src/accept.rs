//! Where peers connect: whatever yields byte streams, and a bound on how many there are.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

/// A peer that has vanished without a word is noticed after a minute: it may hold an upload that nothing else times out.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)).with_retries(3);

/// How long accepting pauses after an error, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections. [`Tcp`] is the usual one.
pub trait Listener: Send + 'static {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and who has opened it. An error does not end the listener: it is asked again after a pause.
    ///
    /// Must be cancel safe: the future is dropped, and another one asked for.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;

    /// The address that others connect to.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Connections over TCP, with keep-alive probes.
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    nodelay: bool,
}

impl Tcp {
    /// Binds the address. Dropping the future binds nothing.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, nodelay: true })
    }

    /// Turns Nagle's algorithm, which is off, on: small writes then wait for the peer's delayed acknowledgement.
    #[must_use]
    pub fn with_nagle(mut self) -> Self {
        self.nodelay = false;
        self
    }
}

impl Listener for Tcp {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        // Both fail only for a peer that has left again.
        let _ = stream.set_nodelay(self.nodelay);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE);
        Ok((stream, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A listener that accepts only so many connections at once.
pub struct Door<L> {
    listener: L,
    places: Arc<Semaphore>,
}

impl<L: Listener> Door<L> {
    /// At most `places` connections at once.
    pub fn new(listener: L, places: usize) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(places)) }
    }

    /// The next connection, as soon as there may be one more, and its place, which it holds until that is dropped.
    /// Errors are logged. Cancel safe.
    pub async fn next(&mut self) -> (L::Io, SocketAddr, Option<OwnedSemaphorePermit>) {
        // Nobody closes the semaphore; without a place there would only be no bound.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, place),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
