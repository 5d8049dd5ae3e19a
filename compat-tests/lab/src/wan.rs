//! The WAN lab: real binaries and real HTTP over a link with delay, loss and limits, beside kernel TCP on the same link. See
//! `spec/wan-lab.md`.

mod cell;
mod cells;
mod leg;
mod link;
mod options;
mod peers;
mod report;
mod results;
mod run;
mod small;
mod summary;
mod transfer;
mod world;

use std::{fs, process::ExitCode, time::Duration};

use anyhow::{Context, Result, anyhow};
use tokio::time::timeout;

pub(crate) use self::options::{AFTER_HELP, Options};
use self::{
    cell::Cell,
    leg::{Leg, Plan, measure},
    link::PromptThreads,
    report::Report,
    results::Results,
    run::Run,
};
use crate::{
    ending::LabName,
    logs,
    process::Product,
    record::Record,
    requirements::{self, missing},
};

/// In messages.
const LAB: LabName = LabName("WAN LAB");

/// How long a leg may take besides its transfer.
const LEG_TIMEOUT: Duration = Duration::from_mins(2);

/// Runs what the options ask for.
pub(crate) fn main(options: &Options) -> ExitCode {
    let all = match (options.cell.is_empty(), options.matrix, options.quick) {
        (false, _, _) => options.cell.clone(),
        (true, true, _) => cells::matrix(),
        (true, false, true) => cells::quick(),
        (true, false, false) => cells::core(),
    };
    let cells: Vec<Cell> = all.into_iter().filter(|cell| options.wants(&cell.to_string())).collect();
    if cells.is_empty() {
        return LAB.usage("no cell has such a name; --list shows them all");
    }
    if options.list {
        report::list(&cells, options.json);
        return ExitCode::SUCCESS;
    }
    let legs = match options.legs() {
        Ok(Ok(legs)) => legs,
        Ok(Err(message)) => return LAB.not_possible(&[message]),
        Err(message) => return LAB.usage(&message),
    };
    // Before there are threads: a process with several cannot enter a namespace of users.
    let (threads, entered) = PromptThreads::before(patchbay::init_userns);
    let mut missing = missing(&entered, &requirements::WAN_TOOLS);
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/net/tun") {
        missing.push(format!(
            "/dev/net/tun: {error}. Run as root, or load the module and allow it: modprobe tun, chmod 666 /dev/net/tun; a \
             container may need --device /dev/net/tun"
        ));
    }
    if !missing.is_empty() {
        return LAB.not_possible(&missing);
    }
    LAB.run(async {
        let mut results = Results::open(options.results.as_deref())?;
        let report = Report::new(options.json, runs(options, &cells, &legs).count() as u64);
        if !threads.are_prompt() {
            report.tell("The link cannot go before other programs here: on a busy machine packets may be late.");
        }
        for absent in ["tcp-bbr", "tcp-cubic"] {
            if options.leg.is_empty() && !legs.iter().any(|leg| leg.to_string() == absent) {
                report.tell(&format!("This kernel has no {absent}: nothing is compared with it."));
            }
        }
        for (run, cell, leg) in runs(options, &cells, &legs) {
            report.begin(format!("{cell} {leg}"));
            if results.find(&cell.to_string(), &leg.to_string(), run).is_none() {
                let run = run_leg(options, &threads, cell, leg, run).await?;
                results.add(run)?;
            }
            report.end(&results);
        }
        let binaries: Vec<String> =
            legs.iter().filter(|leg| matches!(leg, Leg::P2p { .. })).map(ToString::to_string).collect();
        let binaries: Vec<&str> = binaries.iter().map(String::as_str).collect();
        Ok(report.finish(&results, &binaries, !options.quick))
    })
}

/// All that is to be run, in order: the legs of a cell follow each other, so that they see the same machine.
fn runs<'a>(options: &Options, cells: &'a [Cell], legs: &'a [Leg]) -> impl Iterator<Item = (u32, &'a Cell, &'a Leg)> {
    let numbers = 1..=options.runs;
    numbers.flat_map(move |run| cells.iter().flat_map(move |cell| legs.iter().map(move |leg| (run, cell, leg))))
}

/// Runs a leg once. What goes wrong with the lab itself counts as a failure.
async fn run_leg(options: &Options, threads: &PromptThreads, cell: &Cell, leg: &Leg, run: u32) -> Result<Run> {
    let directory = tempfile::Builder::new().prefix("wan-lab-").tempdir().context("no temporary directory")?;
    let binary = match leg {
        Leg::P2p { binary, .. } => binary.clone(),
        Leg::Tcp(_) => Default::default(),
    };
    let product = Product { binary, log_filter: options.log.clone(), directory: directory.path().to_owned() };
    let plan = Plan { threads: threads.clone(), seed: options.seed + u64::from(run) - 1, patience_factor: options.cut_off };
    let measuring = timeout(
        LEG_TIMEOUT + Duration::from_secs_f64(cell.seconds * options.cut_off),
        measure(leg, cell, &plan, product),
    );
    let measured = match measuring.await {
        Ok(measured) => measured,
        Err(_) => Err(anyhow!("it does not end")),
    };
    let mut result = measured.map_or_else(|error| Run::failed(&error), |measured| Run::of(cell, &measured));
    (result.cell, result.leg, result.run, result.seed) = (cell.to_string(), leg.to_string(), run, plan.seed);
    let mut record = Record { failures: result.failures.clone(), ..Record::default() };
    logs::keep(directory, options.keep_logs.as_deref(), &format!("{cell}-{leg}-{run}"), &mut record)?;
    result.logs = record.logs;
    Ok(result)
}
