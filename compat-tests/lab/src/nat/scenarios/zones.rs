//! The link of the gateway is dead for a while, and then back.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use super::stage::{Plan, Stage};
use crate::{availability::Availability, nat::topology::firewall, process::Product, record::Record};

/// How long the link is dead: about as long as a connection lives, and longer than anything does.
const ZONES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// How long requests are watched after it.
const AFTER: Duration = Duration::from_secs(8);

/// How long a direct path is waited for between two zones; without one the next zone is as good.
const RETURN: Duration = Duration::from_secs(5);

/// How the link is dead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Death {
    /// The router swallows every packet; nobody is told.
    Swallowed,
    /// The machine's interface goes down and comes up; the system tells of it.
    Interface,
}

impl Death {
    /// The first right answer after the link is back. The links have no delay, so it is the second until a first packet
    /// leaves, and what the kernel takes until an interface that is up passes packets (measured: 0.3 to 0.45 s); 3 s if
    /// nobody tells that the link is back.
    const fn limit(self) -> Duration {
        match self {
            Self::Swallowed => Duration::from_secs(3),
            Self::Interface => Duration::from_millis(1500),
        }
    }
}

/// The link dies and comes back while requests are made all the time.
pub(crate) async fn dead(product: Product, plan: Plan, death: Death) -> Result<Record> {
    let mut stage = Stage::open(product, plan).await?;
    for zone in ZONES {
        // What is to be lost is a path that has settled.
        let _ = stage.until("direct path", RETURN, |answer| answer.path == "direct").await;
        let watch = stage.watch()?;
        sleep(Duration::from_secs(1)).await;
        die(&stage, death).await?;
        sleep(zone).await;
        revive(&stage, death).await?;
        let back = Instant::now();
        sleep(AFTER).await;
        let availability = Availability::of(&watch.end().await?, back);
        let name = format!("{} s: answered after", zone.as_secs());
        stage.record.time_within(&name, availability.back, death.limit());
        if availability.wrong > 0 {
            availability.note(&mut stage.record);
        }
        let last = stage.ask().await?;
        if !last.is_complete() {
            stage.record.fail_answer("a request after the zone", &last);
        }
        stage.record.text(&format!("{} s: path at the end", zone.as_secs()), last.path);
    }
    Ok(stage.record)
}

async fn die(stage: &Stage, death: Death) -> Result<()> {
    match death {
        Death::Swallowed => firewall::cut_off(stage.world.gateway.outermost()?),
        Death::Interface => {
            stage.world.gateway.device.iface("eth0").context("a device has an interface")?.link_down().await
        }
    }
}

async fn revive(stage: &Stage, death: Death) -> Result<()> {
    match death {
        Death::Swallowed => firewall::allow(stage.world.gateway.outermost()?),
        Death::Interface => {
            stage.world.gateway.device.iface("eth0").context("a device has an interface")?.link_up().await
        }
    }
}
