//! What goes to stdout and stderr, for people and for scripts.

use std::io::Write;

use serde_json::{Value, json};

use crate::error::CliError;

/// Where results and explanations go. A reader that has gone away is no reason to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// JSON or text on stdout; with `quiet`, no explanations.
    pub(crate) const fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether explanations are unwanted.
    pub(crate) const fn is_quiet(self) -> bool {
        self.quiet
    }

    /// A result for people, on stdout. Nothing when stdout is JSON.
    pub(crate) fn text(self, text: impl AsRef<str>) {
        if !self.json {
            stdout_line(text.as_ref());
        }
    }

    /// A result for scripts: one line of JSON on stdout. Nothing when stdout is text.
    pub(crate) fn json(self, value: &Value) {
        if self.json {
            stdout_line(&value.to_string());
        }
    }

    /// An explanation for people, on stderr.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if !self.quiet {
            stderr_line(text.as_ref());
        }
    }

    /// The error that ends the process.
    pub(crate) fn error(self, error: &CliError) {
        stderr_line(&format!("error: {error}"));
        self.json(&json!({ "event": "error", "message": error.to_string(), "exit_code": error.code() }));
    }
}

fn stdout_line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

fn stderr_line(text: &str) {
    _ = writeln!(std::io::stderr().lock(), "{text}");
}
