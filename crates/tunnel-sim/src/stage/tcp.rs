//! Ports for the edges: what the simulated network gives them instead of TCP.

use std::{io, net::SocketAddr};

use p2p_provider::simulator::{SimNode, SimTcpListener, SimTcpStream};
use tunnel_edge::Listener;

/// A port on which a node listens.
pub(super) struct Port {
    listener: SimTcpListener,
    address: SocketAddr,
}

impl Port {
    pub(super) fn open(node: &SimNode, port: u16) -> io::Result<Self> {
        Ok(Self { listener: node.listen_tcp(port)?, address: node.address(port) })
    }
}

impl Listener for Port {
    type Io = SimTcpStream;

    async fn accept(&mut self) -> io::Result<(SimTcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
