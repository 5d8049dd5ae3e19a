//! One response on its way from the host to the app: put in order, and held until the app takes it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tunnel_core::{
    Failure, FailureKind,
    packet::{Sequence, TunnelResponse},
};

use super::{Statistics, hub::Host};
use crate::message::{ToHost, WINDOW_PACKETS};

/// The window is topped up once so many packets were taken: a quarter, so that the host never has to stop for a reader
/// that keeps up, and is told once for eight packets.
const WINDOW_STEP_PACKETS: u32 = 8;
/// What a packet costs besides its body, in bytes.
const PACKET_OVERHEAD_BYTES: usize = 96;
/// A shorter piece that has to wait is copied: it would keep the whole buffer alive into which its socket was read.
const COPIED_BYTES_MAX: usize = 4096;

/// A request that a host has, and the response to it. The host's connection writes, the app's connection reads.
pub(super) struct Exchange {
    pub(super) request_id: u64,
    pub(super) host: Arc<Host>,
    /// Cancelled to cut the connection of an app that does not read.
    cut: CancellationToken,
    /// How many bytes may be held.
    bytes_max: usize,
    statistics: Statistics,
    state: Mutex<State>,
}

struct State {
    sequence: Sequence,
    head: Option<Head>,
    pieces: VecDeque<Bytes>,
    /// The cost of `head` and `pieces`.
    ready_bytes: usize,
    /// The cost of everything held, as counted in the statistics.
    buffered_bytes: usize,
    window: Option<Window>,
    end: Option<Result<(), Failure>>,
    reader: Option<Waker>,
    host_waker: Option<Waker>,
}

/// Status and headers of a response.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
}

/// Flow control of one response, in packets.
struct Window {
    /// How many packets may still come.
    open: u32,
    /// How many of those that came were taken, and are not in `open` again yet.
    taken: u32,
}

/// What became of a packet.
pub(super) enum Push {
    /// It is held, or was not needed.
    Taken,
    /// There is no room for it yet.
    Full(TunnelResponse),
}

impl Exchange {
    /// Waits for the response of `host`, holding at most `bytes_max`.
    pub(super) fn new(
        request_id: u64,
        host: Arc<Host>,
        cut: CancellationToken,
        bytes_max: usize,
        statistics: Statistics,
    ) -> Self {
        let window = host.flow.then_some(Window { open: WINDOW_PACKETS, taken: 0 });
        let state = State {
            sequence: Sequence::new(request_id),
            head: None,
            pieces: VecDeque::new(),
            ready_bytes: 0,
            buffered_bytes: 0,
            window,
            end: None,
            reader: None,
            host_waker: None,
        };
        Self { request_id, host, cut, bytes_max, statistics, state: Mutex::new(state) }
    }

    /// Takes a packet of the host in. A failure means that the host broke the rules; the response must then
    /// [fail](Self::fail).
    pub(super) fn push(&self, packet: TunnelResponse, again: bool) -> Result<Push, Failure> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.end.is_some() {
            return Ok(Push::Taken);
        }
        if let Some(window) = &mut state.window
            && !again
        {
            let Some(open) = window.open.checked_sub(1) else {
                let message = format!("the host sent packet {} beyond its window", packet.packet_id);
                return Err(Failure::new(FailureKind::Protocol, message));
            };
            window.open = open;
        }
        if !self.has_room(state, &packet) {
            if state.ready_bytes == 0 {
                let message = "too much of the response waits for a packet before it";
                return Err(Failure::new(FailureKind::TooLarge, message));
            }
            return Ok(Push::Full(packet));
        }
        let waiting = state.sequence.waiting_packets();
        state.sequence.push(packet)?;
        let mut spent = u32::from(state.sequence.waiting_packets() == waiting);
        while let Some(packet) = state.sequence.pop() {
            spent += state.take_in_order(packet);
        }
        if let Some(window) = &mut state.window {
            window.taken += spent;
        }
        if state.sequence.is_complete() {
            state.end = Some(Ok(()));
        } else {
            state.top_up(self);
        }
        self.count(state);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Ok(Push::Taken)
    }

    /// Ready as soon as a packet that did not fit may be pushed again.
    pub(super) fn poll_room(&self, packet: &TunnelResponse, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.end.is_some() || self.has_room(&state, packet) {
            return Poll::Ready(());
        }
        state.host_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ends the response: what is held is still read, and then the failure. No effect on a response that has ended.
    pub(super) fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(Err(failure));
            state.wake();
        }
    }

    /// Ends the response and frees what is held; the app's connection is cut.
    pub(super) fn cut(&self, failure: Failure) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(Err(failure));
            self.free(&mut state);
            state.wake();
            self.cut.cancel();
        }
    }

    /// The app will read no more. Whether the host does not know yet that the response has ended.
    pub(super) fn abandon(&self) -> bool {
        let mut state = self.lock();
        let unfinished = state.end.is_none();
        if unfinished {
            state.end = Some(Err(Failure::new(FailureKind::Aborted, "the app has left")));
        }
        self.free(&mut state);
        state.wake();
        unfinished
    }

    /// Status and headers, once packet 1 is there.
    pub(super) fn poll_head(&self, cx: &Context<'_>) -> Poll<Result<Head, Failure>> {
        let mut state = self.lock();
        if let Some(head) = state.head.take() {
            state.ready_bytes -= head_cost(&head.headers);
            self.taken(&mut state, 0);
            return Poll::Ready(Ok(head));
        }
        match &state.end {
            Some(Err(failure)) => Poll::Ready(Err(failure.clone())),
            _ => state.wait(cx),
        }
    }

    /// The next piece of the body, or its end.
    pub(super) fn poll_piece(&self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let mut state = self.lock();
        if let Some(piece) = state.pieces.pop_front() {
            state.ready_bytes -= piece.len() + PACKET_OVERHEAD_BYTES;
            self.taken(&mut state, 1);
            return Poll::Ready(Some(Ok(piece)));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(failure)) => Poll::Ready(Some(Err(failure.clone()))),
            None => state.wait(cx),
        }
    }

    /// Whether nothing is left to read and the end was good.
    pub(super) fn is_at_end(&self) -> bool {
        let state = self.lock();
        state.pieces.is_empty() && matches!(state.end, Some(Ok(())))
    }

    /// Whether packets wait for one before them.
    pub(super) fn has_gap(&self) -> bool {
        self.lock().sequence.waiting_packets() > 0
    }

    fn has_room(&self, state: &State, packet: &TunnelResponse) -> bool {
        state.buffered_bytes == 0 || state.buffered_bytes.saturating_add(cost(packet)) <= self.bytes_max
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After the reader took something.
    fn taken(&self, state: &mut State, packets: u32) {
        if let Some(window) = &mut state.window {
            window.taken += packets;
        }
        if state.end.is_none() {
            state.top_up(self);
        }
        self.count(state);
        if let Some(waker) = state.host_waker.take() {
            waker.wake();
        }
    }

    fn free(&self, state: &mut State) {
        state.head = None;
        state.pieces = VecDeque::new();
        state.ready_bytes = 0;
        state.sequence = Sequence::new(self.request_id);
        self.count(state);
    }

    fn count(&self, state: &mut State) {
        let waiting = state.sequence.waiting_bytes() + state.sequence.waiting_packets() * PACKET_OVERHEAD_BYTES;
        let now = state.ready_bytes + waiting;
        self.statistics.buffered(state.buffered_bytes, now);
        state.buffered_bytes = now;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.statistics.buffered(state.buffered_bytes, 0);
    }
}

impl State {
    /// Holds a packet that is due. Counts it as taken already if there is nothing to read in it.
    fn take_in_order(&mut self, packet: TunnelResponse) -> u32 {
        if let (Some(status), Some(headers)) = (packet.status, packet.headers) {
            self.ready_bytes += head_cost(&headers);
            self.head = Some(Head { status, headers });
        }
        if packet.bytes.is_empty() {
            return 1;
        }
        let waits = !self.pieces.is_empty() && packet.bytes.len() < COPIED_BYTES_MAX;
        let piece = if waits { Bytes::copy_from_slice(&packet.bytes) } else { packet.bytes };
        self.ready_bytes += piece.len() + PACKET_OVERHEAD_BYTES;
        self.pieces.push_back(piece);
        0
    }

    /// Tells the host that it may send more, if it is time.
    fn top_up(&mut self, exchange: &Exchange) {
        let Some(window) = &mut self.window else { return };
        if window.taken >= WINDOW_STEP_PACKETS {
            let packets = std::mem::take(&mut window.taken);
            window.open += packets;
            let text = ToHost::Window { request_id: exchange.request_id, packets }.to_text();
            exchange.host.outbox.push_control(text);
        }
    }

    /// Wakes both sides.
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.host_waker.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        if !self.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

fn cost(packet: &TunnelResponse) -> usize {
    packet.bytes.len() + PACKET_OVERHEAD_BYTES + packet.headers.as_ref().map_or(0, head_cost)
}

fn head_cost(headers: &BTreeMap<String, String>) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len() + PACKET_OVERHEAD_BYTES).sum()
}
