//! Two peers exchange messages and a stream: `cargo run --release -p p2p-provider --example basic`.
//!
//! Both live in this process, on loopback. In two processes nothing changes but how the address of one reaches the other.
#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::{error::Error, time::Duration};

use bytes::Bytes;
use p2p_provider::{
    ConnectionConfig, P2PConnection, P2PListener, P2PProvider, PeerAddr, ReadError, RecvStream, SecretKey, SendStream,
    iroh::{IrohConfig, IrohListener, IrohP2P},
};
use tokio::time::timeout;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Peers that speak different protocols do not connect: the name is part of the handshake (the TLS ALPN).
const PROTOCOL: &[u8] = b"example/basic/1";

/// What the stream carries.
const STREAM_BYTES: usize = 1 << 20;

/// Nothing here takes a second; an example that hangs teaches nothing.
const PATIENCE: Duration = Duration::from_secs(30);

// One thread: packets and streams are handled without a hand-over between threads.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    timeout(PATIENCE, run()).await?
}

async fn run() -> Result<()> {
    // A peer is a key. Whoever has the secret key is this peer; its public half is the id by which others know it.
    let server = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
    let client = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
    println!("server is peer {}", server.local_peer_id());
    println!("client is peer {}", client.local_peer_id());

    // Connections are taken from here on. What the client needs is the id and the addresses of the server, and in the real
    // world those travel in a link, a QR code or a configuration file.
    let listener = server.listen(&[PROTOCOL]).await?;
    let address = server.local_addr();

    tokio::try_join!(serve(listener), ask(&client, &address))?;

    // Closing tells the other side, which then need not wait for a timeout.
    client.close().await;
    server.close().await;
    println!("done");
    Ok(())
}

/// The side that is called.
async fn serve(mut listener: IrohListener) -> Result<()> {
    let connection = listener.accept().await.ok_or("the listener was closed")?;
    // Who calls is known for certain: the handshake has proved that it has the key.
    println!("server: {} has connected", connection.peer_info().id.short());

    // Messages are whole and in order; each side has its own direction.
    let mut messages = connection.messages();
    while let Some(message) = messages.recv().await? {
        let text = String::from_utf8_lossy(&message);
        println!("server: got {text:?}");
        messages.send(format!("{text} yourself").into()).await?;
    }
    messages.finish().await?;

    // A stream is bytes, as many as you like. The reader sets the pace: a writer waits while nobody reads.
    let (mut send, mut receive) = connection.accept_bi().await?;
    let received = read_to_end(&mut receive).await?;
    println!("server: got a stream of {} bytes", received.len());
    send.write_chunks(&mut [received]).await?;
    // Without this the other side sees an error: a stream that was not finished is never taken for a short one.
    send.finish();

    // What was written is delivered even if this function ends now, as long as the connection is kept until the client
    // has it: so it is the client who says good-bye.
    println!("server: connection is over: {}", connection.closed().await);
    Ok(())
}

/// The side that calls.
async fn ask(peer: &IrohP2P, server: &PeerAddr) -> Result<()> {
    let connection = peer.connect(server, &ConnectionConfig::new(PROTOCOL)).await?;
    // Had somebody else answered at that address, connecting would have failed.
    assert_eq!(connection.peer_info().id, server.id);
    println!("client: connected, the path is {:?}", connection.path_kind());

    let mut messages = connection.messages();
    for text in ["hello", "how are you"] {
        messages.send(text.into()).await?;
        let answer = messages.recv().await?.ok_or("the server has finished too early")?;
        println!("client: got {:?}", String::from_utf8_lossy(&answer));
        assert_eq!(answer, format!("{text} yourself"));
    }
    messages.finish().await?;
    assert_eq!(messages.recv().await?, None, "the server finishes, too");

    let (mut send, mut receive) = connection.open_bi().await?;
    let content: Bytes = (0..=250).cycle().take(STREAM_BYTES).collect();
    // Both directions at once: whoever only writes, and reads later, may wait for a reader who does the same.
    let write = async {
        send.write_chunks(&mut [content.clone()]).await?;
        send.finish();
        Result::Ok(())
    };
    let read = async { Ok(read_to_end(&mut receive).await?) };
    let ((), echoed) = tokio::try_join!(write, read)?;
    println!("client: got {} bytes back", echoed.len());
    assert_eq!(echoed, content, "every byte is the same");

    connection.close(0, "thank you");
    Ok(())
}

/// Everything up to the end of a stream, which has no more than was sent. For what a stranger sends, set a limit.
async fn read_to_end(stream: &mut impl RecvStream) -> std::result::Result<Bytes, ReadError> {
    let mut received = Vec::with_capacity(STREAM_BYTES);
    let mut pieces = [const { Bytes::new() }; 16];
    while let Some(count) = stream.read_chunks(&mut pieces).await? {
        pieces[..count].iter().for_each(|piece| received.extend_from_slice(piece));
    }
    Ok(received.into())
}
