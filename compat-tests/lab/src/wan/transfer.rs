//! One large body, watched while it moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::cell::Way;
use crate::http::{Answer, Connection, Ending, Get};

/// How often it is noted how much has come.
pub(crate) const BUCKET: Duration = Duration::from_millis(100);

/// What became of a transfer.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// When it began.
    pub(crate) started: Instant,
    /// From the request to the last byte, or until it was cut off.
    pub(crate) took: Duration,
    /// That have come.
    pub(crate) bytes: u64,
    /// It was taking too long, and was given up while all was well.
    pub(crate) cut_off: bool,
    pub(crate) answer: Answer,
    /// Bytes that had come after each bucket.
    pub(crate) progress: Vec<u64>,
}

impl Transfer {
    pub(crate) fn bytes_per_second(&self) -> f64 {
        per_second(self.bytes, self.took)
    }

    /// Bytes of each bucket.
    pub(crate) fn buckets(&self) -> Vec<u64> {
        let before = std::iter::once(&0).chain(&self.progress);
        before.zip(&self.progress).map(|(before, after)| after.saturating_sub(*before)).collect()
    }
}

/// A speed.
#[expect(clippy::cast_precision_loss, reason = "a speed to look at")]
pub(crate) fn per_second(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64().max(1e-6)
}

/// Moves so many bytes over this connection. `received` counts what has come to the other end of an upload.
pub(crate) async fn transfer(
    connection: &mut Connection,
    way: Way,
    bytes: u64,
    time_max: Duration,
    received: Arc<AtomicU64>,
) -> Transfer {
    let get = Get { hashed: false, ..Get::new(bytes) };
    let counter = match way {
        Way::Down => get.progress.clone(),
        Way::Up => received,
    };
    let already = counter.load(Ordering::Relaxed);
    let mut answer = Answer::new();
    let started = answer.started;
    let mut progress = Vec::new();
    let mut ticks = interval(BUCKET);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    // The first is at once.
    ticks.tick().await;
    let ending = {
        let moving = async {
            match way {
                Way::Down => connection.ask(&get, &mut answer).await,
                // Longer than the time that counts, so that it is that which ends it.
                Way::Up => connection.put(bytes, time_max * 2, &mut answer).await,
            }
        };
        let moving = timeout_at(started + time_max, moving);
        tokio::pin!(moving);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => progress.push(counter.load(Ordering::Relaxed) - already),
                ended = &mut moving => break ended,
            }
        }
    };
    let bytes = counter.load(Ordering::Relaxed) - already;
    progress.push(bytes);
    let cut_off = ending.is_err();
    answer.ending = match ending {
        Ok(Err(ending)) => ending,
        Ok(Ok(())) | Err(_) => Ending::Complete,
    };
    answer.ended = Instant::now();
    let last_byte = answer.last_byte.filter(|_| !cut_off).unwrap_or(answer.ended);
    Transfer { started, took: last_byte - started, bytes, cut_off, answer, progress }
}
