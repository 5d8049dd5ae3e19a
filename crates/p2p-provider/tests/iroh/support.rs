//! Peers on loopback, and the little that every test does with them.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use p2p_provider::{
    ConnectionConfig, P2PConnection, P2PListener, P2PProvider, PeerAddr, ReadError, RecvStream, SecretKey, SendStream,
    iroh::{IrohConfig, IrohConnection, IrohListener, IrohP2P, IrohRecvStream, IrohSendStream},
};
use tokio::time::timeout;

/// The protocol of all tests.
pub(crate) const PROTOCOL: &[u8] = b"provider-test/1";

/// What is slower than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must happen.
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    // Boxed, because some futures of the endpoint take over 20 KiB.
    let future = Box::pin(future);
    async { timeout(PATIENCE, future).await.expect("nothing happened for 30 s") }
}

/// A peer on any port of 127.0.0.1.
pub(crate) async fn peer() -> IrohP2P {
    soon(IrohP2P::bind(IrohConfig::loopback(SecretKey::generate()))).await.expect("loopback can be bound")
}

/// How every test connects.
pub(crate) fn dial() -> ConnectionConfig {
    ConnectionConfig::new(PROTOCOL)
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

async fn write(stream: &mut IrohSendStream, bytes: &'static [u8]) {
    soon(stream.write_chunks(&mut [Bytes::from_static(bytes)])).await.expect("the stream is open");
}

/// Everything up to the end of the stream.
async fn read_to_end(stream: &mut IrohRecvStream) -> Result<Vec<u8>, ReadError> {
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
