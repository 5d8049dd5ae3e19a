//! The news that the way to others may have changed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// Tells everybody who subscribed. Clones share the subscribers.
#[cfg(any(feature = "iroh", feature = "simulator"))]
#[derive(Clone, Debug, Default)]
pub(crate) struct NetworkNews(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: AtomicU64,
    told: Notify,
}

#[cfg(any(feature = "iroh", feature = "simulator"))]
impl NetworkNews {
    pub(crate) fn tell(&self) {
        self.0.count.fetch_add(1, Ordering::Release);
        self.0.told.notify_waiters();
    }

    #[cfg(feature = "iroh")]
    pub(crate) fn count(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }

    pub(crate) fn subscribe(&self) -> NetworkChanges {
        NetworkChanges { shared: Arc::clone(&self.0), seen: self.0.count.load(Ordering::Acquire) }
    }
}

/// Says when it is worth trying again at once what has failed: a network was joined or left, the machine woke up, the
/// relay is another one. See [`P2PProvider::network_changes`](crate::P2PProvider::network_changes).
#[derive(Clone, Debug)]
pub struct NetworkChanges {
    shared: Arc<Shared>,
    seen: u64,
}

impl NetworkChanges {
    /// Resolves at the next change, at once if there was one since it last did. Several changes count as one. Never
    /// resolves on a network that does not change. Cancel safe: no change is lost.
    pub async fn next(&mut self) {
        loop {
            let mut told = std::pin::pin!(self.shared.told.notified());
            told.as_mut().enable();
            let count = self.shared.count.load(Ordering::Acquire);
            if count != self.seen {
                self.seen = count;
                return;
            }
            told.await;
        }
    }
}

#[cfg(all(test, any(feature = "iroh", feature = "simulator")))]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_change_is_told_once_to_everybody_even_if_nobody_waits() {
        let news = NetworkNews::default();
        let (mut one, mut other) = (news.subscribe(), news.subscribe());
        assert_eq!(one.next().now_or_never(), None);
        news.tell();
        news.tell();
        for subscriber in [&mut one, &mut other] {
            assert_eq!(subscriber.next().now_or_never(), Some(()));
            assert_eq!(subscriber.next().now_or_never(), None);
        }
        assert_eq!(news.subscribe().next().now_or_never(), None, "what was before is no news");
    }
}
