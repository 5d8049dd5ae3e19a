//! `tunnel-p2p simulate`: scenarios in a simulated network.

mod report;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use serde_json::json;
use tunnel_sim::{Environment, Report, Scenario, run_scenario, scenarios};

use self::report::Results;
use crate::{
    cli::SimulateOptions,
    config::Seeds,
    error::{CliError, Outcome},
    output::Output,
};

/// Plays what the options name, and prints what held and what did not.
pub(crate) fn run(options: &SimulateOptions, output: Output) -> Result<Outcome, CliError> {
    if options.list {
        list(output);
        return Ok(Outcome::Done);
    }
    let environment = Environment::read().map_err(|error| CliError::usage(error.to_string()))?;
    let chosen = chosen(options)?;
    let seeds = match (&options.seeds, options.seed) {
        (Some(Seeds(seeds)), _) => seeds.clone(),
        (None, seed) => {
            let seed = seed.unwrap_or(environment.seed);
            seed..seed.saturating_add(1)
        }
    };
    if options.trace.is_some() && chosen.len() != 1 {
        return Err(CliError::usage("`--trace` keeps one run").next("name one scenario with `--scenario`"));
    }
    let runs: Vec<(Scenario, u64)> =
        chosen.iter().flat_map(|scenario| seeds.clone().map(|seed| (*scenario, seed))).collect();
    let mut results = Results::new(output, &chosen, runs.len());
    play(&runs, &environment, options, |report| results.add(report));
    results.print();
    if let (Some(file), Some(text)) = (&options.trace, results.trace()) {
        write_trace(file, text, output)?;
    }
    match results.violations() {
        0 => Ok(Outcome::Done),
        _ => Err(CliError::failed("something that must hold did not").next("repeat a run with its `replay` command")),
    }
}

fn chosen(options: &SimulateOptions) -> Result<Vec<Scenario>, CliError> {
    if options.scenario.is_empty() {
        let swarm = options.seeds.is_some();
        return Ok(if swarm { vec![scenarios::swarm()] } else { scenarios::all().to_vec() });
    }
    let find = |name: &String| {
        scenarios::named(name).copied().ok_or_else(|| {
            let near = scenarios::all().iter().map(|known| (strsim::damerau_levenshtein(known.name, name), known.name));
            let near = near.min().filter(|(distance, _)| *distance <= 4).map(|(_, near)| near);
            let error = CliError::usage(format!("there is no scenario `{name}`"));
            match near {
                Some(near) => error.next(format!("did you mean `{near}`? `tunnel-p2p simulate --list` shows them all")),
                None => error.next("`tunnel-p2p simulate --list` shows them all"),
            }
        })
    };
    options.scenario.iter().map(find).collect()
}

fn list(output: Output) {
    let width = scenarios::all().iter().map(|scenario| scenario.name.len()).max().unwrap_or_default();
    for Scenario { name, about, .. } in scenarios::all() {
        output.json(&json!({ "event": "listed", "scenario": name, "about": about }));
        output.text(format!("{name:width$}  {about}"));
    }
}

/// Plays all runs, on several threads, and hands the reports over in the order of the runs.
fn play(runs: &[(Scenario, u64)], environment: &Environment, options: &SimulateOptions, mut add: impl FnMut(Report)) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.map_or(cores, usize::from).min(runs.len());
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel(jobs);
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((scenario, seed)) = runs.get(index) else { return };
                    let mut environment = environment.clone();
                    environment.seed = *seed;
                    let report = run_scenario(scenario, &environment, options.trace.is_some());
                    if sender.send((index, report)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut expected = 0;
        for (index, report) in receiver {
            early.insert(index, report);
            while let Some(report) = early.remove(&expected) {
                add(report);
                expected += 1;
            }
        }
    });
}

fn write_trace(file: &Path, text: &str, output: Output) -> Result<(), CliError> {
    std::fs::write(file, text)
        .map_err(|error| CliError::failed(format!("cannot write the trace to {}", file.display())).because(error))?;
    output.note(format!("Wrote {} lines to {}.", text.lines().count(), file.display()));
    Ok(())
}
