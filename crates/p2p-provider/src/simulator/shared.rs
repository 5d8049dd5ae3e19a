//! The one lock of a simulated network, and the task that moves its time.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::world::World;

/// A world, and the clock that it follows.
pub(super) struct Shared {
    world: Mutex<World>,
    epoch: Instant,
    /// There may be something to do earlier than the task knows.
    changed: Arc<Notify>,
    driver: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Shared {
    pub(super) fn start(world: World) -> Arc<Self> {
        let shared = Arc::new(Self {
            world: Mutex::new(world),
            epoch: Instant::now(),
            changed: Arc::default(),
            driver: Mutex::new(None),
        });
        #[expect(clippy::disallowed_methods, reason = "the handle aborts it with the network")]
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(Arc::downgrade(&shared))));
        *shared.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
        shared
    }

    /// Looks at the world, or changes it, at the present time. Must not be called from within.
    pub(super) fn with<T>(&self, action: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.set_now(self.epoch.elapsed());
        let before = world.next_deadline();
        let result = action(&mut world);
        let after = world.next_deadline();
        drop(world);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.changed.notify_one();
        }
        result
    }
}

/// Does what is due, when it is due, for as long as somebody has the network.
async fn drive(network: Weak<Shared>) {
    while let Some(shared) = network.upgrade() {
        let deadline = shared.with(|world| {
            world.run_timers();
            world.next_deadline()
        });
        let deadline = deadline.map(|deadline| shared.epoch + deadline);
        let changed = Arc::clone(&shared.changed);
        drop(shared);
        match deadline {
            Some(deadline) => tokio::select! {
                biased;
                () = sleep_until(deadline) => {}
                () = changed.notified() => {}
            },
            None => changed.notified().await,
        }
    }
}
