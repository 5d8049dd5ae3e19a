//! How a lab ends: its exit codes, and what it says when it cannot run.

use std::{io::Write as _, process::ExitCode};

use anyhow::Result;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

/// Something has not held.
const NOT_HELD: u8 = 1;
/// The command line is wrong; clap's code, too.
const USAGE: u8 = 2;
/// Not possible on this machine.
const NOT_POSSIBLE: u8 = 3;
/// Stopped by a signal.
const STOPPED: u8 = 130;

/// A lab, by its name in messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabName(pub(crate) &'static str);

/// The command line is wrong.
pub(crate) fn usage(message: &str) -> ExitCode {
    say(&[message.to_owned()]);
    ExitCode::from(USAGE)
}

impl LabName {
    /// The lab cannot run here, for these reasons.
    pub(crate) fn not_possible(self, messages: &[String]) -> ExitCode {
        _ = writeln!(std::io::stderr().lock(), "THE {} HAS NOT RUN: it is not possible here.", self.0);
        say(messages);
        ExitCode::from(NOT_POSSIBLE)
    }

    /// Runs a lab; `everything` says whether all has held.
    pub(crate) fn run(self, everything: impl Future<Output = Result<bool>>) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return self.not_possible(&[error.to_string()]),
        };
        match until_stopped(&runtime, everything) {
            Ok(Some(true)) => ExitCode::SUCCESS,
            Ok(Some(false)) => ExitCode::from(NOT_HELD),
            Ok(None) => ExitCode::from(STOPPED),
            Err(error) => self.not_possible(&[format!("{error:#}")]),
        }
    }
}

fn say(messages: &[String]) {
    let mut stderr = std::io::stderr().lock();
    for message in messages {
        _ = writeln!(stderr, "error: {message}");
    }
}

/// The result, or nothing if a signal came first.
fn until_stopped(runtime: &Runtime, everything: impl Future<Output = Result<bool>>) -> Result<Option<bool>> {
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // Whoever is dropped here kills its processes and ends its namespaces.
        tokio::select! {
            held = everything => held.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
            _ = terminated.recv() => Ok(None),
        }
    })
}
