//! Streams: what is written, read, finished, reset and stopped, and the windows around it.

use std::{
    collections::BTreeSet,
    task::{Poll, Waker},
};

use bytes::{Buf, Bytes};

use super::{
    BTreeMap, Event, SideId, Timer, VecDeque, World,
    connection::{Connection, Streams},
    packet::Frame,
    remember,
};
use crate::{CloseReason, ConnectionLimits, ReadError, WriteError, simulator::network::SimUsage};

/// The most that one packet carries, in bytes: a batch of packets of a real network, which share their fate.
const BATCH_BYTES: u64 = 16 << 10;

/// The content of one packet of a real network, in bytes.
const PIECE_BYTES: usize = 1200;

/// As noq-proto 1.4, which closes the connection when more pieces than this wait to be read on one stream.
const UNREAD_PIECES_MAX: u64 = 2048;

/// A stream goes both ways or one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Bi,
    Uni,
}

/// The sending half of a stream.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::simulator) struct Sending {
    /// Written and not yet packed: what is written at one moment shares its packets.
    pending: VecDeque<Bytes>,
    /// Bytes written.
    written: u64,
    /// Bytes packed.
    sent: u64,
    flushing: bool,
    /// The most that the peer allows.
    max: u64,
    finished: bool,
    acknowledged: bool,
    reset: bool,
    stopped: Option<u64>,
    held_by_user: bool,
    write_wakers: Vec<Waker>,
    stopped_wakers: Vec<Waker>,
}

/// The receiving half of a stream.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::simulator) struct Receiving {
    /// What waits to be read, each with the number of pieces for which it counts.
    unread: VecDeque<(Bytes, u64)>,
    unread_bytes: u64,
    unread_pieces: u64,
    /// What has overtaken bytes before it, by offset.
    ahead: BTreeMap<u64, (Vec<Bytes>, bool)>,
    /// Bytes that have arrived without a gap.
    received: u64,
    consumed: u64,
    /// The most that we have allowed.
    max: u64,
    window: u64,
    end: bool,
    reset: Option<u64>,
    stopped: bool,
    /// The peer needs not be told anything more.
    done: bool,
    /// The peer may open another stream in place of this one, and knows.
    counted: bool,
    held_by_user: bool,
    pub(super) waker: Option<Waker>,
}

impl Sending {
    const fn new(max: u64) -> Self {
        Self {
            pending: VecDeque::new(),
            written: 0,
            sent: 0,
            flushing: false,
            max,
            finished: false,
            acknowledged: false,
            reset: false,
            stopped: None,
            held_by_user: true,
            write_wakers: Vec::new(),
            stopped_wakers: Vec::new(),
        }
    }

    const fn is_done(&self) -> bool {
        self.acknowledged || self.reset
    }

    pub(super) fn take_wakers(&mut self, wakers: &mut Vec<Waker>) {
        wakers.append(&mut self.write_wakers);
        wakers.append(&mut self.stopped_wakers);
    }

    fn wake(&mut self) {
        let mut wakers = Vec::new();
        self.take_wakers(&mut wakers);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Receiving {
    const fn new(window: u64) -> Self {
        Self {
            unread: VecDeque::new(),
            unread_bytes: 0,
            unread_pieces: 0,
            ahead: BTreeMap::new(),
            received: 0,
            consumed: 0,
            max: window,
            window,
            end: false,
            reset: None,
            stopped: false,
            done: false,
            counted: false,
            held_by_user: true,
            waker: None,
        }
    }

    fn discard(&mut self) {
        self.unread.clear();
        self.ahead.clear();
        self.unread_bytes = 0;
        self.unread_pieces = 0;
    }

    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl Direction {
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// The number of a stream (RFC 9000 §2.1).
const fn number(count: u64, direction: Direction, opener: usize) -> u64 {
    count << 2 | (direction as u64) << 1 | opener as u64
}

const fn direction_of(stream: u64) -> Direction {
    if stream & 2 == 0 { Direction::Bi } else { Direction::Uni }
}

const fn opener_of(stream: u64) -> usize {
    if stream & 1 == 0 { 0 } else { 1 }
}

impl World {
    // Opening and accepting.

    pub(in crate::simulator) fn poll_open(
        &mut self,
        id: SideId,
        direction: Direction,
        waker: &Waker,
    ) -> Poll<Result<u64, CloseReason>> {
        let peer_window = self.side(id.other()).map_or(0, |side| side.config.stream_receive_window);
        let Some(side) = self.side(id) else { return Poll::Ready(Err(CloseReason::Local)) };
        if let Some(reason) = side.closed_reason() {
            return Poll::Ready(Err(reason));
        }
        let window = side.config.stream_receive_window;
        let streams = &mut side.streams;
        let opening = &mut streams.by_direction[direction.index()];
        if opening.opened >= opening.allowed {
            remember(&mut opening.open_wakers, waker);
            return Poll::Pending;
        }
        let stream = number(opening.opened, direction, id.index);
        opening.opened += 1;
        streams.sending.insert(stream, Sending::new(peer_window));
        if direction == Direction::Bi {
            streams.receiving.insert(stream, Receiving::new(window));
        }
        if let Some(node) = self.node_of_side(id) {
            self.record(node, &Event::Opened { connection: id.connection, stream });
        }
        Poll::Ready(Ok(stream))
    }

    pub(in crate::simulator) fn poll_accept_stream(
        &mut self,
        id: SideId,
        direction: Direction,
        waker: &Waker,
    ) -> Poll<Result<u64, CloseReason>> {
        let Some(side) = self.side(id) else { return Poll::Ready(Err(CloseReason::Local)) };
        if let Some(stream) = side.streams.by_direction[direction.index()].acceptable.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        if let Some(reason) = side.closed_reason() {
            return Poll::Ready(Err(reason));
        }
        remember(&mut side.streams.by_direction[direction.index()].accept_wakers, waker);
        Poll::Pending
    }

    /// A frame of the peer names a stream: it, and all of its kind before it, exist from now on.
    fn meet(&mut self, id: SideId, stream: u64) {
        let peer_window = self.side(id.other()).map_or(0, |side| side.config.stream_receive_window);
        let Some(side) = self.side(id) else { return };
        if opener_of(stream) == id.index {
            return;
        }
        let direction = direction_of(stream);
        let window = side.config.stream_receive_window;
        let streams = &mut side.streams;
        let opening = &mut streams.by_direction[direction.index()];
        while opening.seen <= stream >> 2 {
            let met = number(opening.seen, direction, id.other().index);
            opening.seen += 1;
            opening.acceptable.push_back(met);
            streams.receiving.insert(met, Receiving::new(window));
            if direction == Direction::Bi {
                streams.sending.insert(met, Sending::new(peer_window));
            }
        }
        std::mem::take(&mut opening.accept_wakers).into_iter().for_each(Waker::wake);
    }

    // Writing.

    /// Writes what the windows allow; `Ready` once everything is written.
    pub(in crate::simulator) fn poll_write(
        &mut self,
        id: SideId,
        stream: u64,
        waker: &Waker,
        chunks: &mut [Bytes],
    ) -> Poll<Result<(), WriteError>> {
        loop {
            if chunks.iter().all(Bytes::is_empty) {
                return Poll::Ready(self.check_writable(id, stream));
            }
            match self.poll_write_some(id, stream, waker, chunks) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn check_writable(&mut self, id: SideId, stream: u64) -> Result<(), WriteError> {
        let Some(side) = self.side(id) else { return Err(WriteError::ConnectionLost(CloseReason::Local)) };
        if let Some(reason) = side.closed_reason() {
            return Err(WriteError::ConnectionLost(reason));
        }
        match side.streams.sending.get(&stream) {
            None => Err(WriteError::Closed),
            Some(sending) => match sending.stopped {
                _ if sending.finished || sending.reset => Err(WriteError::Closed),
                Some(code) => Err(WriteError::Stopped(code)),
                None => Ok(()),
            },
        }
    }

    /// Writes what fits a packet and the windows; returns its size.
    pub(in crate::simulator) fn poll_write_some(
        &mut self,
        id: SideId,
        stream: u64,
        waker: &Waker,
        chunks: &mut [Bytes],
    ) -> Poll<Result<usize, WriteError>> {
        self.check_writable(id, stream)?;
        let Some(side) = self.side(id) else { return Poll::Pending };
        let streams = &mut side.streams;
        let Some(sending) = streams.sending.get_mut(&stream) else { return Poll::Pending };
        let room = (sending.max - sending.written).min(streams.send_max.saturating_sub(streams.sent)).min(BATCH_BYTES);
        if room == 0 {
            remember(&mut sending.write_wakers, waker);
            return Poll::Pending;
        }
        let mut room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut total = 0;
        for chunk in chunks.iter_mut().filter(|chunk| !chunk.is_empty()) {
            let part = chunk.split_to(chunk.len().min(room));
            room -= part.len();
            total += part.len();
            sending.pending.push_back(part);
            if room == 0 {
                break;
            }
        }
        sending.written += total as u64;
        streams.sent += total as u64;
        self.schedule_flush(id, stream);
        Poll::Ready(Ok(total))
    }

    fn schedule_flush(&mut self, id: SideId, stream: u64) {
        if let Some(side) = self.side(id)
            && let Some(sending) = side.streams.sending.get_mut(&stream)
            && !std::mem::replace(&mut sending.flushing, true)
        {
            self.at(self.now, Timer::Flush(id, stream));
        }
    }

    /// Packs what was written.
    pub(super) fn flush(&mut self, id: SideId, stream: u64) {
        let tcp = self.is_tcp(id);
        loop {
            let Some(side) = self.side(id) else { return };
            if side.dead || (side.is_closed() && !tcp) {
                return;
            }
            let Some(sending) = side.streams.sending.get_mut(&stream) else { return };
            sending.flushing = false;
            if sending.reset {
                return;
            }
            let mut bytes = Vec::new();
            let mut room = usize::try_from(BATCH_BYTES).unwrap_or(usize::MAX);
            while room > 0
                && let Some(front) = sending.pending.front_mut()
            {
                let part = front.split_to(front.len().min(room));
                room -= part.len();
                bytes.push(part);
                if front.is_empty() {
                    sending.pending.pop_front();
                }
            }
            let total: usize = bytes.iter().map(Bytes::len).sum();
            let offset = sending.sent;
            sending.sent += total as u64;
            let end = sending.finished && sending.pending.is_empty();
            let more = !sending.pending.is_empty();
            if total > 0 || end {
                self.send(id, Frame::Stream { id: stream, offset, bytes, end }, total);
            }
            if !more {
                return;
            }
        }
    }

    pub(in crate::simulator) fn finish(&mut self, id: SideId, stream: u64) {
        let Some(side) = self.side(id) else { return };
        let closed = side.is_closed();
        let Some(sending) = side.streams.sending.get_mut(&stream) else { return };
        if sending.finished || sending.reset || sending.stopped.is_some() || closed {
            return;
        }
        sending.finished = true;
        sending.wake();
        self.schedule_flush(id, stream);
    }

    pub(in crate::simulator) fn reset(&mut self, id: SideId, stream: u64, code: u64) {
        let Some(side) = self.side(id) else { return };
        let closed = side.is_closed();
        let Some(sending) = side.streams.sending.get_mut(&stream) else { return };
        if sending.is_done() {
            return;
        }
        sending.reset = true;
        sending.pending.clear();
        sending.wake();
        // What was written and never packed counts, too: the window was used for it.
        let sent = sending.written;
        // What has not left yet never will.
        side.held.retain(|envelope| !matches!(envelope.frame, Frame::Stream { id, .. } if id == stream));
        if let Some(connection) = self.connections.get(&id.connection)
            && let (Some(from), Some(to)) = (connection.node(id), connection.node(id.other()))
        {
            self.recall((from, to), (id.connection, stream));
        }
        // A closed connection has said its last word (RFC 9000 §10.2).
        if !closed {
            self.signal(id, Frame::Reset { id: stream, code, sent });
        }
        self.settle(id, stream);
    }

    /// The peer's code when it stops reading; `None` when it has everything, or the connection is lost.
    pub(in crate::simulator) fn poll_stopped(&mut self, id: SideId, stream: u64, waker: &Waker) -> Poll<Option<u64>> {
        let Some(side) = self.side(id) else { return Poll::Ready(None) };
        let closed = side.is_closed();
        let Some(sending) = side.streams.sending.get_mut(&stream) else { return Poll::Ready(None) };
        if let Some(code) = sending.stopped {
            return Poll::Ready(Some(code));
        }
        if sending.is_done() || closed {
            return Poll::Ready(None);
        }
        remember(&mut sending.stopped_wakers, waker);
        Poll::Pending
    }

    pub(in crate::simulator) fn drop_sending(&mut self, id: SideId, stream: u64) {
        let Some(side) = self.side(id) else { return };
        let Some(sending) = side.streams.sending.get_mut(&stream) else { return };
        sending.held_by_user = false;
        match sending.stopped {
            // As noq does it: a stream that the peer has stopped cannot be finished.
            Some(code) if !sending.finished => self.reset(id, stream, code),
            _ => self.settle(id, stream),
        }
    }

    // Reading.

    pub(in crate::simulator) fn poll_read(
        &mut self,
        id: SideId,
        stream: u64,
        waker: &Waker,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, ReadError>> {
        let Some(side) = self.side(id) else {
            return Poll::Ready(Err(ReadError::ConnectionLost(CloseReason::Local)));
        };
        let closed = side.closed_reason();
        let Some(receiving) = side.streams.receiving.get_mut(&stream) else {
            return Poll::Ready(Err(ReadError::Closed));
        };
        if receiving.stopped {
            return Poll::Ready(Err(ReadError::Closed));
        }
        if let Some(code) = receiving.reset {
            return Poll::Ready(Err(ReadError::Reset(code)));
        }
        let mut count = 0;
        let mut bytes = 0;
        while count < chunks.len()
            && let Some((piece, pieces)) = receiving.unread.pop_front()
        {
            bytes += piece.len() as u64;
            receiving.unread_pieces -= pieces;
            chunks[count] = piece;
            count += 1;
        }
        if count > 0 {
            receiving.unread_bytes -= bytes;
            self.consume(id, stream, bytes);
            return Poll::Ready(Ok(Some(count)));
        }
        if receiving.end {
            receiving.done = true;
            self.settle(id, stream);
            return Poll::Ready(Ok(None));
        }
        if let Some(reason) = closed {
            return Poll::Ready(Err(ReadError::ConnectionLost(reason)));
        }
        receiving.waker = Some(waker.clone());
        Poll::Pending
    }

    pub(in crate::simulator) fn has_unread(&mut self, id: SideId, stream: u64) -> bool {
        let receiving = self.side(id).and_then(|side| side.streams.receiving.get(&stream));
        receiving.is_some_and(|receiving| receiving.unread_bytes > 0)
    }

    pub(in crate::simulator) fn stop(&mut self, id: SideId, stream: u64, code: u64) {
        let Some(side) = self.side(id) else { return };
        let closed = side.is_closed();
        let Some(receiving) = side.streams.receiving.get_mut(&stream) else { return };
        if receiving.stopped || receiving.done {
            return;
        }
        receiving.stopped = true;
        receiving.wake();
        let ahead: usize = receiving.ahead.values().flat_map(|(bytes, _)| bytes).map(Bytes::len).sum();
        let mut unread = receiving.unread_bytes + ahead as u64;
        let mut end_ahead = false;
        // The end is here already, only not what comes before it: nothing else will say that it is over.
        if let Some((offset, (bytes, true))) = receiving.ahead.last_key_value() {
            end_ahead = true;
            unread = offset + bytes.iter().map(Bytes::len).sum::<usize>() as u64 - receiving.consumed;
        }
        receiving.discard();
        let complete = receiving.end || receiving.reset.is_some();
        receiving.done = complete || end_ahead;
        if receiving.reset.is_none() {
            self.consume(id, stream, unread);
        }
        if !complete && !closed {
            self.signal(id, Frame::Stop { id: stream, code });
            if end_ahead {
                self.signal(id, Frame::Acknowledge { id: stream });
            }
        }
        self.settle(id, stream);
    }

    pub(in crate::simulator) fn drop_receiving(&mut self, id: SideId, stream: u64) {
        self.stop(id, stream, 0);
        if let Some(side) = self.side(id)
            && let Some(receiving) = side.streams.receiving.get_mut(&stream)
        {
            receiving.held_by_user = false;
        }
        self.settle(id, stream);
    }

    /// Bytes have been read, or thrown away: the peer may send as many more.
    fn consume(&mut self, id: SideId, stream: u64, bytes: u64) {
        let Some(side) = self.side(id) else { return };
        let mut raise = None;
        if let Some(receiving) = side.streams.receiving.get_mut(&stream) {
            receiving.consumed += bytes;
            let max = receiving.consumed + receiving.window;
            // An update for every eighth of the window, as QUIC stacks do it.
            if !receiving.end && !receiving.stopped && max - receiving.max >= receiving.window / 8 {
                receiving.max = max;
                raise = Some(max);
            }
        }
        if let Some(max) = raise {
            self.signal(id, Frame::MaxStreamData { id: stream, max });
        }
        self.credit(id, bytes);
    }

    /// As [`consume`](Self::consume), for the connection.
    fn credit(&mut self, id: SideId, bytes: u64) {
        let Some(side) = self.side(id) else { return };
        let streams = &mut side.streams;
        streams.consumed += bytes;
        let max = streams.consumed.saturating_add(streams.limits.receive_window);
        if max.saturating_sub(streams.receive_max) >= (streams.limits.receive_window / 8).max(1) {
            streams.receive_max = max;
            self.signal(id, Frame::MaxData { max });
        }
    }

    // Limits.

    pub(in crate::simulator) fn set_limits(&mut self, id: SideId, limits: ConnectionLimits) {
        let Some(side) = self.side(id) else { return };
        side.streams.limits = limits;
        self.credit(id, 0);
        self.announce(id, Direction::Bi);
        self.announce(id, Direction::Uni);
    }

    fn announce(&mut self, id: SideId, direction: Direction) {
        let Some(side) = self.side(id) else { return };
        let limits = side.streams.limits;
        let limit = match direction {
            Direction::Bi => limits.bidi_streams,
            Direction::Uni => limits.uni_streams,
        };
        let opening = &mut side.streams.by_direction[direction.index()];
        let max = opening.ended + u64::from(limit);
        if max > opening.announced {
            opening.announced = max;
            self.signal(id, Frame::MaxStreams { uni: direction == Direction::Uni, max });
        }
    }

    /// Forgets what has ended of a stream; when all of it has, the peer may open another one.
    fn settle(&mut self, id: SideId, stream: u64) {
        let Some(side) = self.side(id) else { return };
        let closed = side.is_closed();
        let streams = &mut side.streams;
        let open = streams.sending.get(&stream).is_some_and(|sending| !sending.is_done())
            || streams.receiving.get(&stream).is_some_and(|receiving| !receiving.done);
        // Whoever accepts a stream has a receiving half of it, which stays until all has ended.
        let counts = !open && opener_of(stream) != id.index;
        let ended = counts
            && streams
                .receiving
                .get_mut(&stream)
                .is_some_and(|receiving| !std::mem::replace(&mut receiving.counted, true));
        if !open || closed {
            if streams.sending.get(&stream).is_some_and(|sending| !sending.held_by_user)
                && let Some(mut sending) = streams.sending.remove(&stream)
            {
                sending.wake();
            }
            if streams.receiving.get(&stream).is_some_and(|receiving| !receiving.held_by_user) {
                streams.receiving.remove(&stream);
            }
        }
        if ended {
            let direction = direction_of(stream);
            side.streams.by_direction[direction.index()].ended += 1;
            self.announce(id, direction);
        }
    }

    // What is open.

    pub(in crate::simulator) fn usage(&self) -> SimUsage {
        let mut usage = SimUsage::default();
        for connection in self.connections.values().filter(|connection| !connection.tcp) {
            let open = connection.sides.iter().filter(|side| side.is_open());
            usage.connections += usize::from(open.clone().next().is_some());
            for side in open {
                let Streams { sending, receiving, .. } = &side.streams;
                let halves = sending.iter().filter(|(_, sending)| !sending.is_done()).map(|(stream, _)| stream);
                let others = receiving.iter().filter(|(_, receiving)| !receiving.done).map(|(stream, _)| stream);
                usage.streams += halves.chain(others).collect::<BTreeSet<_>>().len();
                usage.unread_bytes += receiving.values().map(|receiving| receiving.unread_bytes).sum::<u64>();
            }
        }
        usage
    }

    // What arrives.

    pub(super) fn receive_stream(&mut self, to: SideId, stream: u64, offset: u64, bytes: Vec<Bytes>, end: bool) {
        self.meet(to, stream);
        let Some(side) = self.side(to) else { return };
        let Some(receiving) = side.streams.receiving.get_mut(&stream) else { return };
        if receiving.done || receiving.reset.is_some() {
            return;
        }
        if receiving.stopped {
            return self.throw_away(to, stream, offset, &bytes, end);
        }
        if offset > receiving.received {
            receiving.ahead.insert(offset, (bytes, end));
            return;
        }
        self.take_in(to, stream, bytes, end);
        while let Some((bytes, end)) = self.next_in_order(to, stream) {
            self.take_in(to, stream, bytes, end);
        }
    }

    fn next_in_order(&mut self, to: SideId, stream: u64) -> Option<(Vec<Bytes>, bool)> {
        let receiving = self.side(to)?.streams.receiving.get_mut(&stream)?;
        let received = receiving.received;
        receiving.ahead.remove(&received)
    }

    /// Bytes for a reader that has stopped: they only count.
    fn throw_away(&mut self, to: SideId, stream: u64, offset: u64, bytes: &[Bytes], end: bool) {
        let mut count = bytes.iter().map(Bytes::len).sum::<usize>() as u64;
        let Some(side) = self.side(to) else { return };
        if let Some(receiving) = side.streams.receiving.get_mut(&stream)
            && end
        {
            // What is still on its way is not looked at any more.
            receiving.done = true;
            count = (offset + count).saturating_sub(receiving.consumed);
        }
        self.consume(to, stream, count);
        if end {
            self.signal(to, Frame::Acknowledge { id: stream });
        }
        self.settle(to, stream);
    }

    /// The next bytes of a stream.
    fn take_in(&mut self, to: SideId, stream: u64, bytes: Vec<Bytes>, end: bool) {
        let tcp = self.is_tcp(to);
        let bytes = if tcp { bytes } else { self.cut(bytes) };
        let Some(node) = self.node_of_side(to) else { return };
        let Some(side) = self.side(to) else { return };
        let Some(receiving) = side.streams.receiving.get_mut(&stream) else { return };
        let total: usize = bytes.iter().map(Bytes::len).sum();
        receiving.received += total as u64;
        receiving.end |= end;
        let mut pieces = total.div_ceil(PIECE_BYTES) as u64;
        receiving.unread_bytes += total as u64;
        receiving.unread_pieces += pieces;
        for piece in bytes {
            receiving.unread.push_back((piece, std::mem::take(&mut pieces)));
        }
        receiving.wake();
        let (unread_bytes, unread_pieces) = (receiving.unread_bytes, receiving.unread_pieces);
        let connection = to.connection;
        if total > 0 {
            let event = Event::Delivered { connection, stream, bytes: total, unread_bytes, unread_pieces };
            self.record(node, &event);
        }
        if end {
            self.record(node, &Event::Finished { connection, stream });
            self.signal(to, Frame::Acknowledge { id: stream });
        }
        if unread_pieces > UNREAD_PIECES_MAX && !tcp {
            self.break_off(to, "too many gaps in stream buffer");
        }
    }

    /// Cuts the bytes of a packet into pieces as a real network would have carried them, and now and then elsewhere:
    /// readers must not rely on what the writer wrote at once.
    fn cut(&mut self, bytes: Vec<Bytes>) -> Vec<Bytes> {
        let random = &mut self.cuts;
        let odd = random.u8(..) < 64;
        let mut pieces = Vec::new();
        for mut piece in bytes {
            while odd && piece.len() > 1 && random.bool() {
                pieces.push(piece.split_to(random.usize(1..piece.len().min(64))));
            }
            while piece.len() > PIECE_BYTES {
                pieces.push(piece.split_to(PIECE_BYTES));
            }
            if piece.has_remaining() {
                pieces.push(piece);
            }
        }
        pieces
    }

    pub(super) fn receive_acknowledge(&mut self, to: SideId, stream: u64) {
        let Some(side) = self.side(to) else { return };
        let Some(sending) = side.streams.sending.get_mut(&stream) else { return };
        if sending.finished {
            sending.acknowledged = true;
            sending.wake();
            self.settle(to, stream);
        }
    }

    pub(super) fn receive_reset(&mut self, to: SideId, stream: u64, code: u64, sent: u64) {
        self.meet(to, stream);
        let Some(node) = self.node_of_side(to) else { return };
        let Some(side) = self.side(to) else { return };
        let Some(receiving) = side.streams.receiving.get_mut(&stream) else { return };
        if receiving.done || receiving.reset.is_some() {
            return;
        }
        let unconsumed = sent.saturating_sub(receiving.consumed);
        receiving.consumed = sent;
        receiving.discard();
        receiving.reset = Some(code);
        receiving.done = true;
        receiving.wake();
        self.record(node, &Event::Reset { connection: to.connection, stream, code });
        self.credit(to, unconsumed);
        self.settle(to, stream);
    }

    pub(super) fn receive_stop(&mut self, to: SideId, stream: u64, code: u64) {
        self.meet(to, stream);
        let Some(node) = self.node_of_side(to) else { return };
        let Some(side) = self.side(to) else { return };
        let Some(sending) = side.streams.sending.get_mut(&stream) else { return };
        if sending.is_done() || sending.stopped.is_some() {
            return;
        }
        sending.stopped = Some(code);
        sending.wake();
        self.record(node, &Event::Stopped { connection: to.connection, stream, code });
    }

    pub(super) fn receive_max_stream_data(&mut self, to: SideId, stream: u64, max: u64) {
        self.meet(to, stream);
        let Some(side) = self.side(to) else { return };
        let Some(sending) = side.streams.sending.get_mut(&stream) else { return };
        if max > sending.max {
            sending.max = max;
            std::mem::take(&mut sending.write_wakers).into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn receive_max_data(&mut self, to: SideId, max: u64) {
        let Some(side) = self.side(to) else { return };
        if max > side.streams.send_max {
            side.streams.send_max = max;
            let wakers =
                side.streams.sending.values_mut().flat_map(|sending| std::mem::take(&mut sending.write_wakers));
            wakers.for_each(Waker::wake);
        }
    }

    pub(super) fn receive_max_streams(&mut self, to: SideId, uni: bool, max: u64) {
        let Some(side) = self.side(to) else { return };
        let opening = &mut side.streams.by_direction[usize::from(uni)];
        if max > opening.allowed {
            opening.allowed = max;
            std::mem::take(&mut opening.open_wakers).into_iter().for_each(Waker::wake);
        }
    }

    /// A TCP connection is one stream, open on both sides from the start.
    pub(super) fn open_tcp_stream(connection: &mut Connection, window: u64) {
        for side in &mut connection.sides {
            let streams = &mut side.streams;
            streams.send_max = u64::MAX;
            streams.limits.receive_window = u64::MAX;
            streams.receive_max = u64::MAX;
            streams.sending.insert(0, Sending::new(window));
            streams.receiving.insert(0, Receiving::new(window));
            // Both sides know it already.
            streams.by_direction[0].opened = 1;
            streams.by_direction[0].seen = 1;
        }
    }
}
