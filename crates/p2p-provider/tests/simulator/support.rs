//! Two nodes and what tests do with them.

use std::time::Duration;

use bytes::Bytes;
use p2p_provider::{
    ConnectionConfig, ConnectionLimits, P2PConnection, P2PListener, P2PProvider, ReadError, RecvStream, SendStream,
    simulator::{SimConnection, SimListener, SimNetwork, SimNode, SimP2P, SimPeerConfig, SimRecvStream},
};
use tokio::time::{Instant, timeout};

pub(crate) const PROTOCOL: &[u8] = b"simulator-test/1";

/// Limits that no test reaches by accident.
pub(crate) const ROOMY: ConnectionLimits =
    ConnectionLimits { bidi_streams: 256, uni_streams: 256, receive_window: 64 << 20 };

/// What takes longer, in virtual time, hangs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_mins(10), future).await.expect("nothing happened for 10 minutes")
}

/// A peer at home, a peer away, and a connection between them.
pub(crate) struct Pair {
    pub(crate) home: SimNode,
    pub(crate) away: SimNode,
    pub(crate) server: SimP2P,
    pub(crate) client: SimP2P,
    pub(crate) listener: SimListener,
    pub(crate) dialled: SimConnection,
    pub(crate) accepted: SimConnection,
}

impl Pair {
    pub(crate) async fn new(network: &SimNetwork) -> Self {
        let (home, away) = (network.node("home"), network.node("away"));
        let server = home.peer(SimPeerConfig::default()).expect("the node runs");
        let client = away.peer(SimPeerConfig::default()).expect("the node runs");
        let mut listener = server.listen(&[PROTOCOL]).await.expect("nobody listens yet");
        let (address, config) = (server.local_addr(), ConnectionConfig::new(PROTOCOL));
        let (dialled, accepted) =
            soon(async { tokio::join!(client.connect(&address, &config), listener.accept()) }).await;
        let (dialled, accepted) = (dialled.expect("somebody listens"), accepted.expect("the server is open"));
        dialled.set_limits(ROOMY);
        accepted.set_limits(ROOMY);
        Self { home, away, server, client, listener, dialled, accepted }
    }

    /// Asks and answers over a new stream; returns how long that took.
    pub(crate) async fn echo(&self) -> Duration {
        let start = Instant::now();
        let ask = async {
            let (mut send, mut recv) = self.dialled.open_bi().await.expect("open");
            send.write_chunks(&mut [Bytes::from_static(b"question")]).await.expect("open");
            send.finish();
            assert_eq!(read_to_end(&mut recv).await.expect("an answer"), b"answer");
        };
        let answer = async {
            let (mut send, mut recv) = self.accepted.accept_bi().await.expect("open");
            assert_eq!(read_to_end(&mut recv).await.expect("a question"), b"question");
            send.write_chunks(&mut [Bytes::from_static(b"answer")]).await.expect("open");
            send.finish();
            send.stopped().await;
        };
        soon(async { tokio::join!(ask, answer) }).await;
        start.elapsed()
    }

    /// Sends so many bytes from away to home, over a new stream; returns how long they took to arrive.
    pub(crate) async fn send(&self, bytes: usize) -> Duration {
        let start = Instant::now();
        let writing = async {
            let mut send = self.dialled.open_uni().await.expect("open");
            send.write_chunks(&mut [Bytes::from(vec![7; bytes])]).await.expect("open");
            send.finish();
        };
        let reading = async {
            let mut recv = self.accepted.accept_uni().await.expect("open");
            assert_eq!(read_to_end(&mut recv).await.expect("all of it").len(), bytes);
        };
        soon(async { tokio::join!(writing, reading) }).await;
        start.elapsed()
    }
}

pub(crate) async fn read_to_end(stream: &mut SimRecvStream) -> Result<Vec<u8>, ReadError> {
    let mut all = Vec::new();
    loop {
        let mut chunks = [const { Bytes::new() }; 16];
        let Some(count) = stream.read_chunks(&mut chunks).await? else { return Ok(all) };
        all.extend(chunks[..count].concat());
    }
}
