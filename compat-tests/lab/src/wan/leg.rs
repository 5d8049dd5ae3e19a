//! What is sent over the link: the product, or kernel TCP beside it.

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result};
use patchbay::Device;
use tokio_util::task::AbortOnDropHandle;

use super::{
    cell::Cell,
    link::{Both, Counters, PromptThreads},
    peers::{self, Arguments, Peers},
    small::{SmallRequests, Target},
    transfer::{Transfer, transfer},
    world::{HOST, World, connect},
};
use crate::{
    http::{Answer, Connection},
    process::Product,
};

/// How the kernel controls congestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Bbr,
    Cubic,
}

impl Controller {
    /// As the kernel calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bbr => "bbr",
            Self::Cubic => "cubic",
        }
    }

    /// Where the service listens with it.
    pub(crate) const fn address(self) -> SocketAddr {
        let port = match self {
            Self::Bbr => 9001,
            Self::Cubic => 9002,
        };
        SocketAddr::new(IpAddr::V4(HOST), port)
    }

    /// Those that this kernel lets a socket choose.
    pub(crate) fn available() -> Vec<Self> {
        let path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
        let names = fs::read_to_string(path).unwrap_or_default();
        let has = |controller: &Self| names.split_whitespace().any(|name| name == controller.name());
        [Self::Bbr, Self::Cubic].into_iter().filter(has).collect()
    }
}

/// Something that moves bytes.
#[derive(Clone, Debug)]
pub(crate) enum Leg {
    Tcp(Controller),
    P2p { name: String, binary: PathBuf, arguments: Arguments },
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(controller) => write!(f, "tcp-{}", controller.name()),
            Self::P2p { name, .. } => f.write_str(name),
        }
    }
}

/// What a leg has shown in a cell.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) transfer: Transfer,
    pub(crate) small: Vec<Answer>,
    pub(crate) counters: Both<Counters>,
    /// Of host and gateway together.
    pub(crate) cpu_time: Option<Duration>,
}

/// Runs a cell over a link of its own.
pub(crate) async fn measure(leg: &Leg, cell: &Cell, plan: &Plan, product: Product) -> Result<Measured> {
    let mut world = World::build(&plan.threads, cell.conditions(), plan.seed).await?;
    let (target, peers) = match leg {
        Leg::Tcp(controller) => {
            let address = controller.address();
            world.serve(address, Some(controller.name())).await?;
            (Target { address, controller: Some(controller.name()), patience: plan.patience(cell) }, None)
        }
        Leg::P2p { arguments, .. } => {
            let peers = Peers::start(&world, product, arguments, 1).await?;
            (Target { address: peers::address(0), controller: None, patience: plan.patience(cell) }, Some(peers))
        }
    };
    let cpu_time = || peers.as_ref().map(Peers::cpu_time).transpose();
    let small = SmallRequests::begin(&world.gateway, target).await?;
    let connection = open(&world.gateway, target).await?;
    let used = cpu_time()?;
    world.link.take_counters()?;
    let transfer = run(&world, connection, cell, plan.time_max(cell)).await?;
    let counters = world.link.take_counters()?;
    let used = cpu_time()?.zip(used).map(|(after, before)| after.saturating_sub(before));
    let small = small.end().await?;
    Ok(Measured { transfer, small, counters, cpu_time: used })
}

/// How transfers are run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) threads: PromptThreads,
    pub(crate) seed: u64,
    /// A transfer is given up after so many times the time that the link needs.
    pub(crate) patience_factor: f64,
}

impl Plan {
    fn time_max(&self, cell: &Cell) -> Duration {
        Duration::from_secs_f64(cell.seconds * self.patience_factor) + cell.rtt() * 4
    }

    /// Long enough that a small request never ends before its transfer.
    fn patience(&self, cell: &Cell) -> Duration {
        self.time_max(cell) + Duration::from_secs(10)
    }
}

/// A connection from the gateway's machine.
pub(crate) async fn open(device: &Device, target: Target) -> Result<Connection> {
    let opening = device.spawn(async move |_| {
        let stream = connect(target.address, target.controller).await?;
        Connection::over(stream).await.map_err(|ending| anyhow::anyhow!("no connection: {ending:?}"))
    })?;
    AbortOnDropHandle::new(opening).await.context("a request panicked")?
}

async fn run(world: &World, mut connection: Connection, cell: &Cell, time_max: Duration) -> Result<Transfer> {
    let (way, bytes, uploaded) = (cell.way, cell.bytes(), world.uploaded.clone());
    let running =
        world.gateway.spawn(async move |_| transfer(&mut connection, way, bytes, time_max, uploaded).await)?;
    AbortOnDropHandle::new(running).await.context("a transfer panicked")
}
