//! The figures of all rounds, as a table.

use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, Color, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::output::Output;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    /// Nothing in particular.
    None,
    /// Ours is at least this part of the beside.
    RatioMin(f64),
    /// Ours is at most this.
    Max(f64),
    /// Ours is hardly above the other.
    Near {
        /// At most this part of it.
        ratio_max: f64,
        /// At most so much more.
        added_max: f64,
    },
}

/// One line of the report: its name, the unit of its figures and its goal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leg {
    name: String,
    unit: &'static str,
    goal: Goal,
}

impl Leg {
    /// A line without a goal.
    pub(super) fn new(name: impl Into<String>, unit: &'static str) -> Self {
        Self { name: name.into(), unit, goal: Goal::None }
    }

    /// Sets the goal.
    pub(super) const fn goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }
}

#[derive(Debug)]
struct Row {
    leg: Leg,
    /// Ours and the beside, one of each per round.
    rounds: Vec<(Option<f64>, Option<f64>)>,
}

impl Row {
    fn ours(&self) -> Option<f64> {
        median(self.rounds.iter().filter_map(|(ours, _)| *ours))
    }

    fn beside(&self) -> Option<f64> {
        median(self.rounds.iter().filter_map(|(_, beside)| *beside))
    }

    /// The median of the rounds' own ratios, so that a neighbour's load in one round falls out.
    fn ratio(&self) -> Option<f64> {
        median(self.rounds.iter().filter_map(|(ours, beside)| Some((*ours)? / (*beside)?)))
    }

    /// The median of the rounds' own differences.
    fn added(&self) -> Option<f64> {
        median(self.rounds.iter().filter_map(|(ours, beside)| Some((*ours)? - (*beside)?)))
    }

    fn is_met(&self) -> Option<bool> {
        match self.leg.goal {
            Goal::None => None,
            Goal::RatioMin(min) => Some(self.ratio()? >= min),
            Goal::Max(max) => Some(self.ours()? <= max),
            Goal::Near { ratio_max, added_max } => Some(self.ratio()? <= ratio_max && self.added()? <= added_max),
        }
    }
}

/// Collects the figures of all rounds.
#[derive(Debug)]
pub(super) struct Report {
    rows: Vec<Row>,
    progress: ProgressBar,
}

impl Report {
    /// An empty report of `steps` measurements to come.
    pub(super) fn new(output: Output, steps: u64) -> Self {
        let hidden = output.is_quiet() || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let progress = ProgressBar::with_draw_target(Some(steps), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan} {pos}/{len} {msg}") {
            progress.set_style(style);
        }
        Self { rows: Vec::new(), progress }
    }

    /// Says what is measured next.
    pub(super) fn step(&self, what: impl Into<String>) {
        self.progress.set_message(what.into());
        self.progress.inc(1);
    }

    /// Adds the figures of one round.
    pub(super) fn record(&mut self, leg: Leg, ours: Option<f64>, beside: Option<f64>) {
        let known = self.rows.iter_mut().find(|row| row.leg == leg);
        match known {
            Some(row) => row.rounds.push((ours, beside)),
            None => self.rows.push(Row { leg, rounds: vec![(ours, beside)] }),
        }
    }

    /// Ends the progress bar and prints the medians.
    pub(super) fn print(&self, output: Output) {
        self.progress.finish_and_clear();
        for row in &self.rows {
            output.json(&json!({
                "event": "leg",
                "leg": row.leg.name,
                "unit": row.leg.unit,
                "ours": row.ours(),
                "beside": row.beside(),
                "ratio": row.ratio(),
                "goal": goal(&row.leg),
                "met": row.is_met(),
                "rounds": row.rounds,
            }));
        }
        output.text(self.table().to_string());
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["leg", "ours", "beside", "ratio", "goal", "met?"]);
        for row in &self.rows {
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            let figure = |value: Option<f64>| value.map(|value| format!("{} {}", digits(value), row.leg.unit));
            table.add_row([
                Cell::new(&row.leg.name),
                right(figure(row.ours()).unwrap_or_else(|| "n/a".to_owned())),
                right(figure(row.beside()).unwrap_or_default()),
                right(row.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default()),
                Cell::new(goal(&row.leg).unwrap_or_default()),
                match row.is_met() {
                    None => Cell::new(""),
                    Some(true) => Cell::new("yes").fg(Color::Green),
                    Some(false) => Cell::new("no").fg(Color::Red),
                },
            ]);
        }
        table
    }
}

fn goal(leg: &Leg) -> Option<String> {
    match leg.goal {
        Goal::None => None,
        Goal::RatioMin(min) => Some(format!("ratio >= {min}")),
        Goal::Max(max) => Some(format!("<= {max} {}", leg.unit)),
        Goal::Near { ratio_max, added_max } => Some(format!("ratio <= {ratio_max}, added <= {added_max} {}", leg.unit)),
    }
}

/// As many digits as mean something.
fn digits(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[length / 2]),
        length => Some(f64::midpoint(values[length / 2 - 1], values[length / 2])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_ratios() {
        let mut report = Report::new(Output::new(false, true), 0);
        let leg = || Leg::new("leg", "MB/s").goal(Goal::RatioMin(0.9));
        for (ours, beside) in [(95.0, 100.0), (10.0, 100.0), (950.0, 1000.0)] {
            report.record(leg(), Some(ours), Some(beside));
        }
        assert_eq!((report.rows[0].ratio(), report.rows[0].is_met()), (Some(0.95), Some(true)));
    }

    #[test]
    fn a_figure_that_is_not_available_meets_nothing() {
        let mut report = Report::new(Output::new(false, true), 0);
        report.record(Leg::new("leg", "ms").goal(Goal::Max(1.0)), None, None);
        assert_eq!(report.rows[0].is_met(), None);
    }
}
