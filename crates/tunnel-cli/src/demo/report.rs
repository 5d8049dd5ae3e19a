//! What the demo found out: progress while it runs, a table at its end.

use std::{io::IsTerminal, time::Duration};

use anyhow::{Context, Result, anyhow};
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::client::Answer;
use crate::output::Output;

/// How long one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_mins(2);

/// Downloads below this size say nothing about throughput, in bytes.
const THROUGHPUT_BYTES_MIN: u64 = 1 << 20;

/// What a check saw of its response.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seen {
    status: Option<u16>,
    transport: String,
    path: String,
    bytes: u64,
}

impl Seen {
    /// Notes status and transport of a response.
    pub(super) fn answer(&mut self, answer: &Answer) {
        self.head(answer.status.as_u16(), &answer.headers);
    }

    /// Notes status and transport of a response head.
    pub(super) fn head(&mut self, status: u16, headers: &http::HeaderMap) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
        self.status = Some(status);
        self.transport = text("x-tunnel-transport");
        self.path = text("x-tunnel-path");
    }

    /// Adds what was seen of a request that ran beside others.
    pub(super) fn add(&mut self, other: Self) {
        *self = Self { bytes: self.bytes + other.bytes, ..other };
    }

    /// Notes that this many bytes of content were moved and compared.
    pub(super) const fn bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

#[derive(Debug, Serialize)]
struct Row {
    request: String,
    #[serde(flatten)]
    seen: Seen,
    millis: f64,
    megabytes_per_second: Option<f64>,
    ok: bool,
    problem: Option<String>,
}

/// Collects the results of the checks.
#[derive(Debug)]
pub(super) struct Report {
    rows: Vec<Row>,
    progress: ProgressBar,
    transport: Option<&'static str>,
}

impl Report {
    /// An empty report of about `checks` checks to come. A response that did not come by `transport` is a difference.
    pub(super) fn new(output: Output, checks: u64, transport: Option<&'static str>) -> Self {
        let hidden = output.is_quiet() || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let progress = ProgressBar::with_draw_target(Some(checks), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan} {pos}/{len} {msg}") {
            progress.set_style(style);
        }
        Self { rows: Vec::new(), progress, transport }
    }

    /// Runs one check and keeps its result. Dropping the future drops the check.
    pub(super) async fn check(&mut self, request: &str, check: impl AsyncFnOnce(&mut Seen) -> Result<()>) {
        self.progress.set_message(request.to_owned());
        let mut seen = Seen::default();
        let start = Instant::now();
        let result = timeout(CHECK_TIMEOUT, check(&mut seen)).await.context("not finished in time").flatten();
        let result = result.and_then(|()| self.travelled(&seen));
        let elapsed = start.elapsed();
        self.progress.inc(1);
        self.rows.push(Row {
            request: request.to_owned(),
            millis: (elapsed.as_secs_f64() * 1e5).round() / 1e2,
            megabytes_per_second: throughput(seen.bytes, elapsed),
            ok: result.is_ok(),
            problem: result.err().map(|error| format!("{error:#}")),
            seen,
        });
    }

    fn travelled(&self, seen: &Seen) -> Result<()> {
        match self.transport {
            // The head that opens a WebSocket does not say how it came.
            Some(expected) if seen.transport != expected && seen.status != Some(101) => {
                Err(anyhow!("came by '{}' instead of {expected}", seen.transport))
            }
            _ => Ok(()),
        }
    }

    /// How many checks were made, and how many found a difference.
    pub(super) fn totals(&self) -> (usize, usize) {
        (self.rows.len(), self.rows.iter().filter(|row| !row.ok).count())
    }

    /// Ends the progress bar and prints the results.
    pub(super) fn print(&self, output: Output) {
        self.progress.finish_and_clear();
        for row in &self.rows {
            output.json(&serde_json::json!({ "event": "check", "check": row }));
        }
        output.text(self.table().to_string());
        for row in &self.rows {
            if let Some(problem) = &row.problem {
                output.note(format!("✗ {}: {problem}", row.request));
            }
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["request", "status", "transport", "path", "time", "throughput", ""]);
        for row in &self.rows {
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            let mark = if row.ok { Cell::new("ok").fg(Color::Green) } else { Cell::new("✗").fg(Color::Red) };
            table.add_row([
                Cell::new(&row.request),
                Cell::new(row.seen.status.map_or_else(|| "-".to_owned(), |status| status.to_string())),
                Cell::new(&row.seen.transport),
                Cell::new(&row.seen.path),
                right(format!("{:.1} ms", row.millis)),
                right(row.megabytes_per_second.map_or_else(String::new, |rate| format!("{rate:.0} MB/s"))),
                mark.add_attribute(Attribute::Bold),
            ]);
        }
        table
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn throughput(bytes: u64, elapsed: Duration) -> Option<f64> {
    (bytes >= THROUGHPUT_BYTES_MIN).then(|| (bytes as f64 / 1e5 / elapsed.as_secs_f64()).round() / 10.0)
}
