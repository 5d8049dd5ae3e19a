//! What the demo adds for the second way: a tunnel server, a host on it, and a gateway that has both.

use std::{net::SocketAddr, sync::Arc};

use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use tokio_util::sync::CancellationToken;
use tunnel_core::Transport;
use tunnel_edge::Gateway;
use tunnel_legacy::{
    AuthClient, LegacyClient, LegacyConfig, LegacyHost, LegacyHostConfig, TunnelUrl,
    server::{MemoryStorage, TunnelServer, TunnelServerConfig},
};
use tunnel_p2p::{Client, ClientConfig, Ticket};
use tunnel_router::{Router, RouterConfig};

use crate::{
    commands::system_clock,
    demo::{
        part::{Part, Ready},
        stack::{DRAIN_TIMEOUT, Stack, gateway_config, local_service},
    },
    error::CliError,
    p2p,
};

/// The home server's name at the tunnel server.
pub(super) const CLIENT_ID: &str = "demo-home";

/// The second way beside the first. Dropping it stops it.
pub(super) struct DualStack {
    /// Where the gateway listens that has both ways.
    pub(super) gateway: SocketAddr,
    /// What decides in it.
    pub(super) router: Router,
    /// Where the tunnel server listens.
    pub(super) tunnel: SocketAddr,
    parts: Vec<Part>,
}

impl DualStack {
    /// Starts it beside the first way. Dropping the future stops what has started.
    pub(super) async fn start(stack: &Stack) -> Result<Self, CliError> {
        let access_token = word();
        let (server, tunnel) = {
            let access_token = access_token.clone();
            Part::start("tunnel server", move |ready, stop| run_server(access_token, ready, stop)).await?
        };
        let url: TunnelUrl = format!("http://{tunnel}")
            .parse()
            .map_err(|error| CliError::failed("the demo's own tunnel server").because(anyhow::Error::new(error)))?;
        let service = stack.service;
        let (host, token) = {
            let url = url.clone();
            Part::start("host at the tunnel server", move |ready, stop| {
                run_host(service, url, access_token, ready, stop)
            })
            .await?
        };
        let ticket = stack.ticket.clone();
        let (gateway_part, (gateway, router)) =
            Part::start("gateway with two ways", move |ready, stop| run_gateway(ticket, url, token, ready, stop))
                .await?;
        Ok(Self { gateway, router, tunnel, parts: vec![gateway_part, host, server] })
    }
}

impl Drop for DualStack {
    fn drop(&mut self) {
        for part in &self.parts {
            part.tell();
        }
    }
}

/// A random word.
fn word() -> String {
    data_encoding::HEXLOWER.encode(&SecretKey::generate().to_bytes())
}

async fn run_server(access_token: String, ready: Ready<SocketAddr>, stop: CancellationToken) -> Result<(), CliError> {
    let config = TunnelServerConfig::new(access_token, system_clock()).with_listen(([127, 0, 0, 1], 0).into());
    let server = TunnelServer::bind(config, Arc::new(MemoryStorage::new()))
        .await
        .map_err(|error| CliError::start("the tunnel server did not start").because(error))?;
    _ = ready.send(server.local_addr());
    server.run(stop).await;
    Ok(())
}

async fn run_host(
    service: SocketAddr,
    url: TunnelUrl,
    access_token: String,
    ready: Ready<String>,
    stop: CancellationToken,
) -> Result<(), CliError> {
    let failed = |error: anyhow::Error| CliError::start("the host at the tunnel server did not start").because(error);
    let auth = AuthClient::new(url.clone()).map_err(|error| failed(error.into()))?;
    let token = auth.register(CLIENT_ID, &access_token).await.map_err(|failure| failed(failure.into()))?;
    let config = LegacyHostConfig::new(url, CLIENT_ID, token.clone());
    let host = LegacyHost::start(config, Arc::new(local_service(service)?)).map_err(|error| failed(error.into()))?;
    _ = ready.send(token);
    stop.cancelled().await;
    host.drain(DRAIN_TIMEOUT).await;
    Ok(())
}

async fn run_gateway(
    ticket: Ticket,
    url: TunnelUrl,
    token: String,
    ready: Ready<(SocketAddr, Router)>,
    stop: CancellationToken,
) -> Result<(), CliError> {
    let failed = |error: anyhow::Error| CliError::start("the gateway with two ways did not start").because(error);
    let provider: IrohP2P = p2p::bind(IrohConfig::loopback(SecretKey::generate())).await?;
    let client = Client::start(provider.clone(), ticket, ClientConfig::default());
    let mut config = LegacyConfig::new(url);
    config.client_id = Some(CLIENT_ID.to_owned());
    config.token = Some(token);
    let legacy = LegacyClient::new(config).map_err(|error| failed(error.into()))?;
    let p2p: Arc<dyn Transport> = Arc::new(client.clone());
    let router =
        Router::start(Some(p2p), Some(Arc::new(legacy)), router_config()).map_err(|error| failed(error.into()))?;
    let gateway =
        Gateway::bind(gateway_config(), Arc::new(router.clone())).await.map_err(|error| failed(error.into()))?;
    _ = ready.send((gateway.local_addr(), router));
    gateway.run(stop).await;
    client.close();
    provider.close().await;
    Ok(())
}

/// As in every gateway, but for the name of the home server.
pub(super) fn router_config() -> RouterConfig {
    let mut config = RouterConfig::default();
    config.client_id = Some(CLIENT_ID.to_owned());
    config
}
