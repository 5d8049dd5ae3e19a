//! Everything running, and what scenarios do with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    availability::Watch,
    http::{Answer, Ending, Get, begin, get},
    nat::{
        topology::{Network, Placement},
        world::{TunnelServer, World},
    },
    process::{PATIENCE, Process, Product},
    record::Record,
};

/// Bytes per second of downloads in the middle of which something happens.
const RATE: u64 = 4 << 20;

/// How often the path is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes of a request that only looks.
const SMALL: u64 = 1000;

/// What a scenario needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) host: Network,
    pub(crate) gateway: Network,
    pub(crate) relays: usize,
    /// How many of them run from the beginning.
    pub(crate) relays_running: usize,
    pub(crate) tunnel: bool,
}

impl Plan {
    /// Two usual homes and a relay: what most people have.
    pub(crate) const HOMES: Self =
        Self { host: Network::Restricted, gateway: Network::Restricted, relays: 1, relays_running: 1, tunnel: false };

    /// Two networks that can only meet at a relay.
    pub(crate) const FIRMS: Self = Self { host: Network::Symmetric, gateway: Network::Symmetric, ..Self::HOMES };
}

/// Everything running. What is dropped first comes first.
pub(crate) struct Stage {
    gateway: Option<Process>,
    pub(crate) host: Process,
    pub(crate) relays: Vec<Process>,
    tunnel: Option<TunnelServer>,
    pub(crate) world: World,
    ticket: String,
    pub(crate) record: Record,
}

impl Stage {
    /// Builds it and waits for the first answer.
    pub(crate) async fn open(product: Product, plan: Plan) -> Result<Self> {
        let mut stage = Self::prepare(product, plan).await?;
        stage.start_gateway(false).await?;
        stage.until("answer", PATIENCE, Answer::is_complete).await?;
        Ok(stage)
    }

    /// Builds everything but the gateway.
    pub(crate) async fn prepare(product: Product, plan: Plan) -> Result<Self> {
        let placement = Placement::Apart { host: plan.host, gateway: plan.gateway };
        let world = World::build(product, placement, plan.relays).await?;
        let mut relays = Vec::new();
        for index in 0..plan.relays_running {
            relays.push(world.relay(index).await?);
        }
        let tunnel = if plan.tunnel { Some(world.tunnel_server().await?) } else { None };
        let (mut host, ticket) = world.start_host(&world.host_arguments(tunnel.as_ref())).await?;
        if tunnel.is_some() {
            host.event("tunnel").await?;
        }
        Ok(Self { gateway: None, host, relays, tunnel, world, ticket, record: Record::default() })
    }

    /// Starts the gateway; if wanted, waits until it has a relay of its own.
    pub(crate) async fn start_gateway(&mut self, at_home: bool) -> Result<()> {
        let arguments = self.world.gateway_arguments(Some(&self.ticket), self.tunnel.as_ref());
        let gateway = self.gateway.insert(self.world.start_gateway(&arguments)?);
        if at_home {
            gateway.event("relay").await?;
        }
        Ok(())
    }

    /// The same, and waits until the path is direct.
    pub(crate) async fn open_direct(product: Product, plan: Plan) -> Result<Self> {
        let stage = Self::open(product, plan).await?;
        stage.until("direct path", PATIENCE, |answer| answer.path == "direct").await?;
        Ok(stage)
    }

    /// Asks for something small.
    pub(crate) async fn ask(&self) -> Result<Answer> {
        get(&self.world.gateway.device, Get::new(SMALL)).await
    }

    /// Asks until an answer is as wanted, and tells how long that took.
    pub(crate) async fn until(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let answer = self.ask().await?;
            if wanted(&answer) {
                return Ok(answer.ended - began);
            }
            if began.elapsed() > within {
                bail!("there was no {what} within {within:?}; the last answer was {}", answer.describe());
            }
            sleep(LOOK).await;
        }
    }

    /// Notes how long it takes until the path is direct, up to this long; no failure if it is not.
    pub(crate) async fn note_direct_again(&mut self, within: Duration) -> Result<()> {
        match self.until("direct path", within, |answer| answer.path == "direct").await {
            Ok(time) => self.record.time("direct again after", time),
            Err(_) => self.record.text("direct again after", format!("more than {within:?}")),
        }
        Ok(())
    }

    /// Begins a download that lasts this long if nothing happens.
    pub(crate) fn download(&self, lasting: Duration) -> Result<Download> {
        let get = Get::paced(RATE * lasting.as_secs(), RATE);
        let (bytes, progress) = (get.bytes, get.progress.clone());
        Ok(Download { bytes, progress, answer: begin(&self.world.gateway.device, get)? })
    }

    /// Begins to ask all the time.
    pub(crate) fn watch(&self) -> Result<Watch> {
        Watch::begin(&self.world.gateway.device)
    }
}

/// A download under way.
pub(crate) struct Download {
    bytes: u64,
    progress: Arc<AtomicU64>,
    answer: AbortOnDropHandle<Answer>,
}

impl Download {
    /// Waits until a quarter has arrived.
    pub(crate) async fn under_way(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.progress.load(Ordering::Relaxed) < self.bytes / 4 {
            if self.answer.is_finished() || Instant::now() > deadline {
                bail!("a download did not get under way: {} bytes came", self.progress.load(Ordering::Relaxed));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits for its end and notes it: it must be whole.
    pub(crate) async fn must_be_whole(self, name: &str, record: &mut Record) -> Result<Answer> {
        let answer = self.answer.await.context("a request panicked")?;
        record.time(&format!("{name} stood still"), answer.stall);
        if !answer.is_complete() {
            record.fail_answer(name, &answer);
        }
        Ok(answer)
    }

    /// Waits for its end and notes it: whole, or cut for all to see.
    pub(crate) async fn may_be_cut(self, name: &str, record: &mut Record) -> Result<Answer> {
        let answer = self.answer.await.context("a request panicked")?;
        record.time(&format!("{name} stood still"), answer.stall);
        let word = match &answer.ending {
            Ending::Complete => "whole",
            Ending::Cut(_) => "cut",
            Ending::Refused(_) | Ending::NoAnswer(_) | Ending::Wrong(_) => {
                record.fail_answer(name, &answer);
                "neither whole nor cut"
            }
        };
        record.text(name, word);
        Ok(answer)
    }
}
