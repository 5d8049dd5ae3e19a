//! Machines that are parts of this process, connected by TCP on loopback.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, Waker},
};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tunnel_legacy::server::Listener;

use super::{Machine, World};
use crate::backend::{
    iroh::{IrohBackend, run_in_real_time},
    lock,
};

/// Sockets on 127.0.0.1.
#[derive(Clone, Default)]
pub struct Real {
    peers: IrohBackend,
}

impl World for Real {
    const TIME_IS_VIRTUAL: bool = false;
    type Peers = IrohBackend;
    type Machine = RealMachine;

    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>,
    {
        run_in_real_time(name, case(Self::default()));
    }

    fn peers(&self) -> &IrohBackend {
        &self.peers
    }

    fn machine(&self, _name: &str) -> RealMachine {
        RealMachine(Arc::new(Mutex::new(Process { up: true, address: None, streams: Vec::new() })))
    }
}

/// A process that is imagined: what it has of the system, so that all of it can be taken away at once.
#[derive(Clone)]
pub struct RealMachine(Arc<Mutex<Process>>);

struct Process {
    up: bool,
    /// Where its port was the first time, and is again.
    address: Option<SocketAddr>,
    streams: Vec<Weak<Mutex<Socket>>>,
}

impl RealMachine {
    /// Takes a new byte stream in.
    fn own(&self, stream: TcpStream) -> io::Result<RealIo> {
        stream.set_nodelay(true)?;
        let mut process = lock(&self.0);
        if !process.up {
            return Err(dead());
        }
        let socket = Arc::new(Mutex::new(Socket { stream: Some(stream), reader: None, writer: None }));
        process.streams.retain(|stream| stream.strong_count() > 0);
        process.streams.push(Arc::downgrade(&socket));
        Ok(RealIo(socket))
    }
}

impl Machine for RealMachine {
    type Io = RealIo;
    type Port = RealPort;

    async fn listen(&self) -> io::Result<RealPort> {
        let address = lock(&self.0).address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let listener = TcpListener::bind(address).await?;
        lock(&self.0).address = Some(listener.local_addr()?);
        Ok(RealPort { listener, machine: self.clone() })
    }

    fn address(&self) -> SocketAddr {
        lock(&self.0).address.expect("it has listened")
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<RealIo>> {
        let machine = self.clone();
        Box::pin(async move {
            if !lock(&machine.0).up {
                return Err(dead());
            }
            machine.own(TcpStream::connect(to).await?)
        })
    }

    fn crash(&self) {
        let streams = {
            let mut process = lock(&self.0);
            process.up = false;
            std::mem::take(&mut process.streams)
        };
        for socket in streams.into_iter().filter_map(|socket| socket.upgrade()) {
            let (reader, writer) = {
                let mut socket = lock(&socket);
                // The system closes it: an end for the peer, or a reset if something lies unread.
                socket.stream = None;
                (socket.reader.take(), socket.writer.take())
            };
            reader.into_iter().chain(writer).for_each(Waker::wake);
        }
    }

    fn start(&self) {
        lock(&self.0).up = true;
    }
}

/// The port of a [`RealMachine`].
pub struct RealPort {
    listener: TcpListener,
    machine: RealMachine,
}

impl Listener for RealPort {
    type Io = RealIo;

    async fn accept(&mut self) -> io::Result<(RealIo, SocketAddr)> {
        let (stream, from) = self.listener.accept().await?;
        Ok((self.machine.own(stream)?, from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A byte stream of a [`RealMachine`].
pub struct RealIo(Arc<Mutex<Socket>>);

struct Socket {
    /// `None` after the death of its process.
    stream: Option<TcpStream>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl RealIo {
    /// Asks the socket, and waits besides for the death of the process: the task is remembered in `waiting`.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        waiting: impl FnOnce(&mut Socket) -> &mut Option<Waker>,
        ask: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut socket = lock(&self.0);
        let Some(stream) = &mut socket.stream else { return Poll::Ready(Err(dead())) };
        let answer = ask(Pin::new(stream), cx);
        if answer.is_pending() {
            *waiting(&mut socket) = Some(cx.waker().clone());
        }
        answer
    }
}

impl AsyncRead for RealIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |socket| &mut socket.reader, |stream, cx| stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for RealIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |socket| &mut socket.writer, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |socket| &mut socket.writer, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |socket| &mut socket.writer, AsyncWrite::poll_shutdown)
    }
}

fn dead() -> io::Error {
    io::Error::new(io::ErrorKind::NetworkDown, "the process has been killed")
}
