//! What came of the steps.

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::json;
use tokio::time::Instant;

use crate::output::Output;

/// One step, and what came of it.
pub(super) struct Step {
    name: String,
    began: Instant,
    millis: f64,
    /// What was seen.
    transport: String,
    reason: String,
    detail: String,
    problem: Option<String>,
}

impl Step {
    /// A step that begins now.
    pub(super) fn begin(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            began: Instant::now(),
            millis: 0.0,
            transport: String::new(),
            reason: String::new(),
            detail: String::new(),
            problem: None,
        }
    }

    /// Sets how the response came.
    pub(super) fn came(mut self, transport: &str, reason: &str) -> Self {
        transport.clone_into(&mut self.transport);
        reason.clone_into(&mut self.reason);
        self
    }

    /// Adds what people want to know.
    pub(super) fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Ends the step; with a sentence if it went otherwise than it should.
    pub(super) fn end(mut self, problem: Option<String>) -> Self {
        self.millis = self.began.elapsed().as_secs_f64() * 1e3;
        self.problem = problem;
        self
    }

    /// Ends the step with the error that came up.
    pub(super) fn failed(self, error: &anyhow::Error) -> Self {
        self.end(Some(format!("{error:#}")))
    }
}

/// All steps.
pub(super) struct Report {
    output: Output,
    steps: Vec<Step>,
}

impl Report {
    pub(super) const fn new(output: Output) -> Self {
        Self { output, steps: Vec::new() }
    }

    /// Keeps a step. Scripts get it at once.
    pub(super) fn add(&mut self, step: Step) {
        self.output.json(&json!({
            "event": "step",
            "step": step.name,
            "transport": step.transport,
            "reason": step.reason,
            "millis": (step.millis * 100.0).round() / 100.0,
            "detail": step.detail,
            "ok": step.problem.is_none(),
            "problem": step.problem,
        }));
        self.steps.push(step);
    }

    pub(super) fn differences(&self) -> usize {
        self.steps.iter().filter(|step| step.problem.is_some()).count()
    }

    pub(super) fn print(&self) {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["beside a tunnel server", "transport", "reason", "time", "", ""]);
        for step in &self.steps {
            let mark = match step.problem {
                None => Cell::new("ok").fg(Color::Green),
                Some(_) => Cell::new("✗").fg(Color::Red),
            };
            table.add_row([
                Cell::new(&step.name),
                Cell::new(&step.transport),
                Cell::new(&step.reason),
                Cell::new(format!("{:.1} ms", step.millis)).set_alignment(CellAlignment::Right),
                Cell::new(&step.detail),
                mark.add_attribute(Attribute::Bold),
            ]);
        }
        self.output.text(table.to_string());
        for step in &self.steps {
            if let Some(problem) = &step.problem {
                self.output.text(format!("✗ {}: {problem}", step.name));
            }
        }
        let (steps, differences) = (self.steps.len(), self.differences());
        self.output.json(&json!({ "event": "steps-done", "steps": steps, "differences": differences }));
        self.output.text(match differences {
            0 => format!("All {steps} steps went as they should."),
            _ => format!("{differences} of {steps} steps went otherwise than they should."),
        });
    }
}
