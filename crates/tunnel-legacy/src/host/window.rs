//! How many packets of one response may still be sent.

use tokio::sync::Semaphore;

use crate::message::WINDOW_PACKETS;

/// The largest window, in packets: what nobody needs, and no sum of windows overflows.
const PACKETS_MAX: usize = 1 << 20;

pub(super) struct Window(Semaphore);

impl Window {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(WINDOW_PACKETS as usize))
    }

    /// Waits until one more packet may be sent. Cancel safe.
    pub(super) async fn take(&self) {
        // It is never closed.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }

    /// So many more may be sent.
    pub(super) fn open(&self, packets: u32) {
        let room = PACKETS_MAX.saturating_sub(self.0.available_permits());
        self.0.add_permits(usize::try_from(packets).unwrap_or(room).min(room));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn begins_with_the_packets_that_the_protocol_says_and_never_overflows() {
        let window = Window::new();
        for _ in 0..32 {
            assert!(window.take().now_or_never().is_some());
        }
        assert!(window.take().now_or_never().is_none());
        for _ in 0..10_000 {
            window.open(u32::MAX);
        }
        assert!(window.take().now_or_never().is_some());
    }
}
