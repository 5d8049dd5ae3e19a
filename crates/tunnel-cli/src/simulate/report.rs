//! What the runs found out: progress while they run, a table at their end.

use std::{env, io::IsTerminal, time::Duration};

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets::UTF8_FULL_CONDENSED};
use data_encoding::HEXLOWER;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use sha2::{Digest, Sha256};
use tunnel_sim::{Report, Scenario, oracle::Tally};

use crate::output::Output;

/// Runs whose violations are told; there may be thousands, all with the same cause.
const TOLD_MAX: usize = 20;

/// Collects the reports.
pub(super) struct Results {
    output: Output,
    lines: Vec<Line>,
    told: usize,
    runs: usize,
    violations: usize,
    trace: Option<String>,
    progress: ProgressBar,
}

/// What is known of one scenario.
struct Line {
    scenario: &'static str,
    runs: u64,
    tally: Tally,
    events: u64,
    virtual_time: Duration,
    violations: usize,
    /// Over the hashes of all traces, in order; of a single one, that hash itself.
    hash: Sha256,
    only_hash: String,
}

impl Results {
    /// Of so many runs to come.
    pub(super) fn new(output: Output, scenarios: &[Scenario], runs: usize) -> Self {
        let hidden = output.is_quiet() || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let progress = ProgressBar::with_draw_target(Some(runs as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan} {pos}/{len} {eta} left {wide_msg}") {
            progress.set_style(style);
        }
        let line = |scenario: &Scenario| Line {
            scenario: scenario.name,
            runs: 0,
            tally: Tally::default(),
            events: 0,
            virtual_time: Duration::ZERO,
            violations: 0,
            hash: Sha256::new(),
            only_hash: String::new(),
        };
        let lines = scenarios.iter().map(line).collect();
        Self { output, lines, told: 0, runs: 0, violations: 0, trace: None, progress }
    }

    /// Keeps a report. Scripts get it at once.
    pub(super) fn add(&mut self, report: Report) {
        self.progress.inc(1);
        self.runs += 1;
        self.violations += report.violations.len();
        self.output.json(&json!({
            "event": "run",
            "scenario": report.scenario,
            "seed": report.seed,
            "hash": report.trace.hash,
            "events": report.trace.events,
            "virtual_seconds": report.virtual_time.as_secs_f64(),
            "requests": {
                "complete": report.tally.complete,
                "aborted": report.tally.aborted,
                "failed": report.tally.failed,
            },
            "violations": report.violations,
        }));
        if !report.violations.is_empty() && self.told < TOLD_MAX {
            self.told += 1;
            // At once, and not only at the end: it may be hours away.
            self.progress.suspend(|| self.output.text(explain(&report)));
            self.progress.set_message(format!("{} violations", self.violations));
        }
        if let Some(line) = self.lines.iter_mut().find(|line| line.scenario == report.scenario) {
            line.add(&report);
        }
        self.trace = report.trace.text;
    }

    /// How many violations there were.
    pub(super) const fn violations(&self) -> usize {
        self.violations
    }

    /// The text of the last trace, if it was kept.
    pub(super) fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    /// Ends the progress bar and prints the results.
    pub(super) fn print(&self) {
        self.progress.finish_and_clear();
        self.output.text(self.table().to_string());
        self.output.json(&json!({ "event": "done", "runs": self.runs, "violations": self.violations }));
        self.output.text(match (self.runs, self.violations) {
            (1, 0) => "Everything held.".to_owned(),
            (runs, 0) => format!("Everything held in all {runs} runs."),
            (runs, violations) => format!("{violations} violations in {runs} runs."),
        });
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["scenario", "runs", "complete", "aborted", "failed", "events", "virtual time", "trace", ""]);
        for line in &self.lines {
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            let mark =
                if line.violations == 0 { Cell::new("ok").fg(Color::Green) } else { Cell::new("✗").fg(Color::Red) };
            table.add_row([
                Cell::new(line.scenario),
                right(line.runs.to_string()),
                right(line.tally.complete.to_string()),
                right(line.tally.aborted.to_string()),
                right(line.tally.failed.to_string()),
                right(line.events.to_string()),
                right(format!("{:.0} s", line.virtual_time.as_secs_f64())),
                Cell::new(&line.hash()[..16]),
                mark.add_attribute(Attribute::Bold),
            ]);
        }
        table
    }
}

impl Line {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.tally.complete += report.tally.complete;
        self.tally.aborted += report.tally.aborted;
        self.tally.failed += report.tally.failed;
        self.events += report.trace.events;
        self.virtual_time += report.virtual_time;
        self.violations += report.violations.len();
        self.hash.update(report.trace.hash.as_bytes());
        self.only_hash.clone_from(&report.trace.hash);
    }

    fn hash(&self) -> String {
        if self.runs == 1 { self.only_hash.clone() } else { HEXLOWER.encode(&self.hash.clone().finalize()) }
    }
}

/// What did not hold in a run, and how to see it again.
fn explain(report: &Report) -> String {
    let violations = report.violations.join("\n    ");
    // What the environment says is part of the run.
    let mut variables: Vec<(String, String)> =
        env::vars().filter(|(name, _)| name.starts_with("SIMULATOR_") && name != "SIMULATOR_SEED").collect();
    variables.sort();
    let mut command: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    command.push(report.replay());
    let (scenario, seed, command) = (report.scenario, report.seed, command.join(" "));
    format!("✗ {scenario} with seed {seed}:\n    {violations}\n  replay: {command}")
}
