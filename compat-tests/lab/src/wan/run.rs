//! What a leg has shown in a cell, as it is kept and printed.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    cell::{Cell, Way},
    leg::Measured,
    transfer::BUCKET,
};
use crate::{
    http::{Answer, Ending},
    statistics::quantile,
};

/// One run of a leg in a cell. The units are in the names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Run {
    pub(crate) cell: String,
    pub(crate) leg: String,
    #[serde(rename = "run")]
    pub(crate) number: u32,
    pub(crate) seed: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) mb_per_s: f64,
    /// Of what the link carries.
    pub(crate) link_ratio: f64,
    /// It took too long and was given up; the speed is that until then.
    pub(crate) cut_off: bool,
    pub(crate) small_p50_ms: Option<f64>,
    pub(crate) small_p95_ms: Option<f64>,
    pub(crate) small_requests: usize,
    pub(crate) small_failed: usize,
    /// Of the packets in the direction of the body.
    pub(crate) dropped_percent: f64,
    pub(crate) cpu_s_per_gib: Option<f64>,
    pub(crate) to_host: Value,
    pub(crate) to_gateway: Value,
    /// Bytes of each 100 ms.
    pub(crate) bytes_per_100ms: Vec<u64>,
    pub(crate) failures: Vec<String>,
    pub(crate) wrong_bytes: bool,
    pub(crate) logs: Option<PathBuf>,
}

impl Run {
    /// A run that could not be measured.
    pub(crate) fn failed(error: &anyhow::Error) -> Self {
        Self { failures: vec![format!("{error:#}")], ..Self::default() }
    }

    /// What was measured.
    #[expect(clippy::cast_precision_loss, reason = "numbers to look at")]
    pub(crate) fn of(cell: &Cell, measured: &Measured) -> Self {
        let Measured { transfer, small, counters, cpu_time } = measured;
        let mut failures = Vec::new();
        if !transfer.answer.is_complete() {
            failures.push(format!("the transfer: {}", transfer.answer.describe()));
        }
        let failed: Vec<&Answer> = small.iter().filter(|answer| !answer.is_complete()).collect();
        if let Some(first) = failed.first() {
            failures.push(format!(
                "{} of {} small requests, the first: {}",
                failed.len(),
                small.len(),
                first.describe()
            ));
        }
        let times: Vec<f64> = small.iter().filter(|answer| answer.is_complete()).map(took_ms).collect();
        let towards = match cell.way {
            Way::Down => &counters.to_gateway,
            Way::Up => &counters.to_host,
        };
        let gib = transfer.bytes as f64 / f64::from(1 << 30);
        let speed = transfer.bytes_per_second();
        let wrong = |answer: &Answer| matches!(answer.ending, Ending::Wrong(_));
        Self {
            bytes: transfer.bytes,
            seconds: rounded(transfer.took.as_secs_f64()),
            mb_per_s: rounded(speed / 1e6),
            link_ratio: rounded(speed / cell.bytes_per_second()),
            cut_off: transfer.cut_off,
            small_p50_ms: quantile(&times, 0.5).map(rounded),
            small_p95_ms: quantile(&times, 0.95).map(rounded),
            small_requests: small.len(),
            small_failed: failed.len(),
            dropped_percent: rounded(towards.dropped_percent()),
            cpu_s_per_gib: cpu_time.filter(|_| gib > 0.0).map(|time| rounded(time.as_secs_f64() / gib)),
            to_host: counters.to_host.json(),
            to_gateway: counters.to_gateway.json(),
            bytes_per_100ms: transfer.buckets(),
            wrong_bytes: wrong(&transfer.answer) || small.iter().any(wrong),
            failures,
            ..Self::default()
        }
    }

    pub(crate) fn held(&self) -> bool {
        self.failures.is_empty()
    }

    /// Megabytes per second over time, with the moment at which each bucket ends.
    #[expect(clippy::cast_precision_loss, reason = "numbers to look at")]
    pub(crate) fn timeline(&self) -> impl Iterator<Item = (f64, f64)> {
        let bucket = BUCKET.as_secs_f64();
        let buckets = self.bytes_per_100ms.iter().enumerate();
        buckets.map(move |(index, &bytes)| ((index + 1) as f64 * bucket, bytes as f64 / bucket / 1e6))
    }
}

/// As many digits as mean something.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn took_ms(answer: &Answer) -> f64 {
    let took: Duration = answer.last_byte.unwrap_or(answer.ended) - answer.started;
    took.as_secs_f64() * 1e3
}
