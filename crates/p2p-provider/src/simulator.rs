//! Peers in a simulated network: virtual time, seeded chance, faults to order.
//!
//! [`run`] makes a network and a runtime whose clock is virtual. In it, [nodes](SimNode) run [peers](SimP2P), which
//! implement the same traits as those of the Iroh backend and are held to the same compatibility suite; byte streams as
//! TCP has them ([`SimTcpStream`]); and sockets for datagrams ([`SimSocket`]).
//!
//! Links have [`Conditions`]. [Faults](Fault) are rules that see every packet until they are dropped: partitions, stalls,
//! a relay that is out, dials that fail, links that turn slow. Nodes crash, start again and move.
//!
//! Two runs with the same seed are equal to the last byte of their trace, in any process and any build, as long as the
//! code that runs in them takes time from tokio and chance from seeds.
//!
//! # What is simulated, and what is not
//!
//! Streams, their windows, limits, ends, codes and orders, idle timeouts, paths and their changes are those of QUIC as
//! noq and Iroh have it, down to the habit of closing a connection on which too many small pieces lie unread. Packets are
//! batches of up to 16 KiB; acknowledgements, congestion control, encryption and key exchange are not simulated.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use p2p_provider::{
//!     CloseReason, ConnectionConfig, P2PConnection, P2PListener, P2PProvider,
//!     simulator::{Conditions, SimPeerConfig, run},
//! };
//!
//! let trace = run(42, async |network| {
//!     network.set_conditions(Conditions::new(Duration::from_millis(50)).loss(0.01));
//!     let (home, away) = (network.node("home"), network.node("away"));
//!     let server = home.peer(SimPeerConfig::default())?;
//!     let client = away.peer(SimPeerConfig::default())?;
//!
//!     let mut listener = server.listen(&[b"example/1"]).await?;
//!     let (address, config) = (server.local_addr(), ConnectionConfig::new(b"example/1"));
//!     let (dialled, accepted) = tokio::join!(client.connect(&address, &config), listener.accept());
//!     let (dialled, _accepted) = (dialled?, accepted.ok_or("closed")?);
//!
//!     let _fault = network.isolate(&home);
//!     assert_eq!(dialled.closed().await, CloseReason::TimedOut);
//!     Ok::<_, Box<dyn std::error::Error>>(network.trace())
//! })?;
//! assert!(trace.events > 0);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod conditions;
mod connection;
mod network;
mod news;
mod peer;
mod rule;
mod runtime;
mod shared;
mod socket;
mod stream;
mod tcp;
mod trace;
mod world;

pub use self::{
    conditions::Conditions,
    connection::SimConnection,
    network::{SimNetwork, SimNode, SimUsage},
    peer::{SimListener, SimP2P, SimPeerConfig},
    rule::{Fault, Packet, PacketClass, Verdict},
    runtime::run,
    socket::SimSocket,
    stream::{SimRecvStream, SimSendStream},
    tcp::{SimTcpListener, SimTcpStream},
    trace::{Event, TraceSummary},
    world::Nat,
};
