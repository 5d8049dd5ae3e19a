//! The messages that the server's loop has not taken yet.
//!
//! Whoever waits here is bounded by what sent it: requests by their places and the bytes of all of them, WebSockets by
//! what each may have waiting. What nobody wants any more is taken out, so that a loop that stands still gathers nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tunnel_core::{Failure, FailureKind};

use super::message::TunnelMessage;

/// The bytes of requests that the loop has not taken; further ones wait.
const REQUEST_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// For the one who passes messages on.
    changed: Notify,
    bytes: Budget,
}

#[derive(Default)]
struct State {
    /// By their order.
    waiting: BTreeMap<u64, Waiting>,
    pushed: u64,
    /// Requests and WebSockets that may still have something to say.
    users: usize,
    /// Counts the loops; the last one runs.
    loops: u64,
    running: bool,
    closed: bool,
}

/// A message, and what is to be given back when it is taken.
struct Waiting {
    text: String,
    _share: Option<OwnedSemaphorePermit>,
    taken: Option<oneshot::Sender<()>>,
}

/// How many bytes may wait, of all requests or of one WebSocket.
pub(super) struct Budget {
    bytes: Arc<Semaphore>,
    most: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: Arc::new(Semaphore::new(most)), most }
    }

    /// Waits for room. What is larger than all of it waits until it is alone. Cancel safe.
    async fn share(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        // An empty text takes room, too.
        let weight = u32::try_from(bytes.clamp(1, self.most)).unwrap_or(u32::MAX);
        Arc::clone(&self.bytes).acquire_many_owned(weight).await.ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(REQUEST_BYTES_MAX)
    }
}

/// Somebody who may have something to say to the loop. The loop's receiver does not end before.
pub(super) struct User(Arc<Queue>);

/// A request that the loop was told of, or will be. To be [taken back](Told::take_back).
pub(super) struct Told {
    queue: Arc<Queue>,
    place: u64,
    /// `None` once somebody waits for it.
    taken: Option<oneshot::Receiver<()>>,
}

impl Queue {
    /// Somebody new, unless there is no loop.
    pub(super) fn enter(self: &Arc<Self>) -> Result<User, Failure> {
        let mut state = self.lock();
        if state.closed || !state.running {
            return Err(no_loop());
        }
        state.users += 1;
        drop(state);
        Ok(User(Arc::clone(self)))
    }

    /// The number of a new loop, in the place of any before it. `None` if there is nothing to come.
    pub(super) fn start(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.running = true;
        state.loops += 1;
        Some(state.loops)
    }

    /// Takes nobody new. The loop ends after the last of those who are there.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Passes messages on to a loop, until there will be no more, or the loop has ended.
    pub(super) async fn pass_on(self: Arc<Self>, number: u64, to_loop: mpsc::Sender<TunnelMessage>) {
        // First there has to be room: until then what waits can be taken back.
        while let Ok(room) = to_loop.reserve().await {
            tokio::select! {
                biased;
                () = to_loop.closed() => break,
                text = self.next() => match text {
                    Some(text) => room.send(TunnelMessage::Text(text)),
                    None => return,
                },
            }
        }
        let mut state = self.lock();
        if state.loops == number {
            state.running = false;
            // Those who have sent them are told that nobody has seen them.
            state.waiting.clear();
        }
    }

    /// The next message; `None` if there will be none. Cancel safe.
    async fn next(&self) -> Option<String> {
        loop {
            {
                let mut state = self.lock();
                if let Some((_, waiting)) = state.waiting.pop_first() {
                    if let Some(taken) = waiting.taken {
                        // Whoever asked may have gone this moment; then the abort follows.
                        taken.send(()).ok();
                    }
                    return Some(waiting.text);
                }
                if state.closed && state.users == 0 {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// An abort of a request that the loop has taken: there are no more of these than requests.
    fn abort(&self, text: String) {
        self.push(&mut self.lock(), Waiting { text, _share: None, taken: None });
    }

    /// Its place in the order.
    fn push(&self, state: &mut State, waiting: Waiting) -> u64 {
        let place = state.pushed;
        state.pushed += 1;
        if state.running {
            state.waiting.insert(place, waiting);
            self.changed.notify_one();
        }
        place
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    /// Waits for room for a request of so many bytes. Cancel safe.
    pub(super) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.0.bytes.share(bytes).await
    }

    /// Tells the loop of a request.
    pub(super) fn ask(&self, text: String, room: Option<OwnedSemaphorePermit>) -> Told {
        let (sender, taken) = oneshot::channel();
        let place = self.0.push(&mut self.0.lock(), Waiting { text, _share: room, taken: Some(sender) });
        Told { queue: Arc::clone(&self.0), place, taken: Some(taken) }
    }

    /// Tells the loop what a WebSocket client has said, once there is room in the budget. Cancel safe.
    pub(super) async fn say(&self, text: String, budget: &Budget) -> Result<(), Failure> {
        let share = budget.share(text.len()).await;
        let mut state = self.0.lock();
        if !state.running {
            return Err(Failure::new(FailureKind::ShuttingDown, "the server's message loop has ended"));
        }
        self.0.push(&mut state, Waiting { text, _share: share, taken: None });
        drop(state);
        Ok(())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.0.lock().users -= 1;
        self.0.changed.notify_one();
    }
}

impl Told {
    /// Resolves if the loop ends without having seen the request. For one call.
    pub(super) fn unseen(&mut self) -> impl Future<Output = Failure> + use<> {
        let taken = self.taken.take();
        async move {
            if let Some(taken) = taken
                && taken.await.is_err()
            {
                return no_loop();
            }
            std::future::pending().await
        }
    }

    /// The request is wanted no more: the loop never hears of it, or hears of its abort. Whether it has seen it.
    pub(super) fn take_back(self, abort: impl FnOnce() -> String) -> bool {
        let unseen = self.queue.lock().waiting.remove(&self.place);
        // Its share is given back without the lock.
        let seen = unseen.is_none();
        drop(unseen);
        if seen {
            self.queue.abort(abort());
        }
        seen
    }
}

fn no_loop() -> Failure {
    Failure::new(FailureKind::Refused, "the server takes no requests: its message loop is not running")
}
