//! What is shown: progress, tables for people, lines for scripts.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::{
    nat::{case::Case, matrix},
    record::Record,
    table::{held, measured, shown, table},
};

/// Collects what was run and shows it.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    progress: ProgressBar,
    /// Every case with its runs, in order.
    cases: Vec<(Case, Vec<Record>)>,
}

impl Report {
    /// For so many runs.
    pub(crate) fn new(json: bool, runs: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
        let progress = ProgressBar::new(runs);
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        progress.enable_steady_tick(Duration::from_millis(500));
        Self { json, progress, cases: Vec::new() }
    }

    /// A run begins.
    pub(crate) fn begin(&self, case: Case) {
        self.progress.set_message(case.name());
    }

    /// A run has ended.
    pub(crate) fn end(&mut self, case: Case, record: Record) {
        self.progress.inc(1);
        if self.json {
            let run =
                self.cases.iter().find(|(known, _)| known.name() == case.name()).map_or(0, |(_, runs)| runs.len());
            self.line(&line(case, run + 1, &record).to_string());
        } else {
            self.explain(case, &record);
        }
        match self.cases.iter_mut().find(|(known, _)| known.name() == case.name()) {
            Some((_, runs)) => runs.push(record),
            None => self.cases.push((case, vec![record])),
        }
    }

    /// Failures are told at once, above the bar.
    fn explain(&self, case: Case, record: &Record) {
        for forgiven in &record.forgiven {
            let text = format!("! {} was run again, since it had not held: {forgiven}", case.name());
            self.progress.suspend(|| _ = writeln!(std::io::stderr().lock(), "{text}"));
        }
        if record.held() {
            return;
        }
        let mut text = format!("✗ {}", case.name());
        for failure in &record.failures {
            _ = write!(text, "\n    {failure}");
        }
        if let Some(logs) = &record.logs {
            _ = write!(text, "\n    logs: {}", logs.display());
        }
        self.progress.suspend(|| _ = writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// Shows the whole; whether all has held.
    pub(crate) fn finish(&self) -> bool {
        self.progress.finish_and_clear();
        let runs = self.cases.iter().flat_map(|(_, runs)| runs);
        let (mut total, mut held) = (0, 0);
        for record in runs {
            total += 1;
            held += usize::from(record.held());
        }
        if self.json {
            self.line(&json!({ "event": "done", "runs": total, "held": held }).to_string());
        } else {
            for table in [self.matrix(), self.scenarios()].into_iter().flatten() {
                self.line(&table.to_string());
            }
            self.line(&format!("{held} of {total} runs have held."));
        }
        held == total
    }

    fn matrix(&self) -> Option<Table> {
        let mut table =
            table(&["host/gateway", "expected", "held", "path", "first byte", "direct after", "MB/s", "why"]);
        for (case, runs) in &self.cases {
            let Case::Pair(placement) = case else { continue };
            let expected = matrix::expected(*placement);
            table.add_row([
                case.name(),
                expected.path.name().to_owned(),
                held(runs),
                shown(runs, "path"),
                shown(runs, "first byte"),
                shown(runs, "direct"),
                shown(runs, "download"),
                expected.why.to_owned(),
            ]);
        }
        (table.row_count() > 0).then_some(table)
    }

    fn scenarios(&self) -> Option<Table> {
        let mut table = table(&["scenario", "held", "measured"]);
        for (case, runs) in &self.cases {
            let Case::Scenario(_) = case else { continue };
            table.add_row([case.name(), held(runs), measured(runs)]);
        }
        (table.row_count() > 0).then_some(table)
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
    let mut table = table(&["case", "expected"]);
    for case in cases {
        if json {
            _ = writeln!(stdout, "{}", json!({ "event": "listed", "case": case.name(), "expected": case.about() }));
        } else {
            table.add_row([case.name(), case.about()]);
        }
    }
    if !json {
        _ = writeln!(stdout, "{table}");
    }
}

fn line(case: Case, run: usize, record: &Record) -> Value {
    let event = match case {
        Case::Pair(_) => "pair",
        Case::Scenario(_) => "scenario",
    };
    json!({
        "event": event,
        "case": case.name(),
        "run": run,
        "expected": case.about(),
        "held": record.held(),
        "measures": record.measures_json(),
        "failures": record.failures,
        "forgiven": record.forgiven,
        "logs": record.logs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_a_script_needs() {
        let mut record = Record::default();
        record.time("stall", Duration::from_millis(20));
        record.text("path", "direct");
        record.fail("too slow");
        let line = line(Case::Pair(matrix::PAIRS[0]), 3, &record);
        assert_eq!(line["event"], "pair");
        assert_eq!(line["case"], "public/public");
        assert_eq!((&line["run"], &line["held"]), (&json!(3), &json!(false)));
        assert_eq!(line["measures"], json!({ "stall_ms": 20.0, "path": "direct" }));
        assert_eq!(line["failures"], json!(["too slow"]));
    }
}
