//! `tunnel-p2p ping`, on loopback.

use serde_json::Value;

use crate::{
    support::{home, run},
    tunnel::HostSetup,
};

fn events(stdout: &[u8]) -> Vec<Value> {
    let lines = String::from_utf8(stdout.to_vec()).expect("stdout is text");
    lines.lines().map(|line| serde_json::from_str(line).expect("stdout is JSON")).collect()
}

#[test]
fn a_host_that_runs_answers_on_a_direct_path() {
    let (_setup, _host, ticket) = HostSetup::start();
    let home = home();
    let args = ["ping", &ticket, "--bind", "127.0.0.1", "--count", "3", "--interval", "20ms", "--json"];
    let output = run(home.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let events = events(&output.stdout);
    assert_eq!(events.len(), 4, "{events:?}");
    for (index, ping) in events[..3].iter().enumerate() {
        assert_eq!(
            (&ping["event"], &ping["seq"], &ping["path"]),
            (&"ping".into(), &(index + 1).into(), &"direct".into())
        );
        assert!(ping["remote"].as_str().unwrap().starts_with("127.0.0.1:"), "{ping}");
        assert!(ping["rtt_ms"].as_f64().unwrap() > 0.0 && ping["smoothed_rtt_ms"].is_f64(), "{ping}");
    }
    let summary = &events[3];
    assert_eq!((&summary["event"], &summary["sent"], &summary["answered"]), (&"summary".into(), &3.into(), &3.into()));
    assert!(summary["direct_after_ms"].is_f64() && summary["median_ms"].is_f64(), "{summary}");

    // Until the path is direct, which it is at once.
    let text = run(home.path(), &["ping", &ticket, "--bind", "127.0.0.1"]);
    assert_eq!(text.status.code(), Some(0), "{text:?}");
    assert!(String::from_utf8_lossy(&text.stdout).contains("1 sent, 1 answered"), "{text:?}");
}

#[test]
fn a_host_that_is_off_is_not_reached_and_the_next_step_is_said() {
    let (setup, host, ticket) = HostSetup::start();
    host.crash();
    let args = ["ping", &ticket, "--bind", "127.0.0.1", "--timeout", "700ms"];
    let output = run(setup.home.path(), &args);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("not reached") && message.contains("next:"), "{message}");
}

#[test]
fn what_is_no_ticket_is_refused() {
    let home = home();
    for (args, hint) in [(&["ping"][..], "--ticket-file"), (&["ping", "tp2p"], "version"), (&["ping", "x"], "tp2p1")] {
        let output = run(home.path(), args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(hint), "{output:?}");
    }
}
