//! Relays die and come back.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use super::stage::{Plan, Stage};
use crate::{
    availability::{Availability, first_failure},
    http::Answer,
    nat::topology::firewall,
    process::{PATIENCE, Product},
    record::Record,
};

/// How long downloads last.
const DOWNLOAD: Duration = Duration::from_secs(6);

/// How long a download may stand still that the relay has nothing to do with.
const UNHARMED: Duration = Duration::from_millis(500);

/// How soon a host must be reachable through the relay that is left: it was so after 0.5 s in some runs and after 2.3 s in
/// others.
const BACK_WITHIN: Duration = Duration::from_secs(3);

/// The same for a gateway that is at home at that relay already: it makes sure first that the other one is gone for good.
const BACK_FROM_ELSEWHERE_WITHIN: Duration = Duration::from_secs(3);

/// How soon a host must be reachable after its only relay has come back.
const RESTARTED_WITHIN: Duration = Duration::from_secs(5);

/// How long a relay is away that is restarted.
const AWAY: Duration = Duration::from_secs(1);

/// How long a peer measures its relays at its start; afterwards it keeps its choice for a while.
const CHOSEN: Duration = Duration::from_secs(2);

/// How long it is watched what comes of it.
const AFTERWARDS: Duration = Duration::from_secs(12);

/// The relay dies while nothing goes through it.
pub(crate) async fn killed_while_direct(product: Product) -> Result<Record> {
    let mut stage = Stage::open_direct(product, Plan::HOMES).await?;
    let (watch, download) = (stage.watch()?, stage.download(DOWNLOAD)?);
    download.under_way().await?;
    let killed = Instant::now();
    stage.relays.first_mut().context("there is a relay")?.crash().await?;
    let answer = download.must_be_whole("download", &mut stage.record).await?;
    stage.record.time_within("stall", Some(answer.stall), UNHARMED);
    let answers = watch.end().await?;
    let availability = Availability::of(&answers, killed);
    availability.note(&mut stage.record);
    if let Some(failure) = first_failure(&answers) {
        stage.record.fail(format!("a request: {failure}"));
    }
    Ok(stage.record)
}

/// Which relay the gateway is at home at, as seen from the host's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Home {
    Same,
    Other,
}

/// The relay dies while everything goes through it, and there is another.
pub(crate) async fn killed_while_relayed(product: Product, home: Home) -> Result<Record> {
    // The second begins when the host is at home at the first.
    let mut stage = Stage::prepare(product, Plan { relays: 2, relays_running: 1, ..Plan::FIRMS }).await?;
    match home {
        Home::Same => {
            stage.start_gateway(true).await?;
            let second = stage.world.relay(1).await?;
            stage.relays.push(second);
        }
        Home::Other => {
            // Out of the gateway's sight until it has chosen the second.
            let first = stage.world.relay_address(0)?;
            let router = stage.world.gateway.outermost()?.clone();
            firewall::hide(&router, first)?;
            let second = stage.world.relay(1).await?;
            stage.relays.push(second);
            stage.start_gateway(true).await?;
            sleep(CHOSEN).await;
            firewall::allow(&router)?;
        }
    }
    stage.until("answer", PATIENCE, Answer::is_complete).await?;
    let (watch, download) = (stage.watch()?, stage.download(DOWNLOAD)?);
    download.under_way().await?;
    let killed = Instant::now();
    stage.relays.first_mut().context("there is a relay")?.crash().await?;
    sleep(AFTERWARDS).await;
    let availability = Availability::of(&watch.end().await?, killed);
    availability.note(&mut stage.record);
    let within = match home {
        Home::Same => BACK_WITHIN,
        Home::Other => BACK_FROM_ELSEWHERE_WITHIN,
    };
    stage.record.time_within("reachable again after", availability.back, within);
    download.may_be_cut("download", &mut stage.record).await?;
    Ok(stage.record)
}

/// The only relay is restarted.
pub(crate) async fn restarted(product: Product) -> Result<Record> {
    let mut stage = Stage::open(product, Plan::FIRMS).await?;
    let (watch, download) = (stage.watch()?, stage.download(DOWNLOAD)?);
    download.under_way().await?;
    let mut relay = stage.relays.pop().context("there is a relay")?;
    relay.crash().await?;
    sleep(AWAY).await;
    let relay = stage.world.relay(0).await?;
    let restarted = Instant::now();
    stage.relays.push(relay);
    sleep(AFTERWARDS).await;
    let availability = Availability::of(&watch.end().await?, restarted);
    availability.note(&mut stage.record);
    stage.record.time_within("reachable again after", availability.back, RESTARTED_WITHIN);
    download.may_be_cut("download", &mut stage.record).await?;
    Ok(stage.record)
}
