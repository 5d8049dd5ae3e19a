//! The WAN lab: real binaries and real HTTP over a link with delay, loss and limits, beside kernel TCP on the same link. See
//! `spec/wan-lab.md`.

mod case;
mod cell;
mod cells;
mod leg;
mod link;
mod options;
mod peers;
mod plot;
mod report;
mod results;
mod run;
mod scenarios;
mod small;
mod summary;
mod transfer;
mod world;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) use self::options::{AFTER_HELP, Options};
use self::{
    case::Case,
    cell::Cell,
    leg::{Leg, Plan, measure},
    link::PromptThreads,
    report::Report,
    results::Results,
    run::Run,
    scenarios::{Scenario, Setting},
};
use crate::{
    ending::{LabName, usage},
    logs,
    process::Product,
    record::Record,
    requirements::{self, missing},
};

/// In messages.
const LAB: LabName = LabName("WAN LAB");

/// How long a leg may take besides its transfer.
const LEG_TIMEOUT: Duration = Duration::from_mins(2);

/// How long a scenario may take besides its minutes. The longest dead zone takes two and a half.
const SCENARIO_TIMEOUT: Duration = Duration::from_mins(5);

/// Where the devices come from.
const TUN: &str = "/dev/net/tun";

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
    if options.plot.as_ref().is_some_and(|plot| plot.extension().is_none_or(|extension| extension != "svg")) {
        return usage("--plot writes SVG: the file's name must end in .svg");
    }
    let legs = match options.legs() {
        Ok(Ok(legs)) => legs,
        Ok(Err(message)) => return LAB.not_possible(&[message]),
        Err(message) => return usage(&message),
    };
    // Before there are threads: a process with several cannot enter a namespace of users.
    let (threads, entered) = PromptThreads::before(patchbay::init_userns);
    let mut missing = missing(&entered, &requirements::WAN_TOOLS);
    if let Err(error) = fs::File::options().read(true).write(true).open(TUN) {
        missing.push(format!(
            "{TUN}: {error}. Run as root, or load the module and allow it: modprobe tun, chmod 666 {TUN}; a container may need \
             --device {TUN}"
        ));
    }
    if !missing.is_empty() {
        return LAB.not_possible(&missing);
    }
    LAB.run(run(&Lab { options, threads, legs }, &cases))
}

/// What all runs have in common.
struct Lab<'a> {
    options: &'a Options,
    threads: PromptThreads,
    legs: Vec<Leg>,
}

/// Runs everything; whether all has held.
async fn run(lab: &Lab<'_>, cases: &[Case]) -> Result<bool> {
    let options = lab.options;
    let mut results = Results::open(options.results.as_deref())?;
    let runs = lab.runs(cases);
    let mut report = Report::new(options.json, runs.len() as u64);
    if !lab.threads.are_prompt() {
        report.tell("The link cannot go before other programs here: on a busy machine packets may be late.");
    }
    for absent in ["tcp-bbr", "tcp-cubic"] {
        if options.leg.is_empty() && !lab.legs.iter().any(|leg| leg.to_string() == absent) {
            report.tell(&format!("This kernel has no {absent}: nothing is compared with it."));
        }
    }
    for (number, case, leg) in runs {
        let name = leg.to_string();
        report.begin(format!("{} {name}", case.name()));
        match (case, leg) {
            (Case::Cell(cell), _) => {
                let seed = lab.seed(number);
                if results.find(&cell.to_string(), &name, number, seed).is_none() {
                    results.add(lab.run_cell(&cell, leg, number).await?)?;
                }
                if let Some(run) = results.find(&cell.to_string(), &name, number, seed) {
                    report.end(&results, run);
                }
            }
            (Case::Scenario(scenario), Leg::P2p { .. }) => {
                let record = lab.run_scenario(scenario, leg, number).await?;
                report.end_scenario(scenario, &name, record);
            }
            (Case::Scenario(_), Leg::Tcp(_)) => {}
        }
    }
    if options.quick || options.plot.is_some() {
        let svg = plot::draw(&results)?;
        ensure!(svg.contains("</svg>"), "the plot is empty");
        if let Some(path) = &options.plot {
            fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    let binaries = lab.legs.iter().filter(|leg| matches!(leg, Leg::P2p { .. })).map(ToString::to_string);
    Ok(report.finish(&results, &binaries.collect::<Vec<_>>(), !options.quick))
}

impl Lab<'_> {
    /// All that is to be run, in order: the legs of a case follow each other, so that they see the same machine. Scenarios are
    /// for the binaries.
    fn runs<'a>(&'a self, cases: &[Case]) -> Vec<(u32, Case, &'a Leg)> {
        let mut runs = Vec::new();
        for number in 1..=self.options.runs {
            for &case in cases {
                let scenario = matches!(case, Case::Scenario(_));
                let legs = self.legs.iter().filter(|leg| !scenario || matches!(leg, Leg::P2p { .. }));
                runs.extend(legs.map(|leg| (number, case, leg)));
            }
        }
        runs
    }

    /// Runs a leg in a cell. What goes wrong with the lab itself counts as a failure.
    async fn run_cell(&self, cell: &Cell, leg: &Leg, number: u32) -> Result<Run> {
        let directory = directory()?;
        let product = self.product(leg, &directory);
        let plan =
            Plan { threads: self.threads.clone(), seed: self.seed(number), patience_factor: self.options.cut_off };
        let time_max = LEG_TIMEOUT + Duration::from_secs_f64(cell.seconds * self.options.cut_off);
        let measured = within(time_max, measure(leg, cell, &plan, product)).await;
        let mut run = measured.map_or_else(|error| Run::failed(&error), |measured| Run::of(cell, &measured));
        (run.cell, run.leg, run.number, run.seed) = (cell.to_string(), leg.to_string(), number, plan.seed);
        let mut record = Record { failures: run.failures.clone(), ..Record::default() };
        self.keep(directory, &format!("{cell}-{leg}-{number}"), &mut record)?;
        run.logs = record.logs;
        Ok(run)
    }

    /// Plays a scenario. What goes wrong with the lab itself counts as not held.
    async fn run_scenario(&self, scenario: &Scenario, leg: &Leg, number: u32) -> Result<Record> {
        let directory = directory()?;
        let arguments = match leg {
            Leg::P2p { arguments, .. } => arguments.clone(),
            Leg::Tcp(_) => peers::Arguments::default(),
        };
        let setting = Setting {
            threads: self.threads.clone(),
            seed: self.seed(number),
            product: self.product(leg, &directory),
            arguments,
            minutes: self.options.minutes,
        };
        let time_max = SCENARIO_TIMEOUT + Duration::from_secs_f64(self.options.minutes * 60.0);
        let mut record = within(time_max, scenario.run(setting)).await.unwrap_or_else(|error| {
            let mut record = Record::default();
            record.fail(format!("{error:#}"));
            record
        });
        self.keep(directory, &format!("{}-{leg}-{number}", scenario.name), &mut record)?;
        Ok(record)
    }

    /// Another one for each run of a case, and the same for all its legs.
    fn seed(&self, number: u32) -> u64 {
        self.options.seed + u64::from(number) - 1
    }

    fn product(&self, leg: &Leg, directory: &TempDir) -> Product {
        let binary = match leg {
            Leg::P2p { binary, .. } => binary.clone(),
            Leg::Tcp(_) => PathBuf::new(),
        };
        Product { binary, log_filter: self.options.log.clone(), directory: directory.path().to_owned() }
    }

    fn keep(&self, directory: TempDir, name: &str, record: &mut Record) -> Result<()> {
        let place: Option<&Path> = self.options.keep_logs.as_deref();
        logs::keep(directory, place, name, record)
    }
}

fn directory() -> Result<TempDir> {
    tempfile::Builder::new().prefix("wan-lab-").tempdir().context("no temporary directory")
}

async fn within<T>(time_max: Duration, running: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout(time_max, running).await {
        Ok(result) => result,
        Err(_) => Err(anyhow!("it does not end within {time_max:?}")),
    }
}
