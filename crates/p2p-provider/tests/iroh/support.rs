//! Peers on loopback, and the little that every test does with them.

use std::{future::Future, net::UdpSocket, time::Duration};

use bytes::Bytes;
use p2p_provider::{
    ConnectionConfig, ConnectionLimits, P2PConnection, P2PListener, P2PProvider, PeerAddr, PeerId, ReadError,
    RecvStream, SecretKey, SendStream,
    iroh::{IrohConfig, IrohConnection, IrohListener, IrohP2P, IrohRecvStream, IrohSendStream, peer_id},
};
use tokio::time::timeout;

/// The protocol of all tests.
pub(crate) const PROTOCOL: &[u8] = b"provider-test/1";

/// Limits that no test reaches by accident.
pub(crate) const ROOMY: ConnectionLimits =
    ConnectionLimits { bidi_streams: 256, uni_streams: 256, receive_window: 64 << 20 };

/// Long enough for something to happen that must not happen.
const A_WHILE: Duration = Duration::from_millis(300);

/// What is slower than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must happen.
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    // Boxed, because some futures of the endpoint take over 20 KiB.
    let future = Box::pin(future);
    async { timeout(PATIENCE, future).await.expect("nothing happened for 30 s") }
}

/// Whether `future` is still pending after a while. It goes on where it was.
pub(crate) async fn waits<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    timeout(A_WHILE, future).await.is_err()
}

/// A peer on any port of 127.0.0.1.
pub(crate) async fn peer() -> IrohP2P {
    soon(IrohP2P::bind(IrohConfig::loopback(SecretKey::generate()))).await.expect("loopback can be bound")
}

/// Some peer that does not run.
pub(crate) fn stranger() -> PeerId {
    peer_id(&SecretKey::generate())
}

/// How every test connects.
pub(crate) fn dial() -> ConnectionConfig {
    ConnectionConfig::new(PROTOCOL)
}

/// The address of a peer that never answers, and the socket that keeps its port silent.
pub(crate) fn dead_peer() -> (PeerAddr, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("a bound socket");
    (PeerAddr { direct: vec![address], ..PeerAddr::new(stranger()) }, socket)
}

/// Two peers with a connection between them.
pub(crate) struct Pair {
    pub(crate) client: IrohP2P,
    pub(crate) server: IrohP2P,
    pub(crate) listener: IrohListener,
    pub(crate) dialled: IrohConnection,
    pub(crate) accepted: IrohConnection,
}

impl Pair {
    pub(crate) async fn new() -> Self {
        Self::of(peer().await, peer().await).await
    }

    pub(crate) async fn of(client: IrohP2P, server: IrohP2P) -> Self {
        let mut listener = server.listen(&[PROTOCOL]).await.expect("nobody listens yet");
        let (dialled, accepted) = connect(&client, &server.local_addr(), &mut listener).await;
        Self { client, server, listener, dialled, accepted }
    }

    /// One more connection between the two.
    pub(crate) async fn another(&mut self) -> (IrohConnection, IrohConnection) {
        connect(&self.client, &self.server.local_addr(), &mut self.listener).await
    }

    /// A stream from the client to the server on which nothing is under way.
    pub(crate) async fn uni(&self) -> (IrohSendStream, IrohRecvStream) {
        uni(&self.dialled, &self.accepted).await
    }
}

/// Both ends of a new connection.
pub(crate) async fn connect(
    client: &IrohP2P,
    server: &PeerAddr,
    listener: &mut IrohListener,
) -> (IrohConnection, IrohConnection) {
    let config = dial();
    let (dialled, accepted) = soon(async { tokio::join!(client.connect(server, &config), listener.accept()) }).await;
    (dialled.expect("the server listens"), accepted.expect("the server is open"))
}

/// A one-way stream between the two ends of a connection, on which nothing is under way.
pub(crate) async fn uni(from: &IrohConnection, to: &IrohConnection) -> (IrohSendStream, IrohRecvStream) {
    let mut send = soon(from.open_uni()).await.expect("the connection is open");
    write(&mut send, b".").await;
    let mut recv = soon(to.accept_uni()).await.expect("the connection is open");
    let mut first = [Bytes::new()];
    soon(recv.read_chunks(&mut first)).await.expect("the stream is open");
    assert_eq!(first[0], ".");
    (send, recv)
}

pub(crate) async fn write(stream: &mut IrohSendStream, bytes: &'static [u8]) {
    soon(stream.write_chunks(&mut [Bytes::from_static(bytes)])).await.expect("the stream is open");
}

/// Everything up to the end of the stream.
pub(crate) async fn read_to_end(stream: &mut IrohRecvStream) -> Result<Vec<u8>, ReadError> {
    let mut all = Vec::new();
    loop {
        let mut chunks = [const { Bytes::new() }; 16];
        let Some(count) = soon(stream.read_chunks(&mut chunks)).await? else { return Ok(all) };
        all.extend(chunks[..count].concat());
    }
}

/// Asks on one side and answers on the other: what a working connection can do.
pub(crate) async fn echo(from: &IrohConnection, to: &IrohConnection) {
    let ask = async {
        let (mut send, mut recv) = from.open_bi().await.expect("the connection is open");
        write(&mut send, b"question").await;
        send.finish();
        assert_eq!(read_to_end(&mut recv).await.expect("an answer"), b"question, answer");
    };
    let answer = async {
        let (mut send, mut recv) = to.accept_bi().await.expect("the connection is open");
        let mut question = read_to_end(&mut recv).await.expect("a question");
        question.extend_from_slice(b", answer");
        send.write_chunks(&mut [question.into()]).await.expect("somebody reads");
        send.finish();
        // A finish that nobody waits for may be lost with the connection.
        send.stopped().await;
    };
    soon(async { tokio::join!(ask, answer) }).await;
}
