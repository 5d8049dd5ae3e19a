//! What one round measures: each figure of ours beside another, and who is first changes with every round.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

use super::{
    Sizes,
    measure::{ASK, SMALL, Small, float, small, small_beside_bulk, throughput},
    process::Stack,
    report::{Goal, Leg, Report},
    subject::{Exchange, Http, Raw, Subject, Tunnel},
};

/// The measurements of one round, for the progress bar.
pub(super) const STEPS: u64 = 14;

/// How much of the raw streams' throughput the tunnel keeps.
const THROUGHPUT: Goal = Goal::RatioMin(0.9);

/// What falling back may cost when p2p is known to be down.
const FALLEN: Goal = Goal::Near { ratio_max: 1.03, added_max: 1000.0 };

/// How long closing may take: everything is on this machine.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Callers at once in the busy legs.
const CALLERS: u32 = 32;

/// Everything that is compared.
pub(super) struct Subjects {
    raw: Raw,
    tunnel: Tunnel,
    direct: Http,
    through: Http,
    /// Through a tunnel server that repeats the defects of the published one.
    legacy: Http,
    /// Through one that does not, by a gateway that knows no other way.
    mended: Http,
    /// The same, by a gateway whose other way is down.
    fallen: Http,
    stack: Stack,
}

impl Subjects {
    /// Starts the peers of this process, and warms everything up. Dropping the future stops it all.
    pub(super) async fn start(stack: Stack) -> Result<Self> {
        let subjects = Self {
            raw: Raw::start().await.context("the raw streams")?,
            tunnel: Tunnel::start().await.context("the tunnel in this process")?,
            direct: Http::new(stack.service_address),
            through: Http::new(stack.gateway_address),
            legacy: Http::new(stack.faithful.gateway_address),
            mended: Http::new(stack.mended.gateway_address),
            fallen: Http::new(stack.fallen_address),
            stack,
        };
        warm_up(&subjects.raw).await.context("the raw streams")?;
        warm_up(&subjects.tunnel).await.context("the tunnel in this process")?;
        warm_up(&subjects.direct).await.context("the service")?;
        warm_up(&subjects.through).await.context("the gateway")?;
        warm_up(&subjects.legacy).await.context("the faithful tunnel server")?;
        warm_up(&subjects.mended).await.context("the tunnel server")?;
        warm_up(&subjects.fallen).await.context("the gateway whose host is down")?;
        Ok(subjects)
    }

    /// Measures everything once. Dropping the future aborts what is under way.
    pub(super) async fn round(&self, number: u32, sizes: Sizes, report: &mut Report) -> Result<()> {
        self.streams(number, sizes, report).await.context("client and host in this process")?;
        self.small_streams(number, sizes, report).await.context("client and host in this process")?;
        self.http(number, sizes, report).await.context("through host and gateway")?;
        self.small_http(number, sizes, report).await.context("through host and gateway")?;
        self.tunnel_server(number, sizes, report).await.context("beside a tunnel server")?;
        self.fallen(number, sizes, report).await.context("with p2p down")
    }

    async fn streams(&self, number: u32, sizes: Sizes, report: &mut Report) -> Result<()> {
        let mib = sizes.bulk >> 20;
        for (name, exchange, parallel) in [
            (format!("streams: 1 x {mib} MiB down"), sizes.download(), 1),
            (format!("streams: 8 x {mib} MiB down"), sizes.download(), 8),
            (format!("streams: 1 x {mib} MiB up"), Exchange { sent: sizes.bulk, received: 1 }, 1),
        ] {
            report.step(&name);
            let (ours, raw) = pair(
                number,
                async || throughput(&self.tunnel, exchange, parallel).await,
                async || throughput(&self.raw, exchange, parallel).await,
            )
            .await?;
            report.record(Leg::new(name, "MB/s").goal(THROUGHPUT), Some(ours), Some(raw));
        }
        Ok(())
    }

    async fn small_streams(&self, number: u32, sizes: Sizes, report: &mut Report) -> Result<()> {
        let count = sizes.requests;
        report.step("streams: 1 KiB");
        let (ours, raw) =
            pair(number, async || small(&self.tunnel, SMALL, 1, count).await, async || small(&self.raw, SMALL, 1, count).await)
                .await?;
        report.record(Leg::new("streams: 1 KiB p50", "µs"), Some(ours.p50_us), Some(raw.p50_us));
        let added = Leg::new("streams: 1 KiB p50, added", "µs").goal(Goal::Max(100.0));
        report.record(added, Some(ours.p50_us - raw.p50_us), None);
        report.record(Leg::new("streams: 1 KiB p99", "µs"), Some(ours.p99_us), Some(raw.p99_us));

        let bulk = sizes.download();
        report.step("streams: 1 KiB beside a download");
        let (ours, raw) = pair(
            number,
            async || small_beside_bulk(&self.tunnel, count, bulk).await,
            async || small_beside_bulk(&self.raw, count, bulk).await,
        )
        .await?;
        let leg = Leg::new("streams: 1 KiB p99 beside a download", "ms").goal(Goal::Max(10.0));
        report.record(leg, Some(ours.p99_us / 1e3), Some(raw.p99_us / 1e3));
        Ok(())
    }

    async fn http(&self, number: u32, sizes: Sizes, report: &mut Report) -> Result<()> {
        let mib = sizes.bulk >> 20;
        for parallel in [1, 8] {
            let name = format!("HTTP: {parallel} x {mib} MiB down");
            report.step(&name);
            let gib = float(sizes.bulk * u64::from(parallel)) / float(1 << 30);
            let ((ours, host, gateway), (direct, ..)) = pair(
                number,
                async || self.with_cpu(throughput(&self.through, sizes.download(), parallel)).await,
                async || self.with_cpu(throughput(&self.direct, sizes.download(), parallel)).await,
            )
            .await?;
            report.record(Leg::new(name, "MB/s"), Some(ours), Some(direct));
            for (process, seconds) in [("host", host), ("gateway", gateway)] {
                let leg = Leg::new(format!("HTTP: {parallel} x {mib} MiB, CPU of the {process}"), "s/GiB");
                report.record(leg, seconds.map(|seconds| seconds / gib), None);
            }
        }
        Ok(())
    }

    async fn small_http(&self, number: u32, sizes: Sizes, report: &mut Report) -> Result<()> {
        for callers in [1, CALLERS] {
            let name = format!("HTTP: 1 KiB, {callers} at once");
            report.step(&name);
            // Servers close what was idle for long: connecting again is not part of the figures.
            small(&self.through, SMALL, callers, callers).await?;
            small(&self.direct, SMALL, callers, callers).await?;
            let (ours, direct) = pair(
                number,
                async || small(&self.through, SMALL, callers, sizes.requests).await,
                async || small(&self.direct, SMALL, callers, sizes.requests).await,
            )
            .await?;
            report.record(Leg::new(format!("{name}, p50"), "µs"), Some(ours.p50_us), Some(direct.p50_us));
            report.record(Leg::new(format!("{name}, p99"), "µs"), Some(ours.p99_us), Some(direct.p99_us));
            report.record(Leg::new(name, "requests/s"), Some(ours.per_second), Some(direct.per_second));
        }
        Ok(())
    }

    /// Peer to peer beside the tunnel server as it is published.
    async fn tunnel_server(&self, number: u32, sizes: Sizes, report: &mut Report) -> Result<()> {
        let name = format!("tunnel server: 1 x {} MiB down", sizes.bulk >> 20);
        report.step(&name);
        let (ours, legacy) = pair(
            number,
            async || throughput(&self.through, sizes.download(), 1).await,
            async || throughput(&self.legacy, sizes.download(), 1).await,
        )
        .await?;
        report.record(Leg::new(name, "MB/s"), Some(ours), Some(legacy));
        for callers in [1, CALLERS] {
            let name = format!("tunnel server: 1 KiB, {callers} at once");
            report.step(&name);
            let (ours, legacy) = self.asked([&self.through, &self.legacy], number, callers, sizes.requests).await?;
            report.record(Leg::new(format!("{name}, p50"), "µs"), Some(ours.p50_us), Some(legacy.p50_us));
            report.record(Leg::new(format!("{name}, p99"), "µs"), Some(ours.p99_us), Some(legacy.p99_us));
            report.record(Leg::new(name, "requests/s"), Some(ours.per_second), Some(legacy.per_second));
        }
        Ok(())
    }

    /// A gateway that has fallen back beside one that knows only the tunnel server: falling back must cost nothing.
    async fn fallen(&self, number: u32, sizes: Sizes, report: &mut Report) -> Result<()> {
        for callers in [1, CALLERS] {
            let name = format!("p2p down: 1 KiB, {callers} at once");
            report.step(&name);
            let (fallen, only) = self.asked([&self.fallen, &self.mended], number, callers, sizes.requests).await?;
            for (quantile, ours, other) in [("p50", fallen.p50_us, only.p50_us), ("p99", fallen.p99_us, only.p99_us)] {
                report.record(Leg::new(format!("{name}, {quantile}"), "µs").goal(FALLEN), Some(ours), Some(other));
            }
            report.record(Leg::new(name, "requests/s"), Some(fallen.per_second), Some(only.per_second));
        }
        Ok(())
    }

    /// Small requests without a body, over warm connections.
    async fn asked(&self, [ours, other]: [&Http; 2], number: u32, callers: u32, count: u32) -> Result<(Small, Small)> {
        small(ours, ASK, callers, callers).await?;
        small(other, ASK, callers, callers).await?;
        pair(
            number,
            async || small(ours, ASK, callers, count).await,
            async || small(other, ASK, callers, count).await,
        )
        .await
    }

    /// Adds the peaks, at the end of all rounds.
    pub(super) fn memory(&self, report: &mut Report) {
        report.step("memory");
        for (name, process) in [("host", &self.stack.host), ("gateway", &self.stack.gateway)] {
            report.record(Leg::new(format!("HTTP: peak memory of the {name}"), "MiB"), process.peak_memory_mib(), None);
        }
        for (name, ways) in [("mended", &self.stack.mended), ("faithful", &self.stack.faithful)] {
            let leg = Leg::new(format!("tunnel server: peak memory of the {name} one"), "MiB");
            report.record(leg, ways.server.peak_memory_mib(), None);
        }
    }

    /// Closes the peers of this process, within a second.
    pub(super) async fn close(self) {
        let close = async { tokio::join!(self.raw.close(), self.tunnel.close()) };
        // Who does not answer in time hears nothing: the process ends anyway.
        timeout(CLOSE_TIMEOUT, close).await.ok();
    }

    /// The result, and the seconds of processor time that host and gateway spent meanwhile.
    async fn with_cpu<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Option<f64>, Option<f64>)> {
        let cpu = || (self.stack.host.cpu_seconds(), self.stack.gateway.cpu_seconds());
        let difference = |end: Option<f64>, start: Option<f64>| Some(end? - start?);
        let start = cpu();
        let result = work.await?;
        let end = cpu();
        Ok((result, difference(end.0, start.0), difference(end.1, start.1)))
    }
}

/// Opens as many connections as there will be callers, and lets windows grow.
async fn warm_up(subject: &impl Subject) -> Result<()> {
    throughput(subject, Exchange { sent: 0, received: 16 << 20 }, 1).await?;
    small(subject, ASK, CALLERS, CALLERS * 8).await?;
    Ok(())
}

/// Both, ours first in every second round.
async fn pair<T>(
    number: u32,
    ours: impl AsyncFnOnce() -> Result<T>,
    beside: impl AsyncFnOnce() -> Result<T>,
) -> Result<(T, T)> {
    if number.is_multiple_of(2) {
        let beside = beside().await?;
        Ok((ours().await?, beside))
    } else {
        Ok((ours().await?, beside().await?))
    }
}
