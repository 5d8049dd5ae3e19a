//! Machines go to other networks.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::stage::{Plan, Stage};
use crate::{availability::Availability, nat::topology::Network, process::Product, record::Record};

/// How soon requests must be answered after a move: the old path is given up after 5 s, and the new one is found.
const BACK_WITHIN: Duration = Duration::from_secs(7);

/// How long downloads last.
const DOWNLOAD: Duration = Duration::from_secs(8);

/// How long a machine that moves is without any network.
const BETWEEN: Duration = Duration::from_millis(100);

/// How long the return of the direct path is waited for.
const RETURN: Duration = Duration::from_secs(5);

/// Who moves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mover {
    Host,
    Gateway,
    Both,
}

/// Moves once while nothing is under way, and once in the middle of a download.
pub(crate) async fn one(product: Product, mover: Mover) -> Result<Record> {
    let mut stage = Stage::open_direct(product, Plan::HOMES).await?;

    moved(&mut stage, mover, "second").await?;
    let back = stage.until("answer after the move", BACK_WITHIN * 3, crate::http::Answer::is_complete).await?;
    stage.record.time_within("idle: answered after", Some(back), BACK_WITHIN);
    // The next move is to begin from a direct path; that it comes back is not what is measured here.
    stage.note_direct_again(RETURN).await?;

    let (watch, download) = (stage.watch()?, stage.download(DOWNLOAD)?);
    download.under_way().await?;
    let began = Instant::now();
    moved(&mut stage, mover, "third").await?;
    download.may_be_cut("download", &mut stage.record).await?;
    // A download that was cut ends before all is well again.
    sleep((began + BACK_WITHIN).duration_since(Instant::now())).await;
    let availability = Availability::of(&watch.end().await?, began);
    availability.note(&mut stage.record);
    stage.record.time_within("in use: answered after", availability.back, BACK_WITHIN);
    let last = stage.ask().await?;
    if !last.is_complete() {
        stage.record.fail_answer("a request after the moves", &last);
    }
    stage.record.text("path at the end", last.path);
    Ok(stage.record)
}

async fn moved(stage: &mut Stage, mover: Mover, name: &str) -> Result<()> {
    if matches!(mover, Mover::Host | Mover::Both) {
        let routers = stage.world.network(&format!("host-{name}"), Network::Restricted).await?;
        stage.world.host.move_to(routers).await?;
    }
    if matches!(mover, Mover::Gateway | Mover::Both) {
        let routers = stage.world.network(&format!("gateway-{name}"), Network::Restricted).await?;
        stage.world.gateway.move_to(routers).await?;
    }
    sleep(BETWEEN).await;
    Ok(())
}
