//! Runs scenarios and reports what did not hold.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
    time::Duration,
};

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::{TraceSummary, run};
use tokio::time::{Instant, timeout};

use crate::{Environment, Scenario, Stage, oracle::Tally, service::PLANNED_PANIC};

/// No scenario takes longer, in virtual time, unless it hangs.
const SCENARIO_LIMIT: Duration = Duration::from_hours(6);

thread_local! {
    /// Panics on this thread since the last look. Tasks swallow theirs.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What became of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub trace: TraceSummary,
    /// How long it took, in virtual time.
    pub virtual_time: Duration,
    /// How the requests ended.
    pub tally: Tally,
    /// What the scenario has counted.
    pub counts: BTreeMap<&'static str, u64>,
    /// What did not hold; empty if all did.
    pub violations: Vec<String>,
}

impl Report {
    /// The command that repeats the run and keeps its trace.
    #[must_use]
    pub fn replay(&self) -> String {
        format!("tunnel-p2p simulate --scenario {} --seed {} --trace trace.txt", self.scenario, self.seed)
    }
}

/// Runs one scenario on this thread. `environment` has the seed; `keep_trace` keeps the text of the trace.
#[must_use]
pub fn run_scenario(scenario: &Scenario, environment: &Environment, keep_trace: bool) -> Report {
    run_story(scenario.name, scenario.play, environment, keep_trace)
}

/// As [`run_scenario`], for what is made up elsewhere.
#[must_use]
pub fn run_story(
    name: &'static str,
    play: impl FnOnce(Stage) -> LocalBoxFuture<'static, ()>,
    environment: &Environment,
    keep_trace: bool,
) -> Report {
    collect_panics();
    let mut report = run(environment.seed, async |network| {
        if keep_trace {
            network.keep_trace();
        }
        let start = Instant::now();
        let stage = Stage::new(network.clone(), environment.clone());
        let acting = timeout(SCENARIO_LIMIT, stage.watched(play(stage.clone())));
        let ended = futures::FutureExt::catch_unwind(AssertUnwindSafe(acting)).await;
        // A panic is among the collected ones.
        if matches!(ended, Ok(Err(_))) {
            stage.oracle.violate(format!("not at its end after {SCENARIO_LIMIT:?}"));
        }
        Report {
            scenario: name,
            seed: environment.seed,
            trace: network.trace(),
            virtual_time: start.elapsed(),
            tally: stage.oracle.tally(),
            counts: stage.oracle.counts(),
            violations: stage.oracle.violations(),
        }
    });
    PANICS.with_borrow_mut(|panics| report.violations.extend(panics.drain(..).map(|panic| format!("panic: {panic}"))));
    report
}

fn is_planned(info: &PanicHookInfo<'_>) -> bool {
    info.payload_as_str().is_some_and(|text| text == PLANNED_PANIC)
}

/// From now on panics are remembered, on the thread on which they happen.
fn collect_panics() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if is_planned(info) {
                return;
            }
            let text = info.to_string();
            PANICS.with_borrow_mut(|panics| panics.push(text));
            before(info);
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}
