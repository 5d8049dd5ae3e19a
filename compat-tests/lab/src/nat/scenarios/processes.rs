//! The host's process stops and goes on, or ends and begins again.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::stage::{Plan, Stage};
use crate::{availability::Availability, process::Product, record::Record};

/// How long the host sleeps.
const SLEEP: Duration = Duration::from_secs(20);

/// How soon requests must be answered when the host is there again: what is left of the 5 s of silence after which the
/// gateway gives up the connection to the host that was, which it counts from the last path that it has tried.
const BACK_WITHIN: Duration = Duration::from_secs(8);

/// How long it is watched what comes of it.
const AFTERWARDS: Duration = Duration::from_secs(9);

/// How long the host is away that is restarted.
const AWAY: Duration = Duration::from_secs(1);

/// How long the return of the direct path is waited for.
const RETURN: Duration = Duration::from_secs(5);

/// As a laptop whose lid is closed, but for its clock.
pub(crate) async fn suspended(product: Product) -> Result<Record> {
    let mut stage = Stage::open_direct(product, Plan::HOMES).await?;
    let watch = stage.watch()?;
    stage.host.signal(Signal::SIGSTOP)?;
    sleep(SLEEP).await;
    let awake = Instant::now();
    stage.host.signal(Signal::SIGCONT)?;
    sleep(AFTERWARDS).await;
    let availability = Availability::of(&watch.end().await?, awake);
    availability.note(&mut stage.record);
    stage.record.time_within("reachable again after", availability.back, BACK_WITHIN);
    stage.note_direct_again(RETURN).await?;
    Ok(stage.record)
}

/// As a crash, with somebody who starts it again.
pub(crate) async fn restarted(product: Product) -> Result<Record> {
    let mut stage = Stage::open_direct(product, Plan::HOMES).await?;
    let watch = stage.watch()?;
    stage.host.crash().await?;
    sleep(AWAY).await;
    let (host, _) = stage.world.start_host(&stage.world.host_arguments(None)).await?;
    let restarted = Instant::now();
    stage.host = host;
    sleep(AFTERWARDS).await;
    let availability = Availability::of(&watch.end().await?, restarted);
    availability.note(&mut stage.record);
    stage.record.time_within("reachable again after", availability.back, BACK_WITHIN);
    stage.note_direct_again(RETURN).await?;
    Ok(stage.record)
}
