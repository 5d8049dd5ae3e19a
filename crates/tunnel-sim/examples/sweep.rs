//! Runs one scenario, or all whose name begins so, with many seeds, and prints what did not hold.
//!
//! ```text
//! cargo run --release -p tunnel-sim --example sweep -- dual-posts 0..500
//! ```
//!
//! `tunnel-p2p simulate` does the same and more; this builds without Iroh.
#![expect(clippy::print_stdout, reason = "this is what the example is for")]

use std::{
    collections::BTreeMap,
    ops::Range,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use tunnel_sim::{Environment, Report, Scenario, oracle::Tally, run_scenario, scenarios};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, seeds] = arguments.as_slice() else { return usage() };
    let Some(seeds) = range(seeds) else { return usage() };
    let chosen = scenarios::all().iter().filter(|scenario| scenario.name.starts_with(name.as_str()));
    let failed = chosen.map(|scenario| sweep(scenario, seeds.clone())).sum::<usize>();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    println!("usage: sweep NAME-OR-ITS-BEGINNING FIRST..END");
    ExitCode::FAILURE
}

fn range(text: &str) -> Option<Range<u64>> {
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}

/// Returns how many seeds failed.
#[expect(clippy::disallowed_methods, reason = "this is how long it takes, not what happens")]
fn sweep(scenario: &Scenario, seeds: Range<u64>) -> usize {
    let (begun, next) = (Instant::now(), AtomicU64::new(seeds.start));
    let reports: Mutex<Vec<Report>> = Mutex::default();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let report = run_scenario(scenario, &Environment::with_seed(seed), false);
            if let Some(violation) = report.violations.first() {
                println!("✗ {} {seed}: {violation} ({} in all)", scenario.name, report.violations.len());
            }
            reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed = reports.iter().filter(|report| !report.violations.is_empty()).count();
    let sum = |count: fn(&Tally) -> u64| reports.iter().map(|report| count(&report.tally)).sum::<u64>();
    println!(
        "{}: {failed} of {} seeds failed, in {:?}; requests: {} complete ({} of them executed more than once), {} failed (of \
         them {} not executed), {} given up; {} answered by p2p, {} by legacy",
        scenario.name,
        reports.len(),
        begun.elapsed(),
        sum(|tally| tally.complete),
        sum(|tally| tally.repeated),
        sum(|tally| tally.failed),
        sum(|tally| tally.undelivered),
        sum(|tally| tally.aborted),
        sum(|tally| tally.by_p2p),
        sum(|tally| tally.by_legacy),
    );
    let mut counts = BTreeMap::new();
    for (&what, &count) in reports.iter().flat_map(|report| &report.counts) {
        *counts.entry(what).or_insert(0) += count;
    }
    for (what, count) in counts {
        println!("  {what}: {count}");
    }
    failed
}
