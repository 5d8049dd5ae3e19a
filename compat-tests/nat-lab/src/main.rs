//! The NAT lab: real binaries, real HTTP, networks made of namespaces. See `spec/nat-lab.md`.

mod availability;
mod case;
mod certificate;
mod http;
mod matrix;
mod options;
mod pattern;
mod process;
mod record;
mod report;
mod requirements;
mod scenarios;
mod service;
mod statistics;
mod topology;
mod world;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Parser;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::runtime::Runtime;

use self::{
    case::Case,
    options::{Command, Options, Task},
    process::Product,
    record::Record,
    report::Report,
};

/// Something has not held.
const NOT_HELD: u8 = 1;
/// Clap's code, too.
const USAGE: u8 = 2;
/// Not possible on this machine.
const NOT_POSSIBLE: u8 = 3;
/// Stopped by a signal.
const STOPPED: u8 = 130;

fn main() -> ExitCode {
    let Task::NatLab(options) = Command::parse().task;
    let cases = Case::selected(&options);
    if cases.is_empty() {
        return end(USAGE, &["no case has such a name; --list shows them all".to_owned()]);
    }
    if options.list {
        report::list(&cases, options.json);
        return ExitCode::SUCCESS;
    }
    // Before there are threads: a process with several cannot enter a namespace of users.
    let missing = requirements::missing(&patchbay::init_userns());
    if !missing.is_empty() {
        return end(NOT_POSSIBLE, &missing);
    }
    let binary = match requirements::binary(options.binary.as_deref()) {
        Ok(binary) => binary,
        Err(message) => return end(NOT_POSSIBLE, &[message]),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(NOT_POSSIBLE, &[error.to_string()]),
    };
    match run(&runtime, &options, &cases, &binary) {
        Ok(Some(true)) => ExitCode::SUCCESS,
        Ok(Some(false)) => ExitCode::from(NOT_HELD),
        Ok(None) => ExitCode::from(STOPPED),
        Err(error) => end(NOT_POSSIBLE, &[format!("{error:#}")]),
    }
}

fn end(code: u8, messages: &[String]) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    if code == NOT_POSSIBLE {
        _ = writeln!(stderr, "THE NAT LAB HAS NOT RUN: it is not possible here.");
    }
    for message in messages {
        _ = writeln!(stderr, "error: {message}");
    }
    ExitCode::from(code)
}

/// Runs everything; whether all has held, or nothing if it was stopped.
fn run(runtime: &Runtime, options: &Options, cases: &[Case], binary: &Path) -> Result<Option<bool>> {
    let mut report = Report::new(options.json, u64::from(options.runs) * cases.len() as u64);
    runtime.block_on(async {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let everything = async {
            play(options, cases, binary, &mut report).await?;
            anyhow::Ok(report.finish())
        };
        // Whoever is dropped here kills its processes and ends its namespaces.
        tokio::select! {
            held = everything => held.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
            _ = terminated.recv() => Ok(None),
        }
    })
}

/// Pairs one by one, then several scenarios at a time.
async fn play(options: &Options, cases: &[Case], binary: &Path, report: &mut Report) -> Result<()> {
    let runs = || (1..=options.runs).flat_map(|run| cases.iter().map(move |&case| (run, case)));
    for (run, case) in runs().filter(|(_, case)| case.is_measured_alone()) {
        report.begin(case);
        let record = run_case(options, case, run, binary).await?;
        report.end(case, record);
    }
    let mut waiting = runs().filter(|(_, case)| !case.is_measured_alone());
    let mut playing = FuturesUnordered::new();
    loop {
        while playing.len() < usize::from(options.jobs)
            && let Some((run, case)) = waiting.next()
        {
            report.begin(case);
            playing.push(async move { (case, run_case(options, case, run, binary).await) });
        }
        let Some((case, record)) = playing.next().await else { return Ok(()) };
        report.end(case, record?);
    }
}

/// Runs a case until it holds or its retries are used up.
async fn run_case(options: &Options, case: Case, run: u32, binary: &Path) -> Result<Record> {
    let mut forgiven = Vec::new();
    loop {
        let mut record = run_once(options, case, run, binary).await?;
        let again = !record.held() && !record.wrong_bytes && forgiven.len() < options.retries as usize;
        if !again {
            if record.held() {
                record.forgiven = forgiven;
            }
            return Ok(record);
        }
        forgiven.push(record.failures.join("; "));
    }
}

async fn run_once(options: &Options, case: Case, run: u32, binary: &Path) -> Result<Record> {
    let directory = tempfile::Builder::new().prefix("nat-lab-").tempdir().context("no temporary directory")?;
    let product =
        Product { binary: binary.to_owned(), log_filter: options.log.clone(), directory: directory.path().to_owned() };
    let mut record = case.run(product, options.bytes).await;
    if let Some(keep) = &options.keep_logs {
        let keep = keep.join(format!("{}-{run}", case.name().replace('/', "-")));
        copy_logs(directory.path(), &keep)?;
        record.logs = Some(keep);
    } else if !record.held() {
        record.logs = Some(directory.keep());
    }
    Ok(record)
}

fn copy_logs(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from)? {
        let path: PathBuf = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|extension| extension == "log")) {
            fs::copy(&path, to.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
