//! `simulate`: what it plays, what it says, and that it repeats.

use std::{fs, process::Output};

use serde_json::Value;

use crate::support::{command, home, refused, run};

fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

#[test]
fn every_scenario_is_listed_and_played() {
    let home = home();
    let listed = events(&run(home.path(), &["simulate", "--list", "--json"]));
    assert!(listed.len() >= 12, "{} scenarios", listed.len());
    let output = run(home.path(), &["simulate", "--seed", "3", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = events(&output);
    let names = |events: &[Value]| events.iter().map(|event| event["scenario"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&events[..listed.len()]), names(&listed), "in the order of the list");
    assert_eq!(events[listed.len()]["violations"], 0);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn another_process_and_another_number_of_threads_give_the_same_traces() {
    let home = home();
    let play = |jobs| run(home.path(), &["simulate", "--seeds", "0..40", "--jobs", jobs, "--json"]).stdout;
    assert!(play("1") == play("3"));
}

#[test]
fn a_trace_is_written_for_one_run_only() {
    let home = home();
    let file = home.path().join("trace.txt");
    let file = file.to_str().expect("a path is text");
    let output = run(home.path(), &["simulate", "--scenario", "stall", "--seed", "5", "--trace", file]);
    assert!(output.status.success());
    let table = String::from_utf8(output.stdout).expect("tables are text");
    assert!(table.contains("stall") && table.contains("Everything held."), "{table}");
    let trace = fs::read_to_string(file).expect("it was written");
    assert!(trace.contains("fault begins: stall"), "{}", &trace[..trace.len().min(500)]);
    let message = refused(home.path(), 2, &["simulate", "--trace", file], &[]);
    assert!(message.contains("--scenario"), "{message}");
}

#[test]
fn what_does_not_hold_is_told_with_the_command_that_repeats_it() {
    let home = home();
    let mut command = command(home.path(), &["simulate", "--scenario", "calm", "--seed", "9"]);
    // Nobody is found in time.
    command.env("SIMULATOR_DISCOVERY_DELAY_MS", "2000").env("SIMULATOR_CONNECTION_TIMEOUT_SECS", "1");
    let output = command.output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("tables are text");
    let replay = "replay: SIMULATOR_CONNECTION_TIMEOUT_SECS=1 SIMULATOR_DISCOVERY_DELAY_MS=2000 tunnel-p2p simulate \
                  --scenario calm --seed 9";
    assert!(text.contains("✗ calm with seed 9") && text.contains(replay), "{text}");
}

#[test]
fn nonsense_is_refused_with_its_name() {
    let home = home();
    for (args, environment, said) in [
        (&["simulate", "--scenario", "stal"][..], &[][..], "did you mean `stall`?"),
        (&["simulate", "--seeds", "9..3"], &[], "no seeds"),
        (&["simulate", "--seeds", "many"], &[], "0..1000"),
        (&["simulate", "--seed", "1", "--seeds", "0..2"], &[], "cannot be used with"),
        (&["simulate"], &[("SIMULATOR_CONDITIONS", "moon")], "home-wifi"),
        (&["simulate"], &[("SIMULATOR_DEFAULT_PACKET_LOSS", "2")], "from 0 to 1"),
    ] {
        let message = refused(home.path(), 2, args, environment);
        assert!(message.contains(said), "{args:?}: {message}");
    }
}
