//! What steps and operations under way both change.

use std::{cell::RefCell, collections::BTreeMap, future::poll_fn, rc::Rc};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{AbortHandle, LocalBoxFuture, abortable},
};
use p2p_provider::{
    CloseReason, Direction, P2PConnection, PeerId, RecvStream, SendStream,
    simulator::{SimConnection, SimRecvStream, SimSendStream},
};

use super::{
    model::{Model, Pipe, SideKey},
    step::Slot,
};

/// Something that takes time, and tells the model what came of it.
pub(super) type Op = LocalBoxFuture<'static, ()>;

/// All of it.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) model: Model,
    pub(super) sides: Vec<Side>,
    pub(super) sends: Vec<Sending>,
    pub(super) recvs: Vec<Receiving>,
    /// Dials under way, by node and life.
    pub(super) dialling: BTreeMap<(usize, u32), usize>,
    /// Operations that are to begin.
    pub(super) begun: Vec<Op>,
}

/// A connection, as one of its ends sees it. It is remembered for ever.
pub(super) struct Side {
    pub(super) key: SideKey,
    pub(super) node: usize,
    pub(super) life: u32,
    pub(super) id: u64,
    pub(super) peer: PeerId,
    pub(super) direction: Direction,
    pub(super) handle: Option<SimConnection>,
    /// Everything that keeps the connection open has a clone.
    pub(super) hold: Rc<()>,
    pub(super) closed: LocalBoxFuture<'static, CloseReason>,
    pub(super) reason: Option<CloseReason>,
    pub(super) accepting: Vec<AbortHandle>,
    /// Each with what it holds as long as it is under way.
    pub(super) opening: Vec<(AbortHandle, Rc<()>)>,
}

pub(super) struct Sending {
    pub(super) pipe: Pipe,
    /// None while it is being written.
    pub(super) half: Option<SimSendStream>,
    pub(super) writing: Option<AbortHandle>,
    pub(super) hold: Rc<()>,
}

pub(super) struct Receiving {
    pub(super) pipe: Pipe,
    pub(super) half: SimRecvStream,
    pub(super) reading: Option<AbortHandle>,
    _hold: Rc<()>,
}

pub(super) fn pick<T>(all: &[T], slot: Slot) -> Option<usize> {
    (!all.is_empty()).then(|| usize::from(slot) % all.len())
}

impl Shared {
    /// Begins an operation that can be given up.
    pub(super) fn begin(&mut self, op: impl Future<Output = ()> + 'static) -> AbortHandle {
        let (op, handle) = abortable(op);
        self.begun.push(Box::pin(op.map(drop)));
        handle
    }

    /// Looks which connections are closed by now.
    pub(super) fn observe(&mut self) {
        for side in self.sides.iter().filter(|side| side.reason.is_none() && Rc::strong_count(&side.hold) == 1) {
            self.model.released(side.key);
        }
        for side in &mut self.sides {
            if side.reason.is_none() {
                side.reason = side.closed.as_mut().now_or_never();
                if let Some(reason) = &side.reason {
                    self.model.closed(side.key, reason);
                } else if Rc::strong_count(&side.hold) == 1 {
                    self.model.violate(format!("{:?} is open, but nobody holds it", side.key));
                }
            }
            if let Some(handle) = &side.handle
                && handle.close_reason() != side.reason
            {
                let reason = handle.close_reason();
                self.model.violate(format!("{:?} is closed by {:?} and by {reason:?}", side.key, side.reason));
            }
        }
    }

    pub(super) fn add_side(
        &mut self,
        this: &Rc<RefCell<Self>>,
        connection: SimConnection,
        from: (usize, u32),
        accepted: bool,
    ) {
        let key = (connection.number(), usize::from(accepted));
        self.model.connected(key);
        let side = Side {
            key,
            node: from.0,
            life: from.1,
            id: connection.id(),
            peer: connection.peer_info().id,
            direction: if accepted { Direction::Incoming } else { Direction::Outgoing },
            closed: connection.closed().boxed_local(),
            reason: None,
            hold: Rc::default(),
            accepting: Vec::new(),
            opening: Vec::new(),
            handle: Some(connection),
        };
        self.sides.push(side);
        let index = self.sides.len() - 1;
        for uni in [false, true] {
            self.accept_streams(this, index, uni);
        }
    }

    /// Accepts the next stream, and then all that follow.
    pub(super) fn accept_streams(&mut self, this: &Rc<RefCell<Self>>, index: usize, uni: bool) {
        let side = &self.sides[index];
        let Some(connection) = side.handle.clone() else { return };
        let (hold, key, shared) = (Rc::clone(&side.hold), side.key, Rc::clone(this));
        let handle = self.begin(async move {
            let accepted = if uni {
                connection.accept_uni().await.map(|recv| (None, Some(recv)))
            } else {
                connection.accept_bi().await.map(|(send, recv)| (Some(send), Some(recv)))
            };
            let mut state = shared.borrow_mut();
            state.observe();
            match accepted {
                Ok((send, recv)) => {
                    state.add_stream(&shared, key, &hold, send, recv);
                    state.accept_streams(&shared, index, uni);
                }
                Err(reason) => state.lost(index, &reason),
            }
        });
        self.sides[index].accepting.push(handle);
    }

    pub(super) fn open_stream(&mut self, this: &Rc<RefCell<Self>>, index: usize, uni: bool) {
        let side = &self.sides[index];
        let Some(connection) = side.handle.clone() else { return };
        let (hold, key, shared) = (Rc::clone(&side.hold), side.key, Rc::clone(this));
        let under_way = Rc::new(());
        let kept = Rc::clone(&under_way);
        let handle = self.begin(async move {
            let opened = if uni {
                connection.open_uni().await.map(|send| (Some(send), None))
            } else {
                connection.open_bi().await.map(|(send, recv)| (Some(send), Some(recv)))
            };
            let mut state = shared.borrow_mut();
            state.observe();
            match opened {
                Ok((send, recv)) => state.add_stream(&shared, key, &hold, send, recv),
                Err(reason) => state.lost(index, &reason),
            }
            drop(kept);
        });
        let opening = &mut self.sides[index].opening;
        opening.retain(|(_, under_way)| Rc::strong_count(under_way) > 1);
        opening.push((handle, under_way));
    }

    pub(super) fn lost(&mut self, index: usize, reason: &CloseReason) {
        let side = &self.sides[index];
        if side.reason.as_ref() != Some(reason) {
            self.model.violate(format!("{:?} is closed by {:?}, its streams by {reason:?}", side.key, side.reason));
        }
    }

    pub(super) fn add_stream(
        &mut self,
        this: &Rc<RefCell<Self>>,
        key: SideKey,
        hold: &Rc<()>,
        send: Option<SimSendStream>,
        recv: Option<SimRecvStream>,
    ) {
        if let (Some(send), Some(recv)) = (&send, &recv)
            && send.id() != recv.id()
        {
            self.model.violate(format!("the halves of a stream are {} and {}", send.id(), recv.id()));
        }
        if let Some(half) = send {
            let pipe = Pipe::written_by(key, half.id());
            self.model.writer(pipe);
            let (stopped, shared) = (half.stopped(), Rc::clone(this));
            // It does not keep the connection open, and is never given up.
            self.begin(async move {
                let code = stopped.await;
                let mut state = shared.borrow_mut();
                state.observe();
                state.model.stop_seen(pipe, code);
            });
            self.sends.push(Sending { pipe, half: Some(half), writing: None, hold: Rc::clone(hold) });
        }
        if let Some(half) = recv {
            let pipe = Pipe::read_by(key, half.id());
            self.recvs.push(Receiving { pipe, half, reading: None, _hold: Rc::clone(hold) });
        }
    }

    // Writing.

    pub(super) fn write(&mut self, this: &Rc<RefCell<Self>>, index: usize, bytes: u32, chunks: u8) {
        let sending = &mut self.sends[index];
        let Some(mut half) = sending.half.take() else { return };
        let pipe = sending.pipe;
        let mut bytes = self.model.next_bytes(pipe, bytes as usize);
        let size = bytes.len().div_ceil(usize::from(chunks.max(1)));
        let mut chunks = Vec::new();
        while !bytes.is_empty() {
            chunks.push(bytes.split_to(size.min(bytes.len())));
        }
        let shared = Rc::clone(this);
        let hold = Rc::clone(&sending.hold);
        let handle = self.begin(async move {
            let result = half.write_chunks(&mut chunks).await;
            let mut state = shared.borrow_mut();
            state.observe();
            state.model.wrote(pipe, &result);
            if let Some(sending) = state.sends.iter_mut().find(|sending| sending.pipe == pipe) {
                sending.half = Some(half);
                sending.writing = None;
            }
            drop(hold);
        });
        self.sends[index].writing = Some(handle);
    }

    pub(super) fn finish(&mut self, index: usize) {
        let sending = &mut self.sends[index];
        if let Some(half) = &mut sending.half {
            half.finish();
            self.model.finished(sending.pipe);
        }
    }

    pub(super) fn reset(&mut self, index: usize, code: u64) {
        let sending = &mut self.sends[index];
        if let Some(half) = &mut sending.half {
            self.model.reset(sending.pipe, code);
            half.reset(code);
        }
    }

    pub(super) fn drop_send(&mut self, index: usize) {
        let sending = self.sends.swap_remove(index);
        self.model.writer_dropped(sending.pipe, sending.half.is_none());
        if let Some(writing) = &sending.writing {
            writing.abort();
        }
    }

    // Reading.

    pub(super) fn read(&mut self, this: &Rc<RefCell<Self>>, index: usize, chunks: u8, to_end: bool) {
        if self.recvs[index].reading.is_some() {
            return;
        }
        let (pipe, shared) = (self.recvs[index].pipe, Rc::clone(this));
        let handle = self.begin(async move {
            loop {
                let goes_on = poll_fn(|cx| {
                    let mut pieces = vec![Bytes::new(); usize::from(chunks)];
                    let mut state = shared.borrow_mut();
                    let Some(receiving) = state.recvs.iter_mut().find(|receiving| receiving.pipe == pipe) else {
                        return std::task::Poll::Ready(false);
                    };
                    receiving.half.poll_read_chunks(cx, &mut pieces).map(|result| {
                        let result = result.map(|count| count.map(|count| &pieces[..count]));
                        state.observe();
                        state.model.read(pipe, &result);
                        matches!(result, Ok(Some(_)))
                    })
                });
                if !goes_on.await || !to_end {
                    break;
                }
            }
            let mut state = shared.borrow_mut();
            if let Some(receiving) = state.recvs.iter_mut().find(|receiving| receiving.pipe == pipe) {
                receiving.reading = None;
            }
        });
        self.recvs[index].reading = Some(handle);
    }

    pub(super) fn cancel_read(&mut self, index: usize) {
        if let Some(reading) = self.recvs[index].reading.take() {
            reading.abort();
        }
    }

    pub(super) fn stop(&mut self, index: usize, code: u64) {
        self.cancel_read(index);
        let receiving = &mut self.recvs[index];
        self.model.stopped(receiving.pipe, code);
        receiving.half.stop(code);
    }

    pub(super) fn drop_recv(&mut self, index: usize) {
        self.cancel_read(index);
        let receiving = self.recvs.swap_remove(index);
        self.model.stopped(receiving.pipe, 0);
    }

    pub(super) fn drop_connection(&mut self, index: usize) {
        let side = &mut self.sides[index];
        side.accepting.drain(..).for_each(|op| op.abort());
        side.opening.drain(..).for_each(|(op, _)| op.abort());
        side.handle = None;
    }

    /// A node's process, or only its peer, has ended.
    pub(super) fn end_of(&mut self, node: usize, life: u32, crash: bool) {
        for side in self.sides.iter().filter(|side| (side.node, side.life) == (node, life)) {
            if crash {
                self.model.crashed(side.key);
            } else {
                self.model.farewell(side.key, 0, "");
            }
        }
    }
}
