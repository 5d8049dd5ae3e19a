//! Threads that go before all others, so that a busy machine does not make packets late.
//!
//! The right to start them ends at the door of a namespace of users. So a thread that has it goes in first, and starts the
//! others from there, for they inherit it.

use std::{
    process::{self, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, anyhow};

use crate::requirements::find;

/// The lowest of the real-time priorities: above everything usual.
const REAL_TIME: [&str; 3] = ["--fifo", "--pid", "1"];

/// What everything else has.
const USUAL: [&str; 3] = ["--other", "--pid", "0"];

type Work = Box<dyn FnOnce() + Send>;
type Started = mpsc::SyncSender<std::io::Result<JoinHandle<()>>>;

/// Starts such threads. Where the machine does not allow it, they are usual ones.
#[derive(Clone, Debug)]
pub(crate) struct PromptThreads {
    orders: mpsc::SyncSender<(Work, Started)>,
    prompt: bool,
}

impl PromptThreads {
    /// Enters the namespace. The process must have no other threads.
    pub(crate) fn before<R>(enter: impl FnOnce() -> R) -> (Self, R) {
        let prompt = schedule(REAL_TIME);
        let entered = enter();
        let (orders, inbox) = mpsc::sync_channel::<(Work, Started)>(1);
        _ = thread::Builder::new().name("prompt".to_owned()).spawn(move || {
            while let Ok((work, started)) = inbox.recv() {
                _ = started.send(thread::Builder::new().name("wan-link".to_owned()).spawn(work));
            }
        });
        if prompt {
            // The calling thread only, and those that it starts from now on.
            schedule(USUAL);
        }
        (Self { orders, prompt }, entered)
    }

    /// Whether they do go before others.
    pub(crate) const fn are_prompt(&self) -> bool {
        self.prompt
    }

    /// Starts one.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
        let (started, starts) = mpsc::sync_channel(1);
        self.orders.send((Box::new(work), started)).map_err(|_| anyhow!("no threads can be started"))?;
        Ok(starts.recv().context("no threads can be started")??)
    }
}

/// Changes the calling thread, which must be the process's first; whether that is allowed.
fn schedule([policy, pid, priority]: [&str; 3]) -> bool {
    let Some(tool) = find("chrt") else { return false };
    let mut command = Command::new(tool);
    command.args([policy, pid, priority, &process::id().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_another_thread() {
        // Not the first thread: the priority of the test's process is not changed.
        let (orders, inbox) = mpsc::sync_channel::<(Work, Started)>(1);
        let threads = PromptThreads { orders, prompt: false };
        let foreman = thread::spawn(move || {
            let (work, started) = inbox.recv().unwrap();
            started.send(thread::Builder::new().spawn(work)).unwrap();
        });
        let (said, heard) = mpsc::sync_channel(1);
        threads.spawn(move || said.send(7).unwrap()).unwrap().join().unwrap();
        foreman.join().unwrap();
        assert_eq!(heard.recv(), Ok(7));
        assert!(threads.spawn(|| ()).is_err());
    }
}
