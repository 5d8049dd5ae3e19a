//! A thread that stands for a process, so that it can die without a word.

use std::{
    future::{Future, poll_fn},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::Poll,
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
};

/// A runtime of its own. Dropping it kills it.
pub(super) struct Process {
    runtime: Handle,
    alive: AtomicBool,
    /// While it is frozen; dropping it goes on.
    thaw: Mutex<Option<mpsc::SyncSender<()>>>,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Process {
    pub(super) fn start() -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (end, until_end) = oneshot::channel::<()>();
        let life = move || {
            runtime.block_on(until_end).ok();
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("peer".to_owned()).spawn(life).expect("a thread");
        Self {
            runtime: handle,
            alive: AtomicBool::new(true),
            thaw: Mutex::new(None),
            thread: Mutex::new(Some((end, thread))),
        }
    }

    /// Whatever the future spawns goes to this process. In a dead process nothing happens: it never ends.
    pub(super) fn inside<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        let mut future = Box::pin(future);
        poll_fn(move |cx| {
            if !self.alive.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            let _inside = self.runtime.enter();
            future.as_mut().poll(cx)
        })
    }

    /// Stands still with all that it has, until it is killed.
    pub(super) async fn freeze(&self) {
        self.alive.store(false, Ordering::Release);
        let (thaw, until_thaw) = mpsc::sync_channel(0);
        let (frozen, until_frozen) = oneshot::channel();
        // It blocks the only thread that there is.
        drop(self.runtime.spawn(async move {
            frozen.send(()).ok();
            until_thaw.recv().ok();
        }));
        until_frozen.await.ok();
        *self.thaw.lock().unwrap_or_else(PoisonError::into_inner) = Some(thaw);
    }

    /// Drops all tasks of the process where they are. Idempotent.
    pub(super) fn kill(&self) {
        self.alive.store(false, Ordering::Release);
        drop(self.thaw.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((end, thread)) = thread {
            end.send(()).ok();
            thread.join().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
