//! Credits: how many small frames may lie unread on a stream.
//!
//! QUIC's own flow control counts bytes. It does not bound the *number* of received pieces, and past some thousands of
//! them noq gives up the whole connection. So each `DATA` and WebSocket frame takes a credit, and the reader gives it
//! back once the frame is consumed. The bytes stay under QUIC's control.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use p2p_provider::UNREAD_CHUNKS_MAX;
use tokio::sync::{Notify, Semaphore};

/// Frames that may be sent on a stream before the first credit arrives.
pub(crate) const INITIAL: u32 = UNREAD_CHUNKS_MAX;

/// A reader gives back credits in portions of this size: one control frame per 128 frames read.
const PORTION: u32 = 128;

/// A writer registers for credits with this frame: early enough, because the reader answers the 128th at the soonest,
/// and late enough that short exchanges never do.
const REGISTER_AT: u32 = 64;

/// The credits of the streams that this side writes on one connection.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    credits: Mutex<BTreeMap<u64, Arc<Semaphore>>>,
    /// Frames handed to the transport, which takes no more than its windows while nothing gets through.
    sent: AtomicU64,
}

impl Ledger {
    /// Credits from the peer. Unknown streams have ended already.
    pub(crate) fn grant(&self, stream: u64, frames: u32) {
        if let Some(credits) = self.lock().get(&stream) {
            // A peer that grants more than it was sent only harms itself, but must not overflow the counter.
            let room = (INITIAL as usize).saturating_sub(credits.available_permits());
            credits.add_permits((frames as usize).min(room));
        }
    }

    /// How many frames were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Semaphore>>> {
        self.credits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream's right to send frames.
#[derive(Debug)]
pub(crate) struct SendCredit {
    ledger: Arc<Ledger>,
    stream: u64,
    sent: u32,
    credits: Option<Arc<Semaphore>>,
}

impl SendCredit {
    pub(crate) const fn new(ledger: Arc<Ledger>, stream: u64) -> Self {
        Self { ledger, stream, sent: 0, credits: None }
    }

    /// Waits for the right to send one frame. Cancel safe: nothing is taken before it returns.
    pub(crate) async fn take(&mut self) {
        self.wait().await;
        self.ledger.sent.fetch_add(1, Ordering::Relaxed);
    }

    async fn wait(&mut self) {
        if self.sent < REGISTER_AT {
            self.sent += 1;
            return;
        }
        let credits = self.credits.get_or_insert_with(|| {
            let credits = Arc::new(Semaphore::new((INITIAL - REGISTER_AT) as usize));
            self.ledger.lock().insert(self.stream, Arc::clone(&credits));
            credits
        });
        if let Ok(permit) = credits.acquire().await {
            permit.forget();
        }
    }
}

impl Drop for SendCredit {
    fn drop(&mut self) {
        if self.credits.is_some() {
            self.ledger.lock().remove(&self.stream);
        }
    }
}

/// Credits that are to be given back to the peer. Bounded by the number of streams: portions of one stream add up.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    owed: Mutex<BTreeMap<u64, u32>>,
    changed: Notify,
    /// Frames that were received and consumed.
    consumed: AtomicU64,
}

impl Outbox {
    /// How many frames were consumed.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    fn add(&self, stream: u64, frames: u32) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = owed.entry(stream).or_default();
        *sum = sum.saturating_add(frames);
        self.changed.notify_one();
    }

    /// Waits until something is owed, and takes all of it. Cancel safe.
    pub(crate) async fn take(&self) -> BTreeMap<u64, u32> {
        loop {
            let owed = std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
            if !owed.is_empty() {
                return owed;
            }
            self.changed.notified().await;
        }
    }
}

/// Counts the frames that one stream's reader has consumed.
#[derive(Debug)]
pub(crate) struct ReceiveCredit {
    outbox: Arc<Outbox>,
    stream: u64,
    consumed: AtomicU32,
}

impl ReceiveCredit {
    pub(crate) const fn new(outbox: Arc<Outbox>, stream: u64) -> Self {
        Self { outbox, stream, consumed: AtomicU32::new(0) }
    }

    /// One frame was consumed.
    pub(crate) fn consumed(&self) {
        self.outbox.consumed.fetch_add(1, Ordering::Relaxed);
        let consumed = self.consumed.fetch_add(1, Ordering::Relaxed) + 1;
        if consumed >= PORTION {
            self.consumed.store(0, Ordering::Relaxed);
            self.outbox.add(self.stream, consumed);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn take_all(credit: &mut SendCredit) -> u32 {
        let mut taken = 0;
        while credit.take().now_or_never().is_some() {
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_writer_stops_at_the_limit_and_goes_on_with_what_the_reader_consumed() {
        let ledger = Arc::new(Ledger::default());
        let mut credit = SendCredit::new(Arc::clone(&ledger), 4);
        assert_eq!(take_all(&mut credit), INITIAL);
        ledger.grant(8, 100);
        assert_eq!(take_all(&mut credit), 0);
        ledger.grant(4, 100);
        assert_eq!(take_all(&mut credit), 100);
    }

    #[test]
    fn a_peer_cannot_grant_more_than_the_limit() {
        let ledger = Arc::new(Ledger::default());
        let mut credit = SendCredit::new(Arc::clone(&ledger), 4);
        take_all(&mut credit);
        for _ in 0..10 {
            ledger.grant(4, u32::MAX);
        }
        assert_eq!(take_all(&mut credit), INITIAL);
    }

    #[test]
    fn an_ended_stream_leaves_nothing_behind() {
        let ledger = Arc::new(Ledger::default());
        let mut credit = SendCredit::new(Arc::clone(&ledger), 4);
        take_all(&mut credit);
        drop(credit);
        assert!(ledger.lock().is_empty());
    }

    #[test]
    fn credits_are_given_back_in_portions_that_add_up() {
        let outbox = Arc::new(Outbox::default());
        let credit = ReceiveCredit::new(Arc::clone(&outbox), 4);
        (0..PORTION - 1).for_each(|_| credit.consumed());
        assert!(outbox.take().now_or_never().is_none());
        (0..=PORTION).for_each(|_| credit.consumed());
        assert_eq!(outbox.take().now_or_never(), Some(BTreeMap::from([(4, 2 * PORTION)])));
    }
}
