//! What is shown: progress, a table for people, lines for scripts.

use std::{io::Write as _, time::Duration};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    cell::Cell,
    results::Results,
    run::Run,
    summary::{Requirement, requirements},
};
use crate::statistics::Spread;

const HEAD: [&str; 9] =
    ["leg", "MB/s", "of link", "of BBR", "of Cubic", "small p50", "small p95", "dropped", "CPU s/GiB"];

/// Shows what comes.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    progress: ProgressBar,
}

impl Report {
    /// For so many runs.
    pub(crate) fn new(json: bool, runs: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
        let progress = ProgressBar::new(runs);
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        progress.enable_steady_tick(Duration::from_millis(500));
        Self { json, progress }
    }

    /// Something begins.
    pub(crate) fn begin(&self, name: String) {
        self.progress.set_message(name);
    }

    /// A run has ended; it is the last of the results.
    pub(crate) fn end(&self, results: &Results) {
        self.progress.inc(1);
        let Some(run) = results.runs.last() else { return };
        if self.json {
            self.line(&line(results, run));
            return;
        }
        let mark = if run.held() { "✓" } else { "✗" };
        let small = run.small_p50_ms.map_or_else(String::new, |time| format!(", small {time:.0} ms"));
        self.tell(&format!("{mark} {} {}: {:.2} MB/s{small}", run.cell, run.leg, run.mb_per_s));
        for failure in &run.failures {
            self.tell(&format!("    {failure}"));
        }
        if let Some(logs) = &run.logs {
            self.tell(&format!("    logs: {}", logs.display()));
        }
    }

    /// Something to know, above the bar.
    pub(crate) fn tell(&self, text: &str) {
        self.progress.suspend(|| _ = writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// Shows the whole of the cells; whether all has held. Without limits only what was wrong counts.
    pub(crate) fn finish(&self, results: &Results, legs: &[&str], judged: bool) -> bool {
        self.progress.finish_and_clear();
        let requirements = if judged { requirements(results, legs) } else { Vec::new() };
        let broken = results.runs.iter().filter(|run| !run.held()).count();
        let missed = requirements.iter().filter(|requirement| !requirement.held()).count();
        if self.json {
            self.line(
                &json!({
                    "event": "done",
                    "runs": results.runs.len(),
                    "failed": broken,
                    "requirements": requirements,
                })
                .to_string(),
            );
        } else {
            for cell in results.cells() {
                self.line(&format!("{cell}\n{}", table(results, cell)));
            }
            for requirement in &requirements {
                self.line(&describe(requirement));
            }
            self.line(&format!("{} of {} runs without a failure.", results.runs.len() - broken, results.runs.len()));
        }
        broken == 0 && missed == 0
    }

    fn line(&self, text: &str) {
        self.progress.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            // A reader that has gone away is no reason to stop.
            _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        });
    }
}

/// Shows the cells without running them.
pub(crate) fn list(cells: &[Cell], json: bool) {
    let mut stdout = std::io::stdout().lock();
    for cell in cells {
        let cell = cell.to_string();
        _ = if json {
            writeln!(stdout, "{}", json!({ "event": "listed", "cell": cell }))
        } else {
            writeln!(stdout, "{cell}")
        };
    }
}

fn describe(requirement: &Requirement) -> String {
    let Requirement { leg, requirement, cells, holds_in, missed } = requirement;
    let mark = if holds_in == cells { "✓" } else { "✗" };
    let mut text = format!("{mark} {leg}: {requirement}: {holds_in} of {cells}");
    for missed in missed {
        text = format!("{text}\n    {missed}");
    }
    text
}

fn table(results: &Results, cell: &str) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_header(HEAD);
    for leg in results.legs(cell) {
        let runs = results.of(cell, leg);
        let ratio = |to: &str| results.ratio(cell, leg, to).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let cut_off = if runs.iter().any(|run| run.cut_off) { " (cut off)" } else { "" };
        table.add_row([
            leg.to_owned(),
            shown(&runs, 2, |run| Some(run.mb_per_s)) + cut_off,
            shown(&runs, 2, |run| Some(run.link_ratio)),
            ratio("tcp-bbr"),
            ratio("tcp-cubic"),
            shown(&runs, 0, |run| run.small_p50_ms),
            shown(&runs, 0, |run| run.small_p95_ms),
            shown(&runs, 1, |run| Some(run.dropped_percent)) + " %",
            shown(&runs, 1, |run| run.cpu_s_per_gib),
        ]);
    }
    table
}

/// The middle of the runs, and from where to where if they differ.
fn shown(runs: &[&Run], digits: usize, value: impl Fn(&Run) -> Option<f64>) -> String {
    let measured = runs.iter().filter(|run| run.bytes > 0);
    let Some(spread) = Spread::of(measured.filter_map(|run| value(run))) else { return String::new() };
    let show = |number: f64| format!("{number:.digits$}");
    let (least, middle, most) = (show(spread.least), show(spread.middle), show(spread.most));
    if least == most { middle } else { format!("{middle} ({least} to {most})") }
}

fn line(results: &Results, run: &Run) -> String {
    let mut value = json!(run);
    value["event"] = json!("leg");
    // Of this run, where both were made.
    for (name, other) in [("bbr_ratio", "tcp-bbr"), ("cubic_ratio", "tcp-cubic")] {
        let other = results.find(&run.cell, other, run.run).filter(|other| other.mb_per_s > 0.0);
        value[name] = json!(other.map(|other| run.mb_per_s / other.mb_per_s));
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_ratios_of_its_run() {
        let run = |leg: &str, mb_per_s| Run { leg: leg.to_owned(), mb_per_s, bytes: 1, ..Run::default() };
        let mut results = Results::default();
        results.add(run("tcp-bbr", 5.0)).unwrap();
        results.add(run("p2p", 4.0)).unwrap();
        let line: serde_json::Value = serde_json::from_str(&line(&results, &results.runs[1])).unwrap();
        assert_eq!((&line["event"], &line["bbr_ratio"]), (&json!("leg"), &json!(0.8)));
        assert!(line["cubic_ratio"].is_null());
        assert_eq!(shown(&[&results.runs[0], &results.runs[1]], 1, |run| Some(run.mb_per_s)), "4.5 (4.0 to 5.0)");
        assert!(table(&results, "").to_string().contains("0.80"));
    }
}
