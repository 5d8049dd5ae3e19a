//! Machines in a simulated network.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::future::BoxFuture;
use p2p_provider::simulator::{SimNetwork, SimNode, SimTcpListener, SimTcpStream};
use tunnel_legacy::server::Listener;

use super::{Machine, World};
use crate::backend::simulator::{SimBackend, run_with_seeds};

/// The only port of a machine.
const PORT: u16 = 80;

/// A simulated network.
#[derive(Clone)]
pub struct Simulated {
    network: SimNetwork,
    peers: SimBackend,
    machines: Arc<AtomicUsize>,
}

impl World for Simulated {
    const TIME_IS_VIRTUAL: bool = true;
    type Peers = SimBackend;
    type Machine = SimMachine;

    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>,
    {
        run_with_seeds(name, |network| {
            let peers = SimBackend::new(network.clone());
            case(Self { network, peers, machines: Arc::default() })
        });
    }

    fn peers(&self) -> &SimBackend {
        &self.peers
    }

    fn machine(&self, name: &str) -> SimMachine {
        let number = self.machines.fetch_add(1, Ordering::Relaxed);
        SimMachine { node: self.network.node(&format!("{name}{number}")) }
    }
}

/// A node.
#[derive(Clone)]
pub struct SimMachine {
    node: SimNode,
}

impl Machine for SimMachine {
    type Io = SimTcpStream;
    type Port = SimPort;

    async fn listen(&self) -> io::Result<SimPort> {
        Ok(SimPort { listener: self.node.listen_tcp(PORT)?, address: self.address() })
    }

    fn address(&self) -> SocketAddr {
        self.node.address(PORT)
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<SimTcpStream>> {
        let node = self.node.clone();
        Box::pin(async move { node.connect_tcp(to).await })
    }

    fn crash(&self) {
        self.node.crash();
    }

    fn start(&self) {
        self.node.start();
    }
}

/// The port of a [`SimMachine`].
pub struct SimPort {
    listener: SimTcpListener,
    address: SocketAddr,
}

impl Listener for SimPort {
    type Io = SimTcpStream;

    async fn accept(&mut self) -> io::Result<(SimTcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
