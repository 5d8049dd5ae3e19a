//! Transfers beside each other.

use std::time::Duration;

use anyhow::Result;

use super::{
    super::{cell::Cell, leg::Controller, transfer::Transfer},
    stage::{Setting, Stage},
};
use crate::record::Record;

/// How long both go on.
const LASTING: Duration = Duration::from_secs(20);

/// The least that either of two gateways has.
const GATEWAY_SHARE_MIN: f64 = 0.35;

/// The least that either side has beside kernel TCP.
const TCP_SHARE_MIN: f64 = 0.25;

/// Two gateways of one host.
pub(crate) async fn gateways(setting: Setting) -> Result<Record> {
    let mut stage = Stage::with_gateways(setting, Cell::DEFAULT, 2).await?;
    let (one, other) = (stage.download(0, LASTING).await?, stage.download(1, LASTING).await?);
    let (one, other) = (one.end().await?, other.end().await?);
    note(&mut stage, ["first", "second"], [&one, &other], GATEWAY_SHARE_MIN);
    Ok(stage.record)
}

/// The product beside a flow of kernel TCP.
pub(crate) async fn beside(setting: Setting, controller: Controller, queue_bdp: f64) -> Result<Record> {
    if !Controller::available().contains(&controller) {
        let mut record = Record::default();
        record.text("skipped", format!("this kernel has no {}", controller.name()));
        return Ok(record);
    }
    let mut stage = Stage::open(setting, Cell { queue_bdp, ..Cell::DEFAULT }).await?;
    stage.serve_tcp(controller).await?;
    let (product, tcp) = (stage.download(0, LASTING).await?, stage.tcp_download(controller, LASTING).await?);
    let (product, tcp) = (product.end().await?, tcp.end().await?);
    note(&mut stage, ["p2p", controller.name()], [&product, &tcp], TCP_SHARE_MIN);
    Ok(stage.record)
}

#[expect(clippy::cast_precision_loss, reason = "a share to look at")]
fn note(stage: &mut Stage, names: [&str; 2], transfers: [&Transfer; 2], least: f64) {
    for (name, transfer) in names.into_iter().zip(transfers) {
        stage.note_transfer(name, transfer);
    }
    let [one, other] = transfers.map(|transfer| transfer.bytes);
    let share = one as f64 / (one + other).max(1) as f64;
    stage.record.text(&format!("share of {}", names[0]), format!("{share:.2}"));
    if !(least..=1.0 - least).contains(&share) {
        stage.record.fail(format!("{} has {share:.2} of the bytes, must be {least} to {}", names[0], 1.0 - least));
    }
    stage.note_reconnects(Some(0));
}
