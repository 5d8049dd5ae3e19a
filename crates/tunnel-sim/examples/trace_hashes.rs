//! Prints the hash of the trace of every scenario, for one seed each.
//!
//! Two processes, and builds with and without optimization, must print the same.

fn main() {
    for scenario in tunnel_sim::scenarios::all() {
        let report = tunnel_sim::run_scenario(scenario, &tunnel_sim::Environment::with_seed(7), false);
        report_line(&report);
    }
}

#[expect(clippy::print_stdout, reason = "this is what the example is for")]
fn report_line(report: &tunnel_sim::Report) {
    println!("{} {} {}", report.trace.hash, report.trace.events, report.scenario);
}
