//! Streams of the provider without anything on top: what the tunnel could reach at best.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use p2p_provider::{
    ConnectionConfig, ConnectionLimits, P2PConnection, P2PListener, P2PProvider, RecvStream, SecretKey, SendStream,
    iroh::{IrohConfig, IrohConnection, IrohP2P, IrohRecvStream, IrohSendStream},
};
use tokio::task::JoinSet;

use super::{Exchange, Subject};
use crate::bench::load::Pieces;

const PROTOCOL: &[u8] = b"tunnel-p2p-bench/1";

/// As the tunnel sets them for authorized peers.
const LIMITS: ConnectionLimits = ConnectionLimits { bidi_streams: 200, uni_streams: 200, receive_window: 256 << 20 };

/// Pieces per write: 1 MiB, about one stream window.
const WRITE_PIECES: usize = 16;

/// Pieces per read.
const READ_PIECES: usize = 32;

/// Two peers in this process and one connection between them.
#[derive(Clone)]
pub(in crate::bench) struct Raw {
    connection: IrohConnection,
    far_side: Arc<FarSide>,
}

struct FarSide {
    peers: [IrohP2P; 2],
    _answering: JoinSet<()>,
}

impl Raw {
    /// Connects two peers of this process. Dropping the future undoes it.
    pub(in crate::bench) async fn start() -> Result<Self> {
        let server = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
        let client = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
        let mut listener = server.listen(&[PROTOCOL]).await?;
        let (address, config) = (server.local_addr(), ConnectionConfig::new(PROTOCOL));
        let (dialled, accepted) = tokio::join!(client.connect(&address, &config), listener.accept());
        let (connection, accepted) = (dialled?, accepted.context("the listener is closed")?);
        connection.set_limits(LIMITS);
        accepted.set_limits(LIMITS);
        let mut answering = JoinSet::new();
        answering.spawn(answer_all(accepted));
        Ok(Self { connection, far_side: Arc::new(FarSide { peers: [server, client], _answering: answering }) })
    }

    /// Closes both peers. Dropping the future leaves that to the end of the process.
    pub(in crate::bench) async fn close(&self) {
        for peer in &self.far_side.peers {
            peer.close().await;
        }
    }
}

impl Subject for Raw {
    async fn exchange(&self, exchange: Exchange) -> Result<()> {
        let (mut send, mut recv) = self.connection.open_bi().await?;
        let head = Bytes::copy_from_slice(&exchange.received.to_be_bytes());
        write(&mut send, [head].into_iter().chain(Pieces::new(exchange.sent))).await?;
        let received = read(&mut recv, &mut Vec::new()).await?;
        ensure!(received == exchange.received, "{received} bytes came instead of {}", exchange.received);
        Ok(())
    }
}

async fn answer_all(connection: IrohConnection) {
    let mut exchanges = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = exchanges.join_next(), if !exchanges.is_empty() => {}
            stream = connection.accept_bi() => match stream {
                // What goes wrong here is seen on the other side.
                Ok((send, recv)) => _ = exchanges.spawn(async move { answer(send, recv).await.is_ok() }),
                Err(_) => return,
            },
        }
    }
}

async fn answer(mut send: IrohSendStream, mut recv: IrohRecvStream) -> Result<()> {
    let mut head = Vec::with_capacity(8);
    read(&mut recv, &mut head).await?;
    let bytes = u64::from_be_bytes(head[..].try_into()?);
    write(&mut send, Pieces::new(bytes)).await
}

async fn write(stream: &mut IrohSendStream, mut pieces: impl Iterator<Item = Bytes> + Send) -> Result<()> {
    let mut batch = Vec::with_capacity(WRITE_PIECES);
    loop {
        batch.extend(pieces.by_ref().take(WRITE_PIECES));
        if batch.is_empty() {
            stream.finish();
            return Ok(());
        }
        stream.write_chunks(&mut batch).await?;
        batch.clear();
    }
}

/// Reads to the end, keeps the bytes that fit into `head`, and returns the length.
async fn read(stream: &mut IrohRecvStream, head: &mut Vec<u8>) -> Result<u64> {
    let mut bytes = 0;
    let mut chunks = [const { Bytes::new() }; READ_PIECES];
    while let Some(count) = stream.read_chunks(&mut chunks).await? {
        for chunk in &mut chunks[..count] {
            let room = head.capacity() - head.len();
            head.extend_from_slice(&chunk[..room.min(chunk.len())]);
            bytes += chunk.len() as u64;
            *chunk = Bytes::new();
        }
    }
    Ok(bytes)
}
