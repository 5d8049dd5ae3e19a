//! Two peers, and the little that every case does with them.

use bytes::Bytes;
use p2p_provider::{
    ConnectionConfig, ConnectionLimits, P2PConnection, P2PError, P2PListener, P2PProvider, PeerAddr, ReadError,
    RecvStream, SendStream,
};

use super::patience::soon;
use crate::backend::PeerBackend;

/// The protocol of all cases.
pub(super) const PROTOCOL: &[u8] = b"peer-case/1";

/// What a connection starts with, because at that time nobody has said who the peer is.
pub(super) const STRANGER: ConnectionLimits =
    ConnectionLimits { bidi_streams: 64, uni_streams: 8, receive_window: 256 << 10 };

/// Limits that no case reaches by accident.
pub(super) const ROOMY: ConnectionLimits =
    ConnectionLimits { bidi_streams: 256, uni_streams: 256, receive_window: 64 << 20 };

/// The sending half of a connection's streams.
pub(super) type Sending<C> = <C as P2PConnection>::SendStream;

/// The receiving half of a connection's streams.
pub(super) type Receiving<C> = <C as P2PConnection>::RecvStream;

/// How every case connects.
pub(super) fn dial() -> ConnectionConfig {
    ConnectionConfig::new(PROTOCOL)
}

/// Two peers with a connection between them.
pub(super) struct Pair<P: P2PProvider> {
    pub(super) client: P,
    pub(super) server: P,
    pub(super) listener: P::Listener,
    pub(super) dialled: P::Connection,
    pub(super) accepted: P::Connection,
}

impl<P: P2PProvider> Pair<P> {
    pub(super) async fn new<B: PeerBackend<Provider = P>>(backend: &B) -> Self {
        let (client, server) = (soon(backend.peer()).await, soon(backend.peer()).await);
        let mut listener = server.listen(&[PROTOCOL]).await.expect("nobody listens yet");
        let (dialled, accepted) = connect(&client, &server.local_addr(), &mut listener).await;
        Self { client, server, listener, dialled, accepted }
    }

    /// One more connection between the two.
    pub(super) async fn another(&mut self) -> (P::Connection, P::Connection) {
        connect(&self.client, &self.server.local_addr(), &mut self.listener).await
    }

    /// A stream from the client to the server on which nothing is under way.
    pub(super) async fn uni(&self) -> (Sending<P::Connection>, Receiving<P::Connection>) {
        uni(&self.dialled, &self.accepted).await
    }
}

/// A peer that listens.
pub(super) async fn listening<B: PeerBackend>(backend: &B) -> (B::Provider, <B::Provider as P2PProvider>::Listener) {
    let peer = soon(backend.peer()).await;
    let listener = soon(peer.listen(&[PROTOCOL])).await.expect("nobody listens yet");
    (peer, listener)
}

/// Both ends of a new connection.
pub(super) async fn connect<P: P2PProvider>(
    client: &P,
    server: &PeerAddr,
    listener: &mut P::Listener,
) -> (P::Connection, P::Connection) {
    let config = dial();
    let (dialled, accepted) = soon(async { tokio::join!(client.connect(server, &config), listener.accept()) }).await;
    (dialled.expect("the server listens"), accepted.expect("the server is open"))
}

/// Why a dial fails, while the peer that it does not reach goes on listening.
pub(super) async fn refusal<P: P2PProvider>(
    client: &P,
    address: &PeerAddr,
    config: &ConnectionConfig,
    listener: &mut P::Listener,
) -> P2PError {
    soon(async {
        tokio::select! {
            biased;
            _ = listener.accept() => panic!("a connection came of it"),
            dialled = client.connect(address, config) => dialled.err().expect("the dial fails"),
        }
    })
    .await
}

/// A one-way stream between the two ends of a connection, on which nothing is under way.
pub(super) async fn uni<C: P2PConnection>(from: &C, to: &C) -> (Sending<C>, Receiving<C>) {
    let mut send = soon(from.open_uni()).await.expect("the connection is open");
    write(&mut send, b".").await;
    let mut recv = soon(to.accept_uni()).await.expect("the connection is open");
    read_one(&mut recv, b".").await;
    (send, recv)
}

/// A stream in both directions, on which nothing is under way: the opener's halves, then the other side's.
pub(super) async fn bi<C: P2PConnection>(from: &C, to: &C) -> ((Sending<C>, Receiving<C>), (Sending<C>, Receiving<C>)) {
    let (mut send, recv) = soon(from.open_bi()).await.expect("the connection is open");
    write(&mut send, b".").await;
    let (other_send, mut other_recv) = soon(to.accept_bi()).await.expect("the connection is open");
    read_one(&mut other_recv, b".").await;
    ((send, recv), (other_send, other_recv))
}

pub(super) async fn write(stream: &mut impl SendStream, bytes: &'static [u8]) {
    soon(stream.write_chunks(&mut [Bytes::from_static(bytes)])).await.expect("the stream is open");
}

/// Reads exactly this, in however many pieces it comes.
pub(super) async fn read_one(stream: &mut impl RecvStream, expected: &'static [u8]) {
    let mut read = Vec::new();
    // The pieces say nothing about how the peer wrote them.
    while read.len() < expected.len() {
        let mut piece = [Bytes::new()];
        soon(stream.read_chunks(&mut piece)).await.expect("the stream is open").expect("the stream goes on");
        read.extend_from_slice(&piece[0]);
    }
    assert_eq!(read, expected);
}

/// Everything up to the end of the stream.
pub(super) async fn read_to_end(stream: &mut impl RecvStream) -> Result<Vec<u8>, ReadError> {
    let mut all = Vec::new();
    loop {
        let mut chunks = [const { Bytes::new() }; 16];
        let Some(count) = soon(stream.read_chunks(&mut chunks)).await? else { return Ok(all) };
        all.extend(chunks[..count].concat());
    }
}

/// Asks on one side and answers on the other: what a working connection can do.
pub(super) async fn echo<C: P2PConnection>(from: &C, to: &C) {
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
