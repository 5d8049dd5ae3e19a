//! Tasks that end with their owner.

use std::future::Future;

use tokio_util::task::AbortOnDropHandle;

/// Spawns a task on the current runtime; dropping the handle aborts it.
#[expect(clippy::disallowed_methods, reason = "this is the place that gives every task an owner")]
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(future))
}
