//! Runtimes and signals.

use std::time::Duration;

use serde_json::json;
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    error::{CliError, Outcome},
    output::Output,
};

/// How long leftover blocking work may hold up the end of the process.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(200);

/// Runs `future` on a current-thread runtime: all I/O of the process on one thread, which is the lowest latency.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    block_on_this(Builder::new_current_thread(), future)
}

/// Runs `future` on a runtime with a thread for each core: for work that spreads over many connections.
pub(crate) fn block_on_all_cores<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    block_on_this(Builder::new_multi_thread(), future)
}

fn block_on_this<T>(mut builder: Builder, future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| CliError::start("the async runtime did not start").because(error))?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result
}

/// Lets `drain` finish, unless another signal says that nobody wants to wait; `drain` says whether all requests did.
///
/// Dropping the future drops `drain`.
pub(crate) async fn drain(signals: &mut Signals, output: Output, drain: impl Future<Output = bool>) -> Outcome {
    output.note("Stopping: requests under way may finish. Ctrl-C again stops at once.");
    output.json(&json!({ "event": "draining" }));
    let (outcome, drained) = tokio::select! {
        biased;
        () = signals.next() => (Outcome::Aborted, false),
        drained = drain => (Outcome::Done, drained),
    };
    output.note(match (outcome, drained) {
        (Outcome::Aborted, _) => "Stopped at once.",
        (_, false) => "Stopped; requests that took too long were cut.",
        (_, true) => "Stopped.",
    });
    output.json(&json!({ "event": "stopped", "drained": drained }));
    outcome
}

/// Ctrl-C and SIGTERM.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes over both signals. Call it early: from here on they no longer end the process.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(|error| CliError::start("signals are not available").because(error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next signal. Cancel safe: a signal is never lost.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// SIGHUP alone.
#[derive(Debug)]
pub(crate) struct Reloads(Signal);

impl Reloads {
    /// Takes over the signal: from here on it no longer ends the process.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let hangup = signal(SignalKind::hangup());
        hangup.map(Self).map_err(|error| CliError::start("signals are not available").because(error))
    }

    /// Waits for the next one. Cancel safe: a signal is never lost.
    pub(crate) async fn next(&mut self) {
        _ = self.0.recv().await;
    }
}

/// What a signal asks a running gateway for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: turn the kill switch.
    KillSwitch,
}

/// SIGHUP and SIGUSR1.
#[derive(Debug)]
pub(crate) struct Controls {
    hangup: Signal,
    user: Signal,
}

impl Controls {
    /// Takes over both signals: from here on they no longer end the process.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(|error| CliError::start("signals are not available").because(error));
        Ok(Self { hangup: listen(SignalKind::hangup())?, user: listen(SignalKind::user_defined1())? })
    }

    /// Waits for the next one. Cancel safe: a signal is never lost.
    pub(crate) async fn next(&mut self) -> Control {
        tokio::select! {
            biased;
            _ = self.hangup.recv() => Control::Reload,
            _ = self.user.recv() => Control::KillSwitch,
        }
    }
}
