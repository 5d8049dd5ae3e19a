//! Service, host and gateway, each on a thread and a runtime of its own, as if they were three processes.

use std::{net::SocketAddr, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_util::sync::CancellationToken;
use tunnel_edge::{Gateway, GatewayConfig, LocalService, Profile, ServiceConfig, ServiceTarget};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, Ticket, TicketSecret};

use compat_tests::demo_service;

use crate::{error::CliError, p2p, runtime::block_on, state::StateDir};

/// The whole tunnel on this machine. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Stack {
    /// Where the gateway listens.
    pub(super) gateway: SocketAddr,
    /// Where the service listens.
    pub(super) service: SocketAddr,
    /// The host's ticket.
    pub(super) ticket: Ticket,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Stack {
    /// Starts everything; keys go to `directory`. Dropping the future stops what has started.
    pub(super) async fn start(directory: &Path) -> Result<Self, CliError> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let mut threads = Vec::new();
        let service = on_thread("service", &mut threads, {
            let stop = stop.clone();
            |ready| run_service(ready, stop)
        })
        .await?;
        let state = StateDir::new(Some(directory.to_owned()))?;
        let ticket = on_thread("host", &mut threads, {
            let stop = stop.clone();
            move |ready| run_host(service, state, ready, stop)
        })
        .await?;
        let gateway = on_thread("gateway", &mut threads, {
            let (ticket, stop) = (ticket.clone(), stop.clone());
            move |ready| run_gateway(ticket, ready, stop)
        })
        .await?;
        let stop = guard.disarm();
        Ok(Self { gateway, service, ticket, stop, threads })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            _ = thread.join();
        }
    }
}

/// Says that a part is ready, with what the others need to know of it.
type Ready<T> = oneshot::Sender<T>;

async fn on_thread<T, F>(
    name: &'static str,
    threads: &mut Vec<JoinHandle<()>>,
    part: impl FnOnce(Ready<T>) -> F + Send + 'static,
) -> Result<T, CliError>
where
    T: Send + 'static,
    F: Future<Output = Result<(), CliError>>,
{
    let (ready, started) = oneshot::channel();
    let (failed, failure) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(error) = block_on(part(ready)) {
            tracing::error!(%error, "the {name} of the demo failed");
            _ = failed.send(error);
        }
    });
    threads.push(thread.map_err(|error| CliError::start("no thread could be started").because(error))?);
    if let Ok(value) = started.await {
        return Ok(value);
    }
    Err(failure.await.unwrap_or_else(|_| CliError::failed(format!("the {name} of the demo ended at its start"))))
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

async fn run_host(
    service: SocketAddr,
    state: StateDir,
    ready: Ready<Ticket>,
    stop: CancellationToken,
) -> Result<(), CliError> {
    let text = format!("http://{service}");
    let target: ServiceTarget =
        text.parse().map_err(|error| CliError::failed("the demo's own address").because(anyhow::Error::new(error)))?;
    let mut config = ServiceConfig::new(target);
    config.profile = Profile::Plain;
    let service = LocalService::new(config).map_err(|error| CliError::failed("the demo's settings").because(error))?;
    let provider = p2p::bind(IrohConfig::loopback(state.key_or_create()?)).await?;
    let secret = TicketSecret::from(state.secret_or_create()?);
    let host = Host::start(provider.clone(), Arc::new(service), HostConfig::new(secret))
        .await
        .map_err(|error| CliError::start("the host did not start").because(error))?;
    _ = ready.send(host.ticket());
    stop.cancelled().await;
    host.drain(DRAIN_TIMEOUT).await;
    provider.close().await;
    Ok(())
}

#[expect(clippy::field_reassign_with_default, reason = "GatewayConfig is non-exhaustive: there is no other way")]
async fn run_gateway(ticket: Ticket, ready: Ready<SocketAddr>, stop: CancellationToken) -> Result<(), CliError> {
    let provider: IrohP2P = p2p::bind(IrohConfig::loopback(SecretKey::generate())).await?;
    let client = Client::start(provider.clone(), ticket, ClientConfig::default());
    let mut config = GatewayConfig::default();
    config.listen = ([127, 0, 0, 1], 0).into();
    config.profile = Profile::Plain;
    config.drain_timeout = DRAIN_TIMEOUT;
    let gateway = Gateway::bind(config, Arc::new(client.clone()))
        .await
        .map_err(|error| CliError::start("the gateway did not start").because(error))?;
    _ = ready.send(gateway.local_addr());
    gateway.run(stop).await;
    client.close();
    provider.close().await;
    Ok(())
}

/// How long the parts may take to end: nothing is under way when they are told to.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
