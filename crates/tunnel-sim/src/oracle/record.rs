//! What is known about one request.

use std::time::Duration;

use tokio::time::Instant;
use tunnel_core::TransportKind;

use super::{ABORT_LIMIT, Ending, LEGACY_ABORT_LIMIT};

pub(super) struct Record {
    pub(super) began: Instant,
    pub(super) ended: Option<(Ending, Instant)>,
    /// How often the service may see it.
    pub(super) executions_max: u32,
    pub(super) executions: Vec<Execution>,
    /// The execution that has made the head of the response, from 1 on.
    pub(super) answered_by: Option<u32>,
    /// The client has the response body up to this byte.
    pub(super) consumed: u64,
    /// How many bytes of it the client has.
    pub(super) received: u64,
    /// When it got the last of it.
    consumed_at: Option<Instant>,
    pub(super) longest_pause: Duration,
    /// Something has taken too long, and that was said.
    pub(super) reported: bool,
}

/// The service has seen the request once.
pub(super) struct Execution {
    /// How it came, if that is known.
    pub(super) by: Option<TransportKind>,
    /// From which byte on it was asked for a part of the response body, if so.
    pub(super) asked_from: Option<u64>,
    working: bool,
    /// The first byte of the response body that was taken from the service, and the one behind the last.
    start: Option<u64>,
    pub(super) position: u64,
    /// When the last bytes were taken.
    pub(super) moved_at: Instant,
}

impl Execution {
    pub(super) fn new(by: Option<TransportKind>) -> Self {
        Self { by, asked_from: None, working: true, start: None, position: 0, moved_at: Instant::now() }
    }
}

impl Record {
    pub(super) fn new(executions_max: u32) -> Self {
        Self {
            began: Instant::now(),
            ended: None,
            executions_max,
            executions: Vec::new(),
            answered_by: None,
            consumed: 0,
            received: 0,
            consumed_at: None,
            longest_pause: Duration::ZERO,
            reported: false,
        }
    }

    /// The client has more of the body.
    pub(super) fn progress(&mut self, position: u64, bytes: u64) {
        let now = Instant::now();
        let pause = self.consumed_at.replace(now).map(|before| now - before);
        self.longest_pause = self.longest_pause.max(pause.unwrap_or_default());
        self.consumed = position;
        self.received += bytes;
    }

    /// The n-th execution, from 1 on.
    pub(super) fn execution(&self, number: u32) -> Option<&Execution> {
        self.executions.get(index(number)?)
    }

    pub(super) fn is_working(&self) -> bool {
        self.executions.iter().any(|execution| execution.working)
    }

    /// Whether the service works on it so long after its end for the client.
    pub(super) fn works_too_long(&self, since: Duration) -> bool {
        self.executions.iter().any(|execution| {
            let limit = if execution.by == Some(TransportKind::Legacy) { LEGACY_ABORT_LIMIT } else { ABORT_LIMIT };
            execution.working && since > limit
        })
    }

    pub(super) fn stop(&mut self, number: u32) {
        if let Some(execution) = index(number).and_then(|index| self.executions.get_mut(index)) {
            execution.working = false;
        }
    }

    pub(super) fn ask_from(&mut self, number: u32, byte: u64) {
        if let Some(execution) = index(number).and_then(|index| self.executions.get_mut(index)) {
            execution.asked_from = Some(byte);
        }
    }

    /// Bytes were taken from the service; returns how many wait for the client now.
    pub(super) fn pulled(&mut self, number: u32, position: u64, bytes: u64) -> u64 {
        let consumed = self.consumed;
        let Some(execution) = index(number).and_then(|index| self.executions.get_mut(index)) else { return 0 };
        let start = *execution.start.get_or_insert(position - bytes);
        execution.position = position;
        execution.moved_at = Instant::now();
        position.saturating_sub(consumed.max(start))
    }
}

fn index(number: u32) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}
