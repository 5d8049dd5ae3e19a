//! How throughput and latency are taken.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::subject::{Exchange, Subject};

/// How long one measurement may take.
const TIMEOUT: Duration = Duration::from_mins(5);

/// How long small requests beside a download are sent: where one takes 60 ms, a hundred say enough.
const BESIDE_BULK_TIME: Duration = Duration::from_secs(3);

/// A small exchange.
pub(super) const SMALL: Exchange = Exchange { sent: 1 << 10, received: 1 << 10 };

/// A small one that a tunnel server carries, too: it takes no body but JSON.
pub(super) const ASK: Exchange = Exchange { sent: 0, received: 1 << 10 };

/// Latencies and rate of small exchanges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Small {
    /// The median, in microseconds.
    pub(super) p50_us: f64,
    /// The 99th percentile, in microseconds.
    pub(super) p99_us: f64,
    /// Exchanges per second.
    pub(super) per_second: f64,
}

/// The throughput of `parallel` such exchanges at once, in MB/s (10^6).
///
/// Dropping the future aborts them; so it is with the others here.
pub(super) async fn throughput(subject: &impl Subject, exchange: Exchange, parallel: u32) -> Result<f64> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..parallel {
        let subject = subject.clone();
        tasks.spawn(async move { subject.exchange(exchange).await });
    }
    within(all(tasks)).await?;
    let bytes = (exchange.sent + exchange.received) * u64::from(parallel);
    Ok(float(bytes) / 1e6 / start.elapsed().as_secs_f64())
}

/// `count` such exchanges by `parallel` callers, each one after the other.
pub(super) async fn small(subject: &impl Subject, exchange: Exchange, parallel: u32, count: u32) -> Result<Small> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..parallel {
        let subject = subject.clone();
        tasks.spawn(async move { sequence(&subject, exchange, count / parallel, TIMEOUT).await });
    }
    let mut all = latencies()?;
    while let Some(one) = within(async { tasks.join_next().await.transpose().context("a task failed") }).await? {
        all.add(one?)?;
    }
    Ok(summary(&all, start.elapsed()))
}

/// The same by one caller while a download runs, at most 3 s long.
pub(super) async fn small_beside_bulk(subject: &impl Subject, count: u32, bulk: Exchange) -> Result<Small> {
    let flowing = Arc::new(Notify::new());
    let mut downloads = JoinSet::new();
    downloads.spawn({
        let (subject, flowing) = (subject.clone(), Arc::clone(&flowing));
        async move {
            loop {
                subject.exchange(Exchange { received: 1 << 20, ..bulk }).await?;
                flowing.notify_one();
                subject.exchange(bulk).await?;
            }
            #[expect(unreachable_code, reason = "names the type of the error")]
            anyhow::Ok(())
        }
    });
    let measured = async {
        flowing.notified().await;
        let start = Instant::now();
        let latencies = sequence(subject, SMALL, count, BESIDE_BULK_TIME).await?;
        Ok(summary(&latencies, start.elapsed()))
    };
    tokio::select! {
        small = within(measured) => small,
        Some(ended) = downloads.join_next() => {
            ended?.context("the download beside the small requests")?;
            anyhow::bail!("the download ended")
        }
    }
}

async fn sequence(
    subject: &impl Subject,
    exchange: Exchange,
    count: u32,
    time: Duration,
) -> Result<Histogram<u64>> {
    let begin = Instant::now();
    let mut latencies = latencies()?;
    for _ in 0..count {
        let start = Instant::now();
        subject.exchange(exchange).await?;
        latencies.record(u64::try_from(start.elapsed().as_nanos())?)?;
        if begin.elapsed() > time {
            break;
        }
    }
    Ok(latencies)
}

/// Nanoseconds, to three digits.
fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new(3)?)
}

fn summary(latencies: &Histogram<u64>, elapsed: Duration) -> Small {
    let us = |quantile| float(latencies.value_at_quantile(quantile)) / 1e3;
    Small { p50_us: us(0.5), p99_us: us(0.99), per_second: float(latencies.len()) / elapsed.as_secs_f64() }
}

async fn all(mut tasks: JoinSet<Result<()>>) -> Result<()> {
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

async fn within<T>(measurement: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(TIMEOUT, measurement).await.context("a measurement did not end in time")?
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) const fn float(number: u64) -> f64 {
    number as f64
}
