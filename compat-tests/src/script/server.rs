//! A tunnel server that answers as it is told.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};
use tokio_util::task::AbortOnDropHandle;
use tunnel_legacy::server::Listener;

use super::Head;
use crate::backend::{
    spawn,
    world::{Machine, World},
};

/// The WebSocket of a host.
pub type Socket<W> = WebSocketStream<<<W as World>::Machine as Machine>::Io>;

/// What a [`ScriptedServer`] does with a request.
pub enum Answer<W: World> {
    /// These bytes, whatever they are, after the request has been read.
    Bytes(Bytes, Then),
    /// The connection is dropped while the request lies unread: the peer gets a reset.
    Reset,
    /// 101, and then whatever the function does.
    WebSocket {
        /// Whether the server says that it knows the additions of `spec/legacy.md`.
        flow: bool,
        /// What happens on the WebSocket.
        script: Box<dyn FnOnce(Socket<W>) -> BoxFuture<'static, ()> + Send>,
    },
}

/// What follows the bytes of an [`Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next request on the connection.
    Next,
    /// The end of the connection.
    Close,
    /// Nothing, for as long as the client likes.
    Silence,
}

impl<W: World> Answer<W> {
    /// A whole response with this status and body.
    pub fn response(status: u16, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n\r\n", body.len());
        Self::Bytes(Bytes::from(head + body), Then::Next)
    }

    /// These bytes, then nothing.
    pub fn hang(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(bytes.into(), Then::Silence)
    }

    /// These bytes, then the end.
    pub fn close(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(bytes.into(), Then::Close)
    }

    /// A WebSocket with the additions of `spec/legacy.md`, or without.
    pub fn websocket<F>(flow: bool, script: impl FnOnce(Socket<W>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::WebSocket { flow, script: Box::new(move |socket| script(socket).boxed()) }
    }
}

/// A server on a machine of its own. Dropping it ends its process.
pub struct ScriptedServer<W: World> {
    machine: W::Machine,
    requests: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl<W: World> ScriptedServer<W> {
    /// Starts it. `script` says what happens to each request; the first one has the number 1.
    pub async fn start(world: &W, script: impl Fn(usize, &Head) -> Answer<W> + Send + Sync + 'static) -> Self {
        let machine = world.machine("script");
        let mut port = machine.listen().await.expect("a free port");
        let requests = Arc::new(AtomicUsize::new(0));
        let (counter, script) = (Arc::clone(&requests), Arc::new(script));
        let serving = spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    biased;
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                    accepted = port.accept() => {
                        let Ok((stream, _)) = accepted else { return };
                        let (counter, script) = (Arc::clone(&counter), Arc::clone(&script));
                        connections.spawn(async move { serve::<W>(stream, &counter, &*script).await });
                    }
                }
            }
        });
        Self { machine, requests, _serving: serving }
    }

    /// Where clients and hosts find it.
    pub fn address(&self) -> SocketAddr {
        self.machine.address()
    }

    /// The requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }
}

async fn serve<W: World>(
    mut stream: <W::Machine as Machine>::Io,
    counter: &AtomicUsize,
    script: &(dyn Fn(usize, &Head) -> Answer<W> + Send + Sync),
) -> Option<()> {
    loop {
        let head = Head::read(&mut stream).await?;
        let number = counter.fetch_add(1, Relaxed) + 1;
        match script(number, &head) {
            Answer::Reset => return None,
            Answer::Bytes(bytes, then) => {
                head.skip_rest(&mut stream).await?;
                stream.write_all(&bytes).await.ok()?;
                stream.flush().await.ok()?;
                match then {
                    Then::Next => {}
                    Then::Close => {
                        stream.shutdown().await.ok()?;
                        return Some(());
                    }
                    // Until the client has left.
                    Then::Silence => return stream.read_u8().await.ok().map(drop),
                }
            }
            Answer::WebSocket { flow, script } => {
                head.skip_rest(&mut stream).await?;
                let key = derive_accept_key(head.field("sec-websocket-key")?.as_bytes());
                let flow = if flow { "x-tunnel-extensions: flow\r\n" } else { "" };
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n{flow}sec-websocket-accept: {key}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.ok()?;
                script(WebSocketStream::from_raw_socket(stream, Role::Server, None).await).await;
                return Some(());
            }
        }
    }
}
