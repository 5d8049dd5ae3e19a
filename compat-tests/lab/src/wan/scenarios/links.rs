//! Downloads over links that are unlike others.

use std::time::Duration;

use anyhow::Result;

use super::{
    super::{cell::Cell, small::SmallRequests},
    recovery::recovery,
    stage::{Setting, Stage, p2p},
};
use crate::{http::Answer, record::Record, statistics::quantile};

/// How long a download lasts.
const LASTING: Duration = Duration::from_secs(15);

/// As in a modem that somebody has set up for throughput alone: at 50 Mbit/s and 80 ms, a second is 12.5 BDP.
pub(crate) const DEEP_QUEUE: Cell = Cell { queue_bdp: 12.5, ..Cell::DEFAULT };

/// To a geostationary satellite and back, twice.
pub(crate) const SATELLITE: Cell = Cell { rtt_ms: 600, rate_mbit: 20.0, ..Cell::DEFAULT };

/// Wi-Fi at its worst.
pub(crate) const JITTER: Cell = Cell { jitter_ms: 5, reorders: true, ..Cell::DEFAULT };

/// A download over this link, with small requests beside it.
pub(crate) async fn over(setting: Setting, cell: Cell) -> Result<Record> {
    let mut stage = Stage::open(setting, cell).await?;
    let small = SmallRequests::begin(&stage.world.gateway, p2p(0)).await?;
    stage.world.link.take_counters()?;
    let transfer = stage.download(0, LASTING).await?.end().await?;
    let counters = stage.world.link.take_counters()?;
    stage.note_transfer("download", &transfer);
    stage.record.text("of link", format!("{:.2}", transfer.bytes_per_second() / cell.bytes_per_second()));
    let full = recovery(&transfer.buckets(), Duration::ZERO, cell.bytes_per_second());
    stage.record.time_within("full speed after", full, stage.recovery_max());
    note_small(&mut stage, &small.end().await?);
    stage.record.text("dropped", format!("{:.1} %", counters.to_gateway.dropped_percent()));
    stage.note_reconnects(Some(0));
    Ok(stage.record)
}

/// Notes how long small requests took; none may fail.
fn note_small(stage: &mut Stage, answers: &[Answer]) {
    if let Some(failed) = answers.iter().find(|answer| !answer.is_complete()) {
        stage.record.fail_answer("a small request", failed);
    }
    let times: Vec<f64> = answers.iter().map(|answer| (answer.ended - answer.started).as_secs_f64()).collect();
    for (name, share) in [("small p50", 0.5), ("small p95", 0.95)] {
        if let Some(time) = quantile(&times, share) {
            stage.record.time(name, Duration::from_secs_f64(time));
        }
    }
}
