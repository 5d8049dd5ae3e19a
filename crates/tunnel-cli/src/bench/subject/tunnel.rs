//! The tunnel's own client and host, in this process.

use std::sync::Arc;

use anyhow::{Result, ensure};
use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use tunnel_core::{Request, Transport};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, TicketSecret};

use super::{Exchange, Subject};
use crate::bench::load::{self, InMemory};

/// A host with a handler in memory, and its client.
#[derive(Clone)]
pub(in crate::bench) struct Tunnel {
    client: Client<IrohP2P>,
    peers: [IrohP2P; 2],
    _host: Arc<Host<IrohP2P>>,
}

impl Tunnel {
    /// Connects a client and a host of this process. Dropping the future undoes it.
    pub(in crate::bench) async fn start() -> Result<Self> {
        let home = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
        let host = Host::start(home.clone(), Arc::new(InMemory), HostConfig::new(TicketSecret::generate())).await?;
        let away = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
        let client = Client::start(away.clone(), host.ticket(), ClientConfig::default());
        client.connected().await?;
        Ok(Self { client, peers: [home, away], _host: Arc::new(host) })
    }

    /// Closes client and host. Dropping the future leaves that to the end of the process.
    pub(in crate::bench) async fn close(&self) {
        self.client.close();
        for peer in &self.peers {
            peer.close().await;
        }
    }
}

impl Subject for Tunnel {
    async fn exchange(&self, exchange: Exchange) -> Result<()> {
        let request = http::Request::post(format!("/{}", exchange.received)).body(())?;
        let request = Request::http(0, request.into_parts().0, load::body(exchange.sent));
        let response = self.client.send(request).await.map_err(|error| error.failure().clone())?;
        ensure!(response.status.is_success(), "the answer is {}", response.status);
        let received = load::read(response.body).await?;
        ensure!(received == exchange.received, "{received} bytes came instead of {}", exchange.received);
        Ok(())
    }
}
