//! The product on both machines: a host, and gateways that reach it over the link.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::world::{SERVICE, World};
use crate::{
    http::{Answer, Get, request},
    process::{PATIENCE, Process, Product},
};

/// The first gateway listens here; others at the ports that follow.
const GATEWAY_PORT: u16 = 8017;

/// How often a gateway that is starting is tried.
const KNOCK: Duration = Duration::from_millis(20);

/// Until a new session has found out what it wants to know about its path, such as its largest packet.
const SETTLE: Duration = Duration::from_secs(1);

/// Options for either side, as on its command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) host: Vec<String>,
    pub(crate) gateway: Vec<String>,
}

/// Running processes. Dropping it kills them.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) gateways: Vec<Process>,
    pub(crate) host: Process,
    product: Product,
    arguments: Vec<String>,
    ticket: String,
}

impl Peers {
    /// Starts a host, and no gateway yet.
    pub(crate) async fn start_host(world: &World, product: Product, arguments: &Arguments) -> Result<Self> {
        let service = format!("http://{SERVICE}");
        let state = product.path("host");
        let mut line = vec!["host", "--service", &service, "--profile", "plain", "--state-dir", &state];
        line.extend(arguments.host.iter().map(String::as_str));
        let mut host = product.start(&world.host, "host", &line)?;
        let ready = host.event("ready").await?;
        let ticket = ready.value["ticket"].as_str().context("the host's event `ready` has no ticket")?.to_owned();
        Ok(Self { gateways: Vec::new(), host, product, arguments: arguments.gateway.clone(), ticket })
    }

    /// Starts a host and so many gateways, and waits until they answer by a direct path and have settled.
    pub(crate) async fn start(world: &World, product: Product, arguments: &Arguments, gateways: u16) -> Result<Self> {
        let mut peers = Self::start_host(world, product, arguments).await?;
        for index in 0..gateways {
            let address = peers.start_gateway(world)?;
            first_answer(world, address).await.with_context(|| format!("gateway {index}"))?;
        }
        sleep(SETTLE).await;
        Ok(peers)
    }

    /// Starts another gateway; where it will listen.
    pub(crate) fn start_gateway(&mut self, world: &World) -> Result<SocketAddr> {
        let index = u16::try_from(self.gateways.len())?;
        let address = address(index);
        let name = if index == 0 { "gateway".to_owned() } else { format!("gateway{index}") };
        let (listen, state) = (address.to_string(), self.product.path(&name));
        let mut line = vec!["gateway", "--profile", "plain", "--listen", &listen, "--state-dir", &state];
        line.extend(["--ticket", &self.ticket]);
        line.extend(self.arguments.iter().map(String::as_str));
        self.gateways.push(self.product.start(&world.gateway, &name, &line)?);
        Ok(address)
    }

    /// What all processes have used.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let mut sum = self.host.cpu_time()?;
        for gateway in &self.gateways {
            sum += gateway.cpu_time()?;
        }
        Ok(sum)
    }
}

/// Where a gateway listens in its namespace.
pub(crate) const fn address(index: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), GATEWAY_PORT + index)
}

/// Asks until the gateway answers by a direct path.
pub(crate) async fn first_answer(world: &World, gateway: SocketAddr) -> Result<Answer> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asking = world.gateway.spawn(async move |_| request(gateway, &Get::new(super::small::SMALL)).await)?;
        let answer = AbortOnDropHandle::new(asking).await.context("a request panicked")?;
        if answer.is_complete() && answer.path == "direct" {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("there was no answer by a direct path within {PATIENCE:?}: {}", answer.describe());
        }
        sleep(KNOCK).await;
    }
}
