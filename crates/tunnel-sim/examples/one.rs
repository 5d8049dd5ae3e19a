fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap();
    let seed = args.next().unwrap().parse().unwrap();
    let scenario = tunnel_sim::scenarios::named(&name).unwrap();
    for i in 0..2 {
        let report = tunnel_sim::run_scenario(scenario, &tunnel_sim::Environment::with_seed(seed), true);
        std::fs::write(format!("/tmp/trace{i}.txt"), report.trace.text.unwrap()).unwrap();
        eprintln!("{:#?} {:?}", report.violations, report.tally);
    }
}
