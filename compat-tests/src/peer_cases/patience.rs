//! How long a case waits: for what must happen, and for what must not.

use std::{future::Future, time::Duration};

use tokio::time::timeout;

/// What is slower than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for something to happen that must not happen.
const A_WHILE: Duration = Duration::from_millis(300);

/// Waits for what must happen.
pub(super) fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    // Boxed, because some futures of a backend take over 20 KiB.
    let future = Box::pin(future);
    async { timeout(PATIENCE, future).await.expect("nothing happened for 30 s") }
}

/// Whether `future` is still pending after a while. It goes on where it was.
pub(super) async fn waits<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    timeout(A_WHILE, future).await.is_err()
}

/// Waits until the condition holds.
pub(super) async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
