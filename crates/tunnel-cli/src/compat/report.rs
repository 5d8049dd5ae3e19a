//! What the checks found out: progress while they run, a table at their end.

use std::{io::IsTerminal, time::Duration};

use comfy_table::{Attribute, Cell, CellAlignment, Color, Row, Table, presets::UTF8_FULL_CONDENSED};
use compat_tests::black_box::{Check, Finding};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::junit;
use crate::output::Output;

/// Less than this says nothing about throughput, in bytes.
const THROUGHPUT_BYTES_MIN: u64 = 1 << 20;

/// Collects the findings.
#[derive(Debug)]
pub(crate) struct Report {
    output: Output,
    findings: Vec<Finding>,
    progress: ProgressBar,
}

impl Report {
    /// An empty report of `checks` checks to come.
    pub(super) fn new(output: Output, checks: usize) -> Self {
        let hidden = output.is_quiet() || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let progress = ProgressBar::with_draw_target(Some(checks as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan} {pos}/{len} {wide_msg}") {
            progress.set_style(style);
        }
        Self { output, findings: Vec::new(), progress }
    }

    /// Shows what is under way.
    pub(super) fn begins(&self, check: &Check) {
        self.progress.set_message(format!("{}: {}", check.group(), check.name()));
    }

    /// Keeps a finding. Scripts get it at once, so that they see how far it is.
    pub(super) fn add(&mut self, finding: Finding) {
        self.progress.inc(1);
        self.output.json(&json!({ "event": "check", "check": row(&finding) }));
        self.findings.push(finding);
    }

    /// How many checks found a difference.
    pub(crate) fn differences(&self) -> usize {
        self.findings.iter().filter(|finding| finding.result.is_err()).count()
    }

    /// Ends the progress bar and prints the results.
    pub(crate) fn print(&self) {
        self.progress.finish_and_clear();
        let (output, checks, differences) = (self.output, self.findings.len(), self.differences());
        output.text(self.table().to_string());
        for finding in &self.findings {
            if let Err(difference) = &finding.result {
                output.text(format!("✗ {}: {}: {difference}", finding.check.group(), finding.check.name()));
            }
        }
        output.json(&json!({ "event": "done", "checks": checks, "differences": differences }));
        output.text(match (checks, differences) {
            (1, 0) => "The check passed.".to_owned(),
            (_, 0) => format!("All {checks} checks passed: what came through is what the service sent."),
            _ => format!("{differences} of {checks} checks found a difference."),
        });
    }

    /// The same as JUnit XML.
    pub(super) fn junit(&self) -> quick_junit::Report {
        junit::report(&self.findings)
    }

    fn table(&self) -> Table {
        // What is no gateway of ours does not say how its responses came.
        let travelled = self.findings.iter().any(|finding| finding.seen.transport.is_some());
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let travel: &[&str] = if travelled { &["transport", "path"] } else { &[] };
        table.set_header([&["request", "status"], travel, &["time", "throughput", ""]].concat());
        for group in self.findings.chunk_by(|one, next| one.check.group() == next.check.group()) {
            table.add_row([Cell::new(group[0].check.group()).add_attribute(Attribute::Bold)]);
            table.add_rows(group.iter().map(|finding| line(finding, travelled)));
        }
        table
    }
}

/// A finding for people.
fn line(finding: &Finding, travelled: bool) -> Row {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let or_dash = |text: Option<&str>| Cell::new(text.unwrap_or("-"));
    let seen = &finding.seen;
    let mut row = Row::new();
    row.add_cell(Cell::new(format!("  {}", finding.check.name())));
    row.add_cell(Cell::new(seen.status.map_or_else(|| "-".to_owned(), |status| status.to_string())));
    if travelled {
        row.add_cell(or_dash(seen.transport.as_deref()));
        row.add_cell(or_dash(seen.path.as_deref()));
    }
    row.add_cell(right(format!("{:.1} ms", finding.elapsed.as_secs_f64() * 1e3)));
    row.add_cell(right(throughput(finding).map_or_else(String::new, |rate| format!("{rate:.0} MB/s"))));
    let passed = finding.result.is_ok();
    let mark = if passed { Cell::new("ok").fg(Color::Green) } else { Cell::new("✗").fg(Color::Red) };
    row.add_cell(mark.add_attribute(Attribute::Bold));
    row
}

/// A finding for scripts.
fn row(finding: &Finding) -> Value {
    let seen = &finding.seen;
    json!({
        "group": finding.check.group(),
        "request": finding.check.name(),
        "status": seen.status,
        "transport": seen.transport,
        "path": seen.path,
        "bytes": seen.bytes,
        "millis": (finding.elapsed.as_secs_f64() * 1e5).round() / 1e2,
        "megabytes_per_second": throughput(finding),
        "ok": finding.result.is_ok(),
        "problem": finding.result.as_ref().err().map(ToString::to_string),
    })
}

fn throughput(finding: &Finding) -> Option<f64> {
    let Finding { seen, elapsed, .. } = finding;
    (seen.bytes >= THROUGHPUT_BYTES_MIN).then(|| rate(seen.bytes, *elapsed))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(bytes: u64, elapsed: Duration) -> f64 {
    (bytes as f64 / 1e5 / elapsed.as_secs_f64()).round() / 10.0
}
