//! Where cases run that need more than peers: on real sockets, or in a simulated network.

mod real;
mod simulated;

use std::{future::Future, io, net::SocketAddr};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tunnel_legacy::server::Listener;

pub use self::{
    real::{Real, RealIo, RealMachine, RealPort},
    simulated::{SimMachine, SimPort, Simulated},
};
use super::PeerBackend;

/// One run of one case: its peers, and machines with byte streams between them.
pub trait World: Clone + Send + Sync + 'static {
    /// Whether waiting takes no real time, so that times can be measured.
    const TIME_IS_VIRTUAL: bool;
    /// Its peers.
    type Peers: PeerBackend;
    /// Its machines.
    type Machine: Machine;

    /// Runs a case to its end, and panics if the case does.
    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>;

    /// The backend whose peers live in this world.
    fn peers(&self) -> &Self::Peers;

    /// A new machine, on which one process runs.
    fn machine(&self, name: &str) -> Self::Machine;
}

/// A machine with one process, and with one port that others can reach. Clones share it.
pub trait Machine: Clone + Send + Sync + 'static {
    /// A byte stream, as TCP has them.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Accepts byte streams.
    type Port: Listener<Io = Self::Io>;

    /// Opens the port.
    fn listen(&self) -> impl Future<Output = io::Result<Self::Port>> + Send;

    /// The address of the port: the same for the whole life of the machine, once it has listened.
    fn address(&self) -> SocketAddr;

    /// Opens a byte stream.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Self::Io>>;

    /// Ends the process without a word, as SIGKILL does: the system closes all of its byte streams. What belonged to the
    /// process only reports errors from now on; the caller drops it.
    fn crash(&self);

    /// Starts the process of a machine that has crashed.
    fn start(&self);
}
