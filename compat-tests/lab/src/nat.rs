//! The NAT lab: real binaries, real HTTP, networks made of routers that translate and filter. See `spec/nat-lab.md`.

mod case;
mod certificate;
mod matrix;
mod options;
mod report;
mod scenarios;
mod topology;
mod world;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream::FuturesUnordered};

pub(crate) use self::options::{AFTER_HELP, Options};
use self::{case::Case, report::Report};
use crate::{
    ending::{LabName, usage},
    logs,
    process::Product,
    record::Record,
    requirements,
};

/// In messages.
const LAB: LabName = LabName("NAT LAB");

/// Runs what the options ask for.
pub(crate) fn main(options: &Options) -> ExitCode {
    let cases = Case::selected(options);
    if cases.is_empty() {
        return usage("no case has such a name; --list shows them all");
    }
    if options.list {
        report::list(&cases, options.json);
        return ExitCode::SUCCESS;
    }
    // Before there are threads: a process with several cannot enter a namespace of users.
    let missing = requirements::missing(&patchbay::init_userns(), &requirements::NAT_TOOLS);
    if !missing.is_empty() {
        return LAB.not_possible(&missing);
    }
    let binary = match requirements::binary(options.binary.as_deref()) {
        Ok(binary) => binary,
        Err(message) => return LAB.not_possible(&[message]),
    };
    LAB.run(async {
        let mut report = Report::new(options.json, u64::from(options.runs) * cases.len() as u64);
        play(options, &cases, &binary, &mut report).await?;
        Ok(report.finish())
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
    logs::keep(directory, options.keep_logs.as_deref(), &format!("{}-{run}", case.name()), &mut record)?;
    Ok(record)
}
