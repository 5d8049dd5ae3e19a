//! A part of the demo, on a thread and a runtime of its own, as if it were a process.

use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{error::CliError, runtime::block_on};

/// Says that a part is ready, with what the others need to know of it.
pub(super) type Ready<T> = oneshot::Sender<T>;

/// A running part. Dropping it tells it to stop, and waits for its end.
#[derive(Debug)]
pub(super) struct Part {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Part {
    /// Starts a part, which gets what it says through and is told when to stop. Dropping the future stops it.
    pub(super) async fn start<T, F>(
        name: &'static str,
        part: impl FnOnce(Ready<T>, CancellationToken) -> F + Send + 'static,
    ) -> Result<(Self, T), CliError>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), CliError>>,
    {
        let (ready, started) = oneshot::channel();
        let (failed, failure) = oneshot::channel();
        let stop = CancellationToken::new();
        let told = stop.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = block_on(part(ready, told)) {
                tracing::error!(%error, "the {name} of the demo failed");
                _ = failed.send(error);
            }
        });
        let thread = thread.map_err(|error| CliError::start("no thread could be started").because(error))?;
        let part = Self { stop, thread: Some(thread) };
        if let Ok(value) = started.await {
            return Ok((part, value));
        }
        let ended = || CliError::failed(format!("the {name} of the demo ended at its start"));
        Err(failure.await.unwrap_or_else(|_| ended()))
    }

    /// Stops it without holding up this thread. Dropping the future leaves it to end by itself.
    pub(super) async fn end(self) {
        self.tell();
        // A part that panicked has ended, too.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Tells it to stop; dropping it then waits. So several parts can end at the same time.
    pub(super) fn tell(&self) {
        self.stop.cancel();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.tell();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}
