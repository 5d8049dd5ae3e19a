//! What is shown: progress, tables for people, lines for scripts.

use std::{io::Write as _, time::Duration};

use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    case::Case,
    results::Results,
    run::Run,
    scenarios::Scenario,
    summary::{Requirement, requirements},
};
use crate::{
    record::Record,
    statistics::Spread,
    table::{held, measured, table},
};

const HEAD: [&str; 10] =
    ["cell", "leg", "MB/s", "of link", "of BBR", "of Cubic", "small p50 ms", "small p95 ms", "dropped", "CPU s/GiB"];

/// Shows what comes.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    progress: ProgressBar,
    /// Every scenario and leg with its runs, in order.
    scenarios: Vec<(&'static Scenario, String, Vec<Record>)>,
}

impl Report {
    /// For so many runs.
    pub(crate) fn new(json: bool, runs: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
        let progress = ProgressBar::new(runs);
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        progress.enable_steady_tick(Duration::from_millis(500));
        Self { json, progress, scenarios: Vec::new() }
    }

    /// Something begins.
    pub(crate) fn begin(&self, name: String) {
        self.progress.set_message(name);
    }

    /// A run of a leg in a cell has ended.
    pub(crate) fn end(&self, results: &Results, run: &Run) {
        self.progress.inc(1);
        if self.json {
            self.line(&line(results, run));
            return;
        }
        let mark = if run.held() { "✓" } else { "✗" };
        let small = run.small_p50_ms.map_or_else(String::new, |time| format!(", small {time:.0} ms"));
        self.tell(&format!("{mark} {} {}: {:.2} MB/s{small}", run.cell, run.leg, run.mb_per_s));
        self.explain(&run.failures, run.logs.as_deref());
    }

    /// A run of a scenario has ended.
    pub(crate) fn end_scenario(&mut self, scenario: &'static Scenario, leg: &str, record: Record) {
        self.progress.inc(1);
        let known = |(other, name, _): &&mut (&'static Scenario, String, Vec<Record>)| {
            other.name == scenario.name && name == leg
        };
        let before = self.scenarios.iter_mut().find(known).map_or(0, |(_, _, runs)| runs.len());
        if self.json {
            self.line(
                &json!({
                    "event": "scenario",
                    "case": scenario.name,
                    "leg": leg,
                    "run": before + 1,
                    "expected": scenario.about,
                    "held": record.held(),
                    "measures": record.measures_json(),
                    "failures": record.failures,
                    "logs": record.logs,
                })
                .to_string(),
            );
        } else {
            let mark = if record.held() { "✓" } else { "✗" };
            self.tell(&format!("{mark} {} {leg}", scenario.name));
            self.explain(&record.failures, record.logs.as_deref());
        }
        match self.scenarios.iter_mut().find(known) {
            Some((_, _, runs)) => runs.push(record),
            None => self.scenarios.push((scenario, leg.to_owned(), vec![record])),
        }
    }

    fn explain(&self, failures: &[String], logs: Option<&std::path::Path>) {
        for failure in failures {
            self.tell(&format!("    {failure}"));
        }
        if let Some(logs) = logs {
            self.tell(&format!("    logs: {}", logs.display()));
        }
    }

    /// Something to know, above the bar.
    pub(crate) fn tell(&self, text: &str) {
        self.progress.suspend(|| _ = writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// Shows the whole; whether all has held. If cells are not judged, only what went wrong in them counts.
    pub(crate) fn finish(&self, results: &Results, binaries: &[String], judged: bool) -> bool {
        self.progress.finish_and_clear();
        let requirements = if judged { requirements(results, binaries) } else { Vec::new() };
        let records = || self.scenarios.iter().flat_map(|(_, _, runs)| runs);
        let total = results.runs.len() + records().count();
        let broken =
            results.runs.iter().filter(|run| !run.held()).count() + records().filter(|record| !record.held()).count();
        let held = broken == 0 && requirements.iter().all(Requirement::held);
        if self.json {
            let done =
                json!({ "event": "done", "runs": total, "failed": broken, "held": held, "requirements": requirements });
            self.line(&done.to_string());
            return held;
        }
        if !results.runs.is_empty() {
            self.line(&cell_table(results).to_string());
        }
        if !self.scenarios.is_empty() {
            self.line(&self.scenario_table().to_string());
        }
        for requirement in &requirements {
            self.line(&describe(requirement));
        }
        self.line(&format!("{} of {total} runs without a failure.", total - broken));
        held
    }

    fn scenario_table(&self) -> Table {
        let mut table = table(&["scenario", "leg", "held", "measured"]);
        for (scenario, leg, runs) in &self.scenarios {
            table.add_row([scenario.name.to_owned(), leg.clone(), held(runs), measured(runs)]);
        }
        table
    }

    fn line(&self, text: &str) {
        self.progress.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            // A reader that has gone away is no reason to stop.
            _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        });
    }
}

/// Shows the cases without running them.
pub(crate) fn list(cases: &[Case], json: bool) {
    let mut stdout = std::io::stdout().lock();
    for case in cases {
        let (name, about) = (case.name(), case.about());
        _ = match (json, case) {
            (true, _) => writeln!(stdout, "{}", json!({ "event": "listed", "case": name, "expected": about })),
            (false, Case::Cell(_)) => writeln!(stdout, "{name}"),
            (false, Case::Scenario(_)) => writeln!(stdout, "{name}: {about}"),
        };
    }
}

fn describe(requirement: &Requirement) -> String {
    let Requirement { leg, about, cells, holds_in, missed } = requirement;
    let mark = if requirement.held() { "✓" } else { "✗" };
    let mut text = format!("{mark} {leg}: {about}: {holds_in} of {cells}");
    for missed in missed {
        text = format!("{text}\n    {missed}");
    }
    text
}

fn cell_table(results: &Results) -> Table {
    let mut table = table(&HEAD);
    let of_cell = |cell| results.legs(cell).into_iter().map(move |leg| (cell, leg));
    let mut above = None;
    for (cell, leg) in results.cells().into_iter().flat_map(of_cell) {
        // Once is enough for all its legs.
        let name = if above.replace(cell) == Some(cell) { "" } else { cell };
        let runs = results.of(cell, leg);
        let ratio = |to: &str| results.ratio(cell, leg, to).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let cut_off = if runs.iter().any(|run| run.cut_off) { " (cut off)" } else { "" };
        table.add_row([
            name.to_owned(),
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
        let other = results.find(&run.cell, other, run.number, run.seed).filter(|other| other.mb_per_s > 0.0);
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
        assert!(cell_table(&results).to_string().contains("0.80"));
    }
}
