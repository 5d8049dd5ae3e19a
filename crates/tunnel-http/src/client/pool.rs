//! Connections to the server that are kept for the next request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tunnel_core::Failure;

use super::{dial::Connection, upload::Progress};

/// How long a connection may go on with an upload after its response is complete: a server may answer early and read
/// the rest, but nobody watches it any more.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The pool; cheap to use from many tasks.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

/// One exchange on one connection. Dropping it closes the connection; [`release`](Self::release) keeps it.
pub(super) struct Lease {
    connection: Connection,
    pool: Weak<Shared>,
    runtime: Handle,
    progress: Arc<Progress>,
}

struct Shared {
    idle_max: usize,
    idle_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The longest unused first.
    idle: Vec<Idle>,
    /// Connections on their way back, and the one task that closes those left idle.
    tasks: JoinSet<()>,
    reaping: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(idle_max: usize, idle_timeout: Duration) -> Self {
        Self { shared: Arc::new(Shared { idle_max, idle_timeout, state: Mutex::new(State::default()) }) }
    }

    /// A connection that was kept; it may have died since.
    pub(super) fn take(&self) -> Option<Connection> {
        self.shared.take()
    }

    /// The connection carries an exchange whose response head has come.
    pub(super) fn lease(&self, connection: Connection, progress: Arc<Progress>) -> Lease {
        Lease { connection, pool: Arc::downgrade(&self.shared), runtime: Handle::current(), progress }
    }
}

impl Lease {
    /// Why the request body broke off, if it did.
    pub(super) fn upload_failure(&self) -> Option<Failure> {
        self.progress.failure()
    }

    /// The response is complete: the connection is kept once the request is complete too. May be called outside of a
    /// runtime.
    pub(super) fn release(mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        if self.connection.sender.is_closed() || pool.idle_max == 0 {
            return;
        }
        if self.connection.sender.is_ready() {
            pool.keep(self.connection, &self.runtime);
            return;
        }
        let weak = Arc::downgrade(&pool);
        let runtime = self.runtime.clone();
        let settle = async move {
            if let Ok(Ok(())) = timeout(SETTLE_TIMEOUT, self.connection.sender.ready()).await
                && let Some(pool) = weak.upgrade()
            {
                pool.keep(self.connection, &self.runtime);
            }
        };
        pool.lock().spawn(settle, &runtime);
    }
}

impl Shared {
    /// The connection that was used last: the others may grow old and go.
    fn take(&self) -> Option<Connection> {
        let mut state = self.lock();
        while let Some(Idle { connection, since }) = state.idle.pop() {
            if since.elapsed() < self.idle_timeout && !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(self: &Arc<Self>, connection: Connection, runtime: &Handle) {
        let mut state = self.lock();
        if state.idle.len() >= self.idle_max {
            state.idle.remove(0);
        }
        state.idle.push(Idle { connection, since: Instant::now() });
        if !std::mem::replace(&mut state.reaping, true) {
            state.spawn(reap(Arc::downgrade(self), self.idle_timeout), runtime);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static, runtime: &Handle) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn_on(task, runtime);
    }
}

/// Closes connections that nobody uses; ends when none is left.
async fn reap(pool: Weak<Shared>, idle_timeout: Duration) {
    loop {
        sleep(idle_timeout.max(Duration::from_millis(100))).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut state = pool.lock();
        state.idle.retain(|idle| idle.since.elapsed() < idle_timeout && !idle.connection.sender.is_closed());
        if state.idle.is_empty() {
            state.reaping = false;
            return;
        }
    }
}
