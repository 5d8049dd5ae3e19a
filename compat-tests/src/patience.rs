//! How long cases wait.

use std::{cell::Cell, future::Future, time::Duration};

use tokio::time::{sleep, timeout};

/// No step of a case takes longer unless something hangs. It includes the time in which a dead host is noticed, and that
/// of 8 MiB on the narrowest of the simulated networks.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Long enough for something to happen that must not happen.
pub const A_WHILE: Duration = Duration::from_millis(200);

thread_local! {
    /// How long [`soon`] waits on this thread, which runs one case.
    static LIMIT: Cell<Duration> = const { Cell::new(PATIENCE) };
}

/// Shortens the waits of a case of which it is known that it waits in vain, until it is dropped.
pub struct Impatience(());

impl Impatience {
    /// From now on, on this thread.
    pub fn begin(limit: Duration) -> Self {
        LIMIT.set(limit);
        Self(())
    }
}

impl Drop for Impatience {
    fn drop(&mut self) {
        LIMIT.set(PATIENCE);
    }
}

/// Fails the case when the future does not end.
pub fn soon<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    // At once, because some futures of a backend take over 20 KiB.
    let future = Box::pin(future);
    async move {
        let limit = LIMIT.get();
        timeout(limit, future).await.unwrap_or_else(|_| panic!("{what}: nothing happened within {limit:?}"))
    }
}

/// Waits until the condition holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    soon(what, async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Whether the future is still pending after [`A_WHILE`]. It goes on where it was.
pub async fn waits<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    timeout(A_WHILE, future).await.is_err()
}
