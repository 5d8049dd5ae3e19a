//! Command line, environment and file.

use crate::support::{home, refused, run, write};

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let home = home();
    let output = run(home.path(), &["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for word in ["host", "gateway", "demo", "compat", "id", "Exit codes", "130", "TUNNEL_P2P_", "Examples"] {
        assert!(help.contains(word), "{word}");
    }
    for command in ["host", "gateway", "mode", "demo", "compat", "id"] {
        let output = run(home.path(), &[command, "--help"]);
        assert!(String::from_utf8(output.stdout).unwrap().contains("Examples"), "{command}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_file_key_and_nearest_match() {
    let home = home();
    let file = write(&home.path().join("tunnel.toml"), 0o600, "[host]\nservise = 'http://127.0.0.1:1'\n");
    let message = refused(home.path(), 2, &["host", "--config", file.to_str().unwrap()], &[]);
    for part in ["tunnel.toml", "`servise`", "[host]", "client-id", "did you mean `service`?"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn a_missing_file_and_text_that_is_not_toml_are_refused() {
    let home = home();
    let message = refused(home.path(), 2, &["id", "--config", "/nonexistent/tunnel.toml"], &[]);
    assert!(message.contains("/nonexistent/tunnel.toml"), "{message}");
    let file = write(&home.path().join("tunnel.toml"), 0o600, "[host\n");
    let message = refused(home.path(), 2, &["id"], &[("TUNNEL_P2P_CONFIG", file.to_str().unwrap())]);
    assert!(message.contains("tunnel.toml is not valid TOML"), "{message}");
}

/// Which service is taken shows in the message that refuses it.
#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let home = home();
    let file = write(&home.path().join("tunnel.toml"), 0o600, "[host]\nservice = 'from-file'\n");
    let file = file.to_str().unwrap();
    let environment = [("TUNNEL_P2P_HOST_SERVICE", "from-environment")];

    let message = refused(home.path(), 2, &["host", "--config", file], &[]);
    assert!(message.contains("from-file"), "{message}");
    let message = refused(home.path(), 2, &["host", "--config", file], &environment);
    assert!(message.contains("from-environment"), "{message}");
    let message = refused(home.path(), 2, &["host", "--config", file, "--service", "from-flag"], &environment);
    assert!(message.contains("from-flag"), "{message}");
}

#[test]
fn a_bad_ticket_is_refused_with_what_to_do() {
    let home = home();
    let message = refused(home.path(), 2, &["gateway", "--ticket", "https://example.org"], &[]);
    assert!(message.contains("this is not a ticket"), "{message}");
    let message = refused(home.path(), 2, &["gateway"], &[]);
    assert!(message.contains("--ticket-file"), "{message}");
    let file = write(&home.path().join("ticket"), 0o600, "\n");
    let message = refused(home.path(), 2, &["gateway", "--ticket-file", file.to_str().unwrap()], &[]);
    assert!(message.contains("is empty"), "{message}");
}

#[test]
fn a_service_that_is_not_one_is_refused_with_what_to_do() {
    let home = home();
    let message = refused(home.path(), 2, &["host", "--service", "127.0.0.1:8000"], &[]);
    assert!(message.contains("begin with http://"), "{message}");
    let message = refused(home.path(), 2, &["host"], &[]);
    assert!(message.contains("--service http://127.0.0.1:8000"), "{message}");
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let home = home();
    let service = ["host", "--service", "http://127.0.0.1:9"];
    for (wrong, hint) in
        [(["--head-timeout", "soon"], "30s"), (["--relay", "example"], "n0"), (["--port", "99999"], "port")]
    {
        let message = refused(home.path(), 2, &[&service[..], &wrong[..]].concat(), &[]);
        assert!(message.to_lowercase().contains(hint), "{hint}: {message}");
    }
    let message = refused(home.path(), 2, &["id", "--log-filter", "=="], &[]);
    assert!(message.contains("log filter"), "{message}");
}
