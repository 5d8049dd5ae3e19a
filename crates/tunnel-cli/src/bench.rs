//! `tunnel-p2p bench`: what the tunnel costs on this machine, beside what there would be without it.
//!
//! Everything is on loopback, in one run, in interleaved rounds: the ratios hold where absolute figures vary.

mod load;
mod measure;
mod process;
mod report;
mod rounds;
mod subject;

use serde_json::json;
use tokio::net::TcpListener;

use self::{process::Stack, report::Report, rounds::Subjects, subject::Exchange};
use crate::{
    cli::BenchOptions,
    error::{CliError, Outcome},
    output::Output,
    runtime::Signals,
};

/// How much is sent.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Bytes of a large body.
    bulk: u64,
    /// Small requests per measurement.
    requests: u32,
}

impl Sizes {
    const FULL: Self = Self { bulk: 256 << 20, requests: 2000 };
    const QUICK: Self = Self { bulk: 32 << 20, requests: 512 };

    const fn download(self) -> Exchange {
        Exchange { sent: 0, received: self.bulk }
    }
}

/// Starts everything, measures round by round and prints the medians. Dropping the future stops everything.
pub(crate) async fn run(options: &BenchOptions, output: Output) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    if cfg!(debug_assertions) {
        output.note("This is a debug build: its figures say nothing. Build with --release.");
    }
    let report = tokio::select! {
        report = measure(options.rounds, sizes, output) => {
            report.map_err(|error| CliError::failed("the benchmark did not run to its end").because(error))?
        }
        () = signals.next() => return Ok(Outcome::Aborted),
    };
    report.print(output);
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    output.json(&json!({ "event": "done", "rounds": options.rounds, "cpus": cpus, "debug": cfg!(debug_assertions) }));
    output.text(format!(
        "Medians of {} interleaved rounds on {cpus} CPUs. Ours is peer to peer. Beside it are: for `streams`, QUIC \
         streams without the tunnel,\nin one thread (small requests beside a download share one raw connection); for \
         `HTTP`, the service without the tunnel; for `tunnel\nserver`, a tunnel server that repeats the defects of the \
         published one. `p2p down`: a gateway that has fallen back, beside one that\nknows only the tunnel server.",
        options.rounds
    ));
    Ok(Outcome::Done)
}

async fn measure(rounds: u32, sizes: Sizes, output: Output) -> anyhow::Result<Report> {
    let home = tempfile::tempdir()?;
    let mut report = Report::new(output, u64::from(rounds) * rounds::STEPS + 1);
    let subjects = Subjects::start(Stack::start(home.path()).await?).await?;
    for round in 0..rounds {
        subjects.round(round, sizes, &mut report).await?;
    }
    subjects.memory(&mut report);
    subjects.close().await;
    Ok(report)
}

/// The service of the benchmark, a process of its own, until it is killed. Dropping the future stops it.
pub(crate) async fn service(output: Output) -> Result<Outcome, CliError> {
    let failed =
        |error| CliError::start("the service of the benchmark did not start").because(anyhow::Error::new(error));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    output.json(&json!({ "event": "ready", "url": url }));
    output.text(url);
    load::serve(listener).await.map_err(failed)?;
    Ok(Outcome::Done)
}
