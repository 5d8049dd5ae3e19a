//! How fast transfers and gateways begin.

use std::time::Duration;

use anyhow::{Context, Result};
use patchbay::Device;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::{
        cell::{Cell, Way},
        leg::{Controller, open},
        peers::first_answer,
        small::Target,
        transfer::{Transfer, transfer},
    },
    stage::{Setting, Stage, p2p, tcp},
};
use crate::record::Record;

/// What is timed.
const FIRST: u64 = 1 << 20;

/// What a connection has carried before, if it has carried something.
const BEFORE: u64 = 8 << 20;

/// How long it has been idle since.
const IDLE: Duration = Duration::from_secs(2);

/// Longer than any of these takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a connection has been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    Used,
    Fresh,
}

/// All of it.
pub(crate) async fn start(setting: Setting) -> Result<Record> {
    let mut stage = Stage::open(setting, Cell::DEFAULT).await?;
    let device = stage.world.gateway.clone();
    // Before anything else: a session that has moved nothing but small requests.
    let fresh = first(&device, p2p(0), History::Fresh).await?;
    let used = first(&device, p2p(0), History::Used).await?;
    note(&mut stage, "a fresh session", &fresh);
    note(&mut stage, "a used and idle session", &used);
    if Controller::available().contains(&Controller::Bbr) {
        stage.serve_tcp(Controller::Bbr).await?;
        let fresh = first(&device, tcp(Controller::Bbr), History::Fresh).await?;
        let used = first(&device, tcp(Controller::Bbr), History::Used).await?;
        note(&mut stage, "fresh TCP BBR", &fresh);
        note(&mut stage, "used and idle TCP BBR", &used);
    }
    let started = Instant::now();
    let address = stage.peers.start_gateway(&stage.world)?;
    let gateway = stage.peers.gateways.last_mut().context("a gateway was started")?;
    gateway.event("ready").await?;
    let ready = started.elapsed();
    let answer = first_answer(&stage.world, address).await?;
    let took = answer.ended - started;
    stage.record.time("new gateway ready", ready);
    stage.record.time("first answer of a new gateway", took);
    let rtts = took.saturating_sub(ready).as_secs_f64() / stage.cell.rtt().as_secs_f64();
    stage.record.text("first answer in RTTs after it was ready", format!("{rtts:.1}"));
    stage.note_reconnects(Some(0));
    Ok(stage.record)
}

fn note(stage: &mut Stage, name: &str, transfer: &Transfer) {
    stage.record.time(&format!("first MiB by {name}"), transfer.took);
    if !transfer.answer.is_complete() || transfer.cut_off {
        stage.record.fail_answer(name, &transfer.answer);
    }
}

/// The first MiB over one connection.
async fn first(device: &Device, target: Target, history: History) -> Result<Transfer> {
    let mut connection = open(device, target).await?;
    let moving = device.spawn(async move |_| {
        if history == History::Used {
            transfer(&mut connection, Way::Down, BEFORE, PATIENCE, std::sync::Arc::default()).await;
            sleep(IDLE).await;
        }
        transfer(&mut connection, Way::Down, FIRST, PATIENCE, std::sync::Arc::default()).await
    })?;
    AbortOnDropHandle::new(moving).await.context("a transfer panicked")
}
