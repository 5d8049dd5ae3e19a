//! What is to be written to one WebSocket.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::{
    Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::message::ToHost;

/// A peer that has so many short messages of ours unread does not read at all.
const CONTROL_MESSAGES_MAX: usize = 8192;
/// RFC 6455 §7.4.1: the peer did not do its part.
const POLICY: u16 = 1008;

/// Messages that wait to be written, in order. One task takes them, any may put them in.
pub(super) struct Outbox {
    state: Mutex<State>,
    /// Something to write.
    ready: Notify,
    /// Nothing more is written.
    closed: Notify,
    /// Something was written.
    room: Notify,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Queued>,
    bytes: usize,
    requests: usize,
    control: usize,
    close: Option<CloseFrame>,
    ended: bool,
}

enum Queued {
    Request { id: u64, text: Utf8Bytes },
    Text(Utf8Bytes),
    Control(Utf8Bytes),
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no room now.
    Full,
    /// The WebSocket is closing or closed.
    Closed,
}

impl Outbox {
    /// An outbox that holds `bytes_max`, or one message that is longer.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), ready: Notify::new(), closed: Notify::new(), room: Notify::new(), bytes_max }
    }

    /// A request to the host, which [`abort`](Self::abort) can take back.
    pub(super) fn push_request(&self, id: u64, text: String) -> Result<(), Refused> {
        self.push_queued(Queued::Request { id, text: text.into() })
    }

    /// Any other message.
    pub(super) fn push(&self, text: Utf8Bytes) -> Result<(), Refused> {
        self.push_queued(Queued::Text(text))
    }

    /// Waits for room; false if the WebSocket closes before. Dropping the future leaves the message out.
    pub(super) async fn push_when_room(&self, text: Utf8Bytes) -> bool {
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            match self.push(text.clone()) {
                Ok(()) => return true,
                Err(Refused::Closed) => return false,
                Err(Refused::Full) => room.await,
            }
        }
    }

    /// A short message that must not get lost. A peer that leaves too many of them unread is closed.
    pub(super) fn push_control(&self, text: String) {
        let mut state = self.lock();
        if state.close.is_some() || state.ended {
            return;
        }
        if state.control >= CONTROL_MESSAGES_MAX {
            drop(state);
            return self.close(POLICY, "messages of the tunnel server are not being read");
        }
        state.control += 1;
        state.queue.push_back(Queued::Control(text.into()));
        drop(state);
        self.ready.notify_one();
    }

    /// The host need not answer this request: it is told, unless the request has not been written yet. Whether it is
    /// told.
    pub(super) fn abort(&self, request_id: u64) -> bool {
        let mut state = self.lock();
        let is_it = |queued: &Queued| matches!(queued, Queued::Request { id, .. } if *id == request_id);
        let unsent = if state.requests > 0 { state.queue.iter().rposition(is_it) } else { None };
        if let Some(unsent) = unsent.and_then(|position| state.queue.remove(position)) {
            state.bytes -= unsent.len();
            state.requests -= 1;
            drop(state);
            self.room.notify_waiters();
            return false;
        }
        drop(state);
        self.push_control(ToHost::Abort { request_id }.to_text());
        true
    }

    /// Writes nothing more but a close. No effect on an outbox that is closed.
    pub(super) fn close(&self, code: u16, reason: &'static str) {
        let mut state = self.lock();
        if state.close.is_none() && !state.ended {
            let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
            *state = State { close: Some(frame), ..State::default() };
            drop(state);
            self.closed.notify_one();
            self.room.notify_waiters();
        }
    }

    /// The WebSocket is gone.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        *state = State { ended: true, ..State::default() };
        drop(state);
        self.room.notify_waiters();
    }

    /// Waits until the WebSocket is to be closed. One task at a time. Cancel safe.
    pub(super) async fn closed(&self) -> CloseFrame {
        loop {
            if let Some(close) = &self.lock().close {
                return close.clone();
            }
            self.closed.notified().await;
        }
    }

    /// Waits for what to write next. One task at a time. Cancel safe.
    pub(super) async fn next(&self) -> Utf8Bytes {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.ready.notified().await;
        }
    }

    /// What to write next, if there is something.
    pub(super) fn try_next(&self) -> Option<Utf8Bytes> {
        let mut state = self.lock();
        let text = match state.queue.pop_front()? {
            Queued::Control(text) => {
                state.control -= 1;
                return Some(text);
            }
            Queued::Request { text, .. } => {
                state.requests -= 1;
                text
            }
            Queued::Text(text) => text,
        };
        state.bytes -= text.len();
        drop(state);
        self.room.notify_waiters();
        Some(text)
    }

    fn push_queued(&self, queued: Queued) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.close.is_some() || state.ended {
            return Err(Refused::Closed);
        }
        let bytes = state.bytes.saturating_add(queued.len());
        if bytes > self.bytes_max && state.bytes > 0 {
            return Err(Refused::Full);
        }
        state.bytes = bytes;
        state.requests += usize::from(matches!(queued, Queued::Request { .. }));
        state.queue.push_back(queued);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queued {
    fn len(&self) -> usize {
        match self {
            Self::Request { text, .. } | Self::Text(text) => text.len(),
            Self::Control(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn text(next: Option<Utf8Bytes>) -> String {
        next.map_or_else(String::new, |text| text.as_str().to_owned())
    }

    fn close_code(outbox: &Outbox) -> Option<u16> {
        outbox.closed().now_or_never().map(|close| close.code.into())
    }

    #[test]
    fn a_request_that_was_not_written_is_taken_back_without_a_word() {
        let outbox = Outbox::new(100);
        outbox.push_request(1, "one".to_owned()).unwrap();
        outbox.push_request(2, "two".to_owned()).unwrap();
        assert!(!outbox.abort(1));
        assert_eq!(text(outbox.try_next()), "two");
        assert!(outbox.abort(2));
        assert_eq!(text(outbox.try_next()), r#"{"type":"ABORT","request_id":2}"#);
        assert_eq!(text(outbox.try_next()), "");
    }

    #[test]
    fn a_full_outbox_takes_no_more_but_one_long_message_goes() {
        let outbox = Outbox::new(4);
        outbox.push("longer than four".into()).unwrap();
        assert_eq!(outbox.push("x".into()), Err(Refused::Full));
        assert_eq!(text(outbox.try_next()), "longer than four");
        outbox.push("x".into()).unwrap();
        outbox.close(4001, "enough");
        assert_eq!(outbox.push("y".into()), Err(Refused::Closed));
        assert_eq!((text(outbox.try_next()), close_code(&outbox)), (String::new(), Some(4001)));
    }

    #[test]
    fn a_peer_that_never_reads_is_closed() {
        let outbox = Outbox::new(4);
        for id in 0..=u64::try_from(CONTROL_MESSAGES_MAX).unwrap() {
            outbox.abort(id);
        }
        assert_eq!(close_code(&outbox), Some(1008));
    }
}
