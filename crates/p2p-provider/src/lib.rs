//! Peers and streams: the little that a tunnel needs of a peer-to-peer network.
//!
//! A [`P2PProvider`] is one peer. It [connects](P2PProvider::connect) to other peers and [listens](P2PProvider::listen)
//! for them; either way the result is a [`P2PConnection`], on which both sides open streams. Every connection is
//! authenticated: the [`PeerId`] of the other side is its public key, checked before the first byte.
//!
//! Backends are values, not build flags: code that is generic over [`P2PProvider`] runs on any of them.
//! The feature `iroh` (default) brings [`iroh::IrohP2P`]: QUIC over UDP, with NAT traversal and relays.
//! The feature `simulator` brings [`simulator::SimP2P`]: a network in memory, in virtual time, for tests.
//!
//! # What every backend guarantees
//!
//! - Streams are independent: a reader that stops reading one of them slows its writer and nobody else, as long as
//!   the writer keeps at most [`UNREAD_CHUNKS_MAX`] small writes unread on it.
//! - The end of a stream is explicit. Dropping a [`SendStream`] that was not [finished](SendStream::finish) resets it,
//!   so the reader sees an error and never a short stream.
//! - A dead peer is noticed: [`P2PConnection::closed`] resolves within the idle timeout.
//!
//! # Not goals
//!
//! Datagrams, multicast, a peer directory, and anything that knows what travels in the streams.
//!
//! # Example
//!
//! ```
//! use p2p_provider::{
//!     ConnectionConfig, P2PConnection, P2PListener, P2PProvider, SecretKey,
//!     iroh::{IrohConfig, IrohP2P},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const PROTOCOL: &[u8] = b"example/1";
//! let server = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
//! let client = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
//!
//! let mut listener = server.listen(&[PROTOCOL]).await?;
//! let (address, config) = (server.local_addr(), ConnectionConfig::new(PROTOCOL));
//! let (dialled, accepted) = tokio::join!(client.connect(&address, &config), listener.accept());
//! let (dialled, accepted) = (dialled?, accepted.ok_or("listener closed")?);
//!
//! let mut to_server = dialled.messages();
//! let mut from_client = accepted.messages();
//! to_server.send("hello".into()).await?;
//! assert_eq!(from_client.recv().await?.as_deref(), Some(&b"hello"[..]));
//!
//! client.close().await;
//! server.close().await;
//! # Ok(())
//! # }
//! ```

mod connection;
mod error;
#[cfg(feature = "iroh")]
pub mod iroh;
pub mod key_file;
mod message;
mod network_changes;
mod peer;
mod provider;
#[cfg(feature = "simulator")]
pub mod simulator;

pub use connection::{
    ConnectionInfo, ConnectionLimits, ConnectionState, Direction, P2PConnection, Path, PathKind, RecvStream,
    SendStream, UNREAD_CHUNKS_MAX,
};
pub use error::{CloseReason, P2PError, ReadError, WriteError};
pub use key_file::KeyFileError;
pub use message::{MESSAGE_BYTES_MAX, MessageError, Messages};
pub use network_changes::NetworkChanges;
pub use peer::{ParsePeerIdError, PeerAddr, PeerId, PeerInfo, SecretKey};
pub use provider::{ConnectionConfig, P2PListener, P2PProvider};
