//! How long the cases about peers wait: as all cases do, without saying for what.

use std::future::Future;

pub(super) use crate::patience::waits;

/// Waits for what must happen.
pub(super) fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    crate::patience::soon("a step of the case", future)
}

/// Waits until the condition holds.
pub(super) async fn until(condition: impl FnMut() -> bool) {
    crate::patience::until("the condition of the case", condition).await;
}
