//! A thread that stands for a process, so that it can die without a word.

use std::{
    future::{Future, poll_fn},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Poll, Waker},
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
};

use crate::backend::lock;

/// A runtime of its own. Dropping it kills it.
pub(super) struct Process {
    runtime: Handle,
    alive: AtomicBool,
    /// While it is frozen; dropping it goes on.
    thaw: Mutex<Option<mpsc::SyncSender<()>>>,
    /// Those that wanted to go on while it was frozen.
    waiting: Mutex<Vec<Waker>>,
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
            waiting: Mutex::new(Vec::new()),
            thread: Mutex::new(Some((end, thread))),
        }
    }

    /// Whatever the future spawns goes to this process. In a dead process nothing happens: it never ends.
    pub(super) fn inside<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        let mut future = Box::pin(future);
        poll_fn(move |cx| {
            if !self.alive.load(Ordering::Acquire) {
                lock(&self.waiting).push(cx.waker().clone());
                return Poll::Pending;
            }
            let _inside = self.runtime.enter();
            future.as_mut().poll(cx)
        })
    }

    /// Stands still with all that it has, until it is thawed or killed.
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
        *lock(&self.thaw) = Some(thaw);
    }

    /// Goes on where it stood still.
    pub(super) fn thaw(&self) {
        self.alive.store(true, Ordering::Release);
        drop(lock(&self.thaw).take());
        std::mem::take(&mut *lock(&self.waiting)).into_iter().for_each(Waker::wake);
    }

    /// Drops all tasks of the process where they are. Idempotent.
    pub(super) fn kill(&self) {
        self.alive.store(false, Ordering::Release);
        drop(lock(&self.thaw).take());
        let thread = lock(&self.thread).take();
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
