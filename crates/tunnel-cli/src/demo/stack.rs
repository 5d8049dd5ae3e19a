//! Service, host and gateway.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use compat_tests::demo_service;
use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tunnel_edge::{Gateway, GatewayConfig, LocalService, Profile, ServiceConfig, ServiceTarget};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, Ticket, TicketSecret};

use super::part::{Part, Ready};
use crate::{error::CliError, p2p, state::StateDir};

/// How long the parts may take to end: nothing is under way when they are told to.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The whole tunnel on this machine. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Stack {
    /// Where the gateway listens.
    pub(super) gateway: SocketAddr,
    /// Where the service listens.
    pub(super) service: SocketAddr,
    /// The host's ticket.
    pub(super) ticket: Ticket,
    state: StateDir,
    host: Option<Part>,
    others: Vec<Part>,
}

impl Stack {
    /// Starts everything; keys go to `directory`. Dropping the future stops what has started.
    pub(super) async fn start(directory: &Path) -> Result<Self, CliError> {
        let (service_part, service) = Part::start("service", run_service).await?;
        let state = StateDir::new(Some(directory.to_owned()))?;
        let (host, ticket) = start_host(service, state.clone(), 0).await?;
        let of = ticket.clone();
        let (gateway_part, gateway) = Part::start("gateway", move |ready, stop| run_gateway(of, ready, stop)).await?;
        Ok(Self { gateway, service, ticket, state, host: Some(host), others: vec![gateway_part, service_part] })
    }

    /// Cuts the peer-to-peer way: the host's connections are closed at once, with all that is under way on them, and its
    /// socket too.
    pub(super) async fn cut_host(&mut self) {
        if let Some(host) = self.host.take() {
            host.end().await;
        }
    }

    /// Starts the host again: the same key, the same port.
    pub(super) async fn restore_host(&mut self) -> Result<(), CliError> {
        let port = self.ticket.host.direct.first().map_or(0, SocketAddr::port);
        let (host, _) = start_host(self.service, self.state.clone(), port).await?;
        self.host = Some(host);
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for part in self.others.iter().chain(&self.host) {
            part.tell();
        }
    }
}

/// A host of the service, as it is put on both ways.
pub(super) fn local_service(service: SocketAddr) -> Result<LocalService, CliError> {
    let text = format!("http://{service}");
    let target: ServiceTarget =
        text.parse().map_err(|error| CliError::failed("the demo's own address").because(anyhow::Error::new(error)))?;
    let mut config = ServiceConfig::new(target);
    config.profile = Profile::Plain;
    LocalService::new(config).map_err(|error| CliError::failed("the demo's settings").because(error))
}

/// The settings of a gateway on any free port.
#[expect(clippy::field_reassign_with_default, reason = "reads better than a struct with all the rest behind it")]
pub(super) fn gateway_config() -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.listen = ([127, 0, 0, 1], 0).into();
    config.profile = Profile::Plain;
    config.drain_timeout = DRAIN_TIMEOUT;
    config
}

async fn run_service(ready: Ready<SocketAddr>, stop: CancellationToken) -> Result<(), CliError> {
    let failed = |error| CliError::start("the demo service did not start").because(anyhow::Error::new(error));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    _ = ready.send(listener.local_addr().map_err(failed)?);
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        result = demo_service::serve(listener) => result.map_err(failed),
    }
}

async fn start_host(service: SocketAddr, state: StateDir, port: u16) -> Result<(Part, Ticket), CliError> {
    Part::start("host", move |ready, stop| run_host(service, state, port, ready, stop)).await
}

async fn run_host(
    service: SocketAddr,
    state: StateDir,
    port: u16,
    ready: Ready<Ticket>,
    stop: CancellationToken,
) -> Result<(), CliError> {
    let service = local_service(service)?;
    let mut peer = IrohConfig::loopback(state.key_or_create()?);
    for address in &mut peer.bind {
        address.set_port(port);
    }
    let provider = p2p::bind(peer).await?;
    let secret = TicketSecret::from(state.secret_or_create()?);
    let host = Host::start(provider.clone(), Arc::new(service), HostConfig::new(secret))
        .await
        .map_err(|error| CliError::start("the host did not start").because(error))?;
    _ = ready.send(host.ticket());
    stop.cancelled().await;
    drop(host);
    provider.close().await;
    Ok(())
}

async fn run_gateway(ticket: Ticket, ready: Ready<SocketAddr>, stop: CancellationToken) -> Result<(), CliError> {
    let provider: IrohP2P = p2p::bind(IrohConfig::loopback(SecretKey::generate())).await?;
    let client = Client::start(provider.clone(), ticket, ClientConfig::default());
    let gateway = Gateway::bind(gateway_config(), Arc::new(client.clone()))
        .await
        .map_err(|error| CliError::start("the gateway did not start").because(error))?;
    _ = ready.send(gateway.local_addr());
    gateway.run(stop).await;
    client.close();
    provider.close().await;
    Ok(())
}
