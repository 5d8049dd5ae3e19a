//! A tunnel server beside the peers.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;

use super::stage::{Plan, Stage};
use crate::{
    availability::{Availability, first_failure},
    http::{Answer, Get, get},
    nat::topology::{
        Network,
        firewall::{self, Forbidden},
    },
    process::Product,
    record::Record,
    statistics::Spread,
};

/// Requests by which delays are measured.
const REQUESTS: usize = 100;

/// What a request through the tunnel server may take where there is no distance. Waiting for p2p would be seconds.
const ADDED_DELAY_MAX: Duration = Duration::from_millis(100);

/// Bytes of a whole download.
const WHOLE: u64 = 16 << 20;

/// How long downloads last.
const DOWNLOAD: Duration = Duration::from_secs(10);

/// How long a download may stand still until the other way takes over.
const TAKEOVER_MAX: Duration = Duration::from_millis(6500);

/// How soon requests go peer to peer again when they can.
const COMEBACK_MAX: Duration = Duration::from_secs(20);

/// Only the tunnel server is left, from the beginning.
pub(crate) async fn only(product: Product) -> Result<Record> {
    let plan = Plan { host: Network::NoUdp, gateway: Network::NoUdp, relays: 0, relays_running: 0, tunnel: true };
    let mut stage = Stage::open(product, plan).await?;
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let answer = stage.ask().await?;
        if !answer.is_complete() || answer.transport != "legacy" {
            stage.record.fail_answer("a request", &answer);
        }
        times.push((answer.ended - answer.started).as_secs_f64());
    }
    let spread = Spread::of(times.iter().copied()).context("there were requests")?;
    stage.record.time_within("a request", Some(Duration::from_secs_f64(spread.middle)), ADDED_DELAY_MAX);
    stage.record.time("the slowest request", Duration::from_secs_f64(spread.most));
    let whole = get(&stage.world.gateway.device, Get::new(WHOLE)).await?;
    if !whole.is_complete() {
        stage.record.fail_answer("a download", &whole);
    }
    stage.record.speed("download", whole.bytes_per_second());
    Ok(stage.record)
}

/// All of p2p is lost, and comes back.
pub(crate) async fn takes_over(product: Product) -> Result<Record> {
    let mut stage = Stage::open_direct(product, Plan { tunnel: true, ..Plan::HOMES }).await?;
    let (watch, download) = (stage.watch()?, stage.download(DOWNLOAD)?);
    download.under_way().await?;
    let router = stage.world.gateway.outermost()?.clone();
    let lost = Instant::now();
    stage.relays.pop().context("there is a relay")?.crash().await?;
    firewall::forbid(&router, Forbidden::Udp)?;
    let answer = download.must_be_whole("download", &mut stage.record).await?;
    stage.record.time_within("taken over after", Some(answer.stall), TAKEOVER_MAX);
    let answers = watch.end().await?;
    let availability = Availability::of(&answers, lost);
    availability.note(&mut stage.record);
    if let Some(failure) = first_failure(&answers) {
        stage.record.fail(format!("a GET failed: {failure}"));
    }

    firewall::allow(&router)?;
    let relay = stage.world.relay(0).await?;
    stage.relays.push(relay);
    let back = stage.until("request by p2p", COMEBACK_MAX, |answer: &Answer| answer.transport == "p2p").await?;
    stage.record.time("p2p again after", back);
    Ok(stage.record)
}
