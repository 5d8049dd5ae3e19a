//! What was done, and what may be seen of it.

use std::{collections::BTreeMap, sync::LazyLock};

use bytes::Bytes;
use p2p_provider::{CloseReason, ReadError, WriteError};

/// One side of a connection: the number of the connection, and whether it was accepted.
pub(super) type SideKey = (u64, usize);

/// One direction of a stream, named by the side that writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pipe {
    pub(super) writer: SideKey,
    pub(super) stream: u64,
}

impl Pipe {
    /// The direction that this side writes.
    pub(super) const fn written_by(writer: SideKey, stream: u64) -> Self {
        Self { writer, stream }
    }

    /// The direction that this side reads.
    pub(super) const fn read_by(reader: SideKey, stream: u64) -> Self {
        Self { writer: (reader.0, 1 - reader.1), stream }
    }

    pub(super) const fn reader(self) -> SideKey {
        (self.writer.0, 1 - self.writer.1)
    }

    /// The bytes of this direction, and of no other, from an offset on.
    pub(super) fn bytes(self, offset: u64, length: usize) -> Bytes {
        const PERIOD: u64 = 1_000_003;
        static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
            let mut random = fastrand::Rng::with_seed(7);
            let once: Vec<u8> = (0..PERIOD).map(|_| random.u8(..)).collect();
            Bytes::from([&once[..], &once[..300_000]].concat())
        });
        let start = self.writer.0 * 7_919 + self.writer.1 as u64 * 104_729 + self.stream * 611_953 + offset;
        let start = usize::try_from(start % PERIOD).expect("it is small");
        PATTERN.slice(start..start + length)
    }
}

/// What was done to one direction of a stream.
#[derive(Debug, Default)]
struct Flow {
    /// Bytes that were handed to a write.
    written: u64,
    writer_exists: bool,
    finished: bool,
    /// The first reset that the writer asked for.
    reset: Option<u64>,
    /// The first stop that the reader asked for.
    stopped: Option<u64>,
    read: u64,
    /// The reader has seen the end, or an error.
    over: bool,
}

/// What was done to one side of a connection.
#[derive(Debug, Default)]
struct Life {
    /// The first close that its user asked for.
    farewell: Option<(u64, String)>,
    crashed: bool,
    /// Nobody holds it or a stream of it.
    released: bool,
    closed: Option<CloseReason>,
}

/// Everything that was done.
#[derive(Debug, Default)]
pub(super) struct Model {
    flows: BTreeMap<Pipe, Flow>,
    lives: BTreeMap<SideKey, Life>,
    /// Something was done to the network that can cost a connection.
    pub(super) troubled: bool,
    violations: Vec<String>,
}

impl Model {
    pub(super) fn violate(&mut self, what: String) {
        if self.violations.len() < 10 {
            self.violations.push(what);
        }
    }

    pub(super) fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violate(what());
        }
    }

    fn flow(&mut self, pipe: Pipe) -> &mut Flow {
        self.flows.entry(pipe).or_default()
    }

    // Connections.

    pub(super) fn connected(&mut self, side: SideKey) {
        let known = self.lives.insert(side, Life::default()).is_some();
        self.must(!known, || format!("{side:?} was handed out twice"));
    }

    pub(super) fn farewell(&mut self, side: SideKey, code: u64, reason: &str) {
        let Some(life) = self.lives.get_mut(&side) else { return };
        if life.closed.is_none() && !life.crashed {
            life.farewell.get_or_insert((code, reason.to_owned()));
        }
    }

    pub(super) fn crashed(&mut self, side: SideKey) {
        if let Some(life) = self.lives.get_mut(&side) {
            life.crashed = true;
        }
    }

    pub(super) fn released(&mut self, side: SideKey) {
        if let Some(life) = self.lives.get_mut(&side) {
            life.released = true;
        }
    }

    pub(super) fn is_closed(&self, side: SideKey) -> bool {
        self.lives.get(&side).is_none_or(|life| life.closed.is_some())
    }

    /// Both sides of a connection have been handed out and neither is closed.
    pub(super) fn is_open(&self, connection: u64) -> bool {
        !self.is_closed((connection, 0)) && !self.is_closed((connection, 1))
    }

    /// A side is closed, for this reason.
    pub(super) fn closed(&mut self, side: SideKey, reason: &CloseReason) {
        let other = self.lives.get(&(side.0, 1 - side.1));
        let Some(life) = self.lives.get(&side) else { return };
        let right = match reason {
            CloseReason::Local => life.farewell.is_some() || life.released,
            CloseReason::Peer { code, reason } => {
                let said = (*code, reason.clone());
                let silent = said == (0, String::new());
                // Without the other side's life it was never handed out, and closed by its listener.
                other.map_or(silent, |other| other.farewell == Some(said) || (silent && other.released))
            }
            CloseReason::TimedOut => self.troubled,
            CloseReason::Transport(_) => life.crashed,
            _ => false,
        };
        let text = format!("{side:?} closed: {reason:?}, but {life:?} and {other:?}, troubled: {}", self.troubled);
        self.must(right, || text);
        if let Some(life) = self.lives.get_mut(&side) {
            life.closed = Some(reason.clone());
        }
    }

    // Writing.

    /// A sending half was handed out.
    pub(super) fn writer(&mut self, pipe: Pipe) {
        let known = std::mem::replace(&mut self.flow(pipe).writer_exists, true);
        self.must(!known, || format!("two writers of {pipe:?}"));
    }

    /// The next bytes to write.
    pub(super) fn next_bytes(&mut self, pipe: Pipe, length: usize) -> Bytes {
        let flow = self.flow(pipe);
        let bytes = pipe.bytes(flow.written, length);
        // After its end nothing is written any more.
        if !flow.finished && flow.reset.is_none() {
            flow.written += length as u64;
        }
        bytes
    }

    pub(super) fn wrote(&mut self, pipe: Pipe, result: &Result<(), WriteError>) {
        let reason = self.lives.get(&pipe.writer).and_then(|life| life.closed.clone());
        let flow = self.flow(pipe);
        let ended = flow.finished || flow.reset.is_some();
        let right = match result {
            Ok(()) => !ended && reason.is_none(),
            // Finishing a stopped stream does nothing.
            Err(WriteError::Stopped(code)) => flow.stopped == Some(*code) && flow.reset.is_none(),
            Err(WriteError::Closed) => ended,
            Err(WriteError::ConnectionLost(lost)) => reason.as_ref() == Some(lost),
            Err(_) => false,
        };
        let text = format!("{pipe:?} was written: {result:?}, but {flow:?}; closed: {reason:?}");
        self.must(right, || text);
    }

    pub(super) fn finished(&mut self, pipe: Pipe) {
        let flow = self.flow(pipe);
        if flow.reset.is_none() {
            flow.finished = true;
        }
    }

    pub(super) fn reset(&mut self, pipe: Pipe, code: u64) {
        self.flow(pipe).reset.get_or_insert(code);
    }

    /// A sending half is dropped; `unfinished` says that a write was under way.
    pub(super) fn writer_dropped(&mut self, pipe: Pipe, unfinished: bool) {
        let flow = self.flow(pipe);
        if unfinished || !flow.finished {
            flow.reset.get_or_insert(0);
        }
    }

    /// What [`p2p_provider::SendStream::stopped`] has said.
    pub(super) fn stop_seen(&mut self, pipe: Pipe, code: Option<u64>) {
        let closed = self.is_closed(pipe.writer);
        let flow = self.flow(pipe);
        let right = match code {
            Some(code) => flow.stopped == Some(code),
            None => closed || flow.finished || flow.reset.is_some(),
        };
        let text = format!("the writer of {pipe:?} heard of a stop {code:?}, but {flow:?}");
        self.must(right, || text);
    }

    // Reading.

    pub(super) fn stopped(&mut self, pipe: Pipe, code: u64) {
        self.flow(pipe).stopped.get_or_insert(code);
    }

    /// A look at a receiving half.
    pub(super) fn read(&mut self, pipe: Pipe, result: &Result<Option<&[Bytes]>, ReadError>) {
        let reason = self.lives.get(&pipe.reader()).and_then(|life| life.closed.clone());
        let flow = self.flow(pipe);
        let right = match result {
            Ok(Some(pieces)) => {
                let mut same = !pieces.is_empty();
                for piece in *pieces {
                    same &= !piece.is_empty() && *piece == pipe.bytes(flow.read, piece.len());
                    flow.read += piece.len() as u64;
                }
                same && flow.read <= flow.written && !flow.over && flow.stopped.is_none()
            }
            // A stop that comes after the end changes nothing.
            Ok(None) => flow.finished && flow.read == flow.written,
            Err(ReadError::Reset(code)) => flow.reset == Some(*code),
            Err(ReadError::Closed) => flow.stopped.is_some(),
            Err(ReadError::ConnectionLost(lost)) => reason.as_ref() == Some(lost),
            Err(_) => false,
        };
        flow.over |= !matches!(result, Ok(Some(_)));
        let lengths = result.as_ref().map(|pieces| pieces.map(|pieces| pieces.iter().map(Bytes::len).sum::<usize>()));
        let text = format!("{pipe:?} was read: {lengths:?}, but {flow:?}; closed: {reason:?}");
        self.must(right, || text);
    }

    /// Whether the reader of a direction can wait for ever: its writer was never handed out.
    pub(super) fn may_wait(&self, pipe: Pipe) -> bool {
        self.flows.get(&pipe).is_none_or(|flow| !flow.writer_exists)
    }
}
