//! Which way requests take: what can be set, and what a configuration says before anything runs with it.

use serde_json::{Value, json};

use crate::support::{home, refused, run, write};

fn explain(args: &[&str]) -> Value {
    let home = home();
    let output = run(home.path(), &[&["explain", "--json"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

#[test]
fn explain_tells_from_flags_alone() {
    let nothing = explain(&[]);
    assert_eq!((&nothing["mode"], &nothing["source"]), (&json!("p2p-first"), &json!("mode")));
    assert_eq!(nothing["live"], false);
    assert_eq!(nothing.get("transport"), None, "that depends on health");
    let rules = ["--rule", "POST /api/**=p2p-only", "--rule", "/api/**=legacy"];
    let post = explain(&[&rules[..], &["--path", "/api/x", "--method", "POST"]].concat());
    assert_eq!((&post["mode"], &post["source"], &post["rule"]), (&json!("p2p-only"), &json!("rule"), &json!(0)));
    let get = explain(&[&rules[..], &["--path", "/api/x"]].concat());
    assert_eq!((&get["mode"], &get["rule"]), (&json!("legacy"), &json!(1)));
    for (percent, source, mode) in [("0", "rollout", "legacy"), ("100", "mode", "p2p-first")] {
        let out = explain(&["--rollout", percent, "--client-id", "home"]);
        assert_eq!((&out["source"], &out["mode"]), (&json!(source), &json!(mode)), "{percent}");
    }
}

#[test]
fn a_share_of_the_client_ids_is_in_the_rollout_and_stays_there() {
    let is_in = |id: &str, percent: &str| explain(&["--rollout", percent, "--client-id", id])["in_rollout"] == true;
    let ids: Vec<String> = (0..40).map(|number| format!("home-{number}")).collect();
    let half: Vec<&String> = ids.iter().filter(|id| is_in(id, "50")).collect();
    assert!((8..=32).contains(&half.len()), "{half:?}");
    assert!(half.iter().all(|id| is_in(id, "75")), "who is in stays in");
}

#[test]
fn explain_reads_the_file_and_the_kill_switch() {
    let home = home();
    let switch = home.path().join("off");
    let text = format!(
        "[gateway]\nclient-id = 'home'\nmode = 'p2p-only'\nkill-switch-file = '{}'\n[[gateway.rule]]\npath = '/ws'\nmode = 'legacy'\n",
        switch.display()
    );
    let file = write(&home.path().join("t.toml"), 0o600, &text);
    let config = ["--config", file.to_str().unwrap()];
    let answer = explain(&config);
    assert_eq!((&answer["mode"], &answer["client_id"]), (&json!("p2p-only"), &json!("home")));
    assert_eq!(explain(&[&config[..], &["--path", "/ws"]].concat())["source"], "rule");
    assert_eq!(explain(&[&config[..], &["--mode", "p2p-first"]].concat())["mode"], "p2p-first", "flags win");
    write(&switch, 0o600, "");
    assert_eq!(explain(&config)["source"], "kill-switch");
}

#[test]
fn routing_options_that_make_no_sense_are_refused() {
    let home = home();
    for (args, hint) in [
        (&["explain", "--rollout", "101"][..], "0 to 100"),
        (&["explain", "--rule", "files=legacy"], "begin with /"),
        (&["explain", "--rule", "/files=fast"], "p2p-first"),
        (&["explain", "--mode", "fast"], "p2p-only"),
        (&["explain", "--path", "files"], "begins with /"),
        (&["explain", "--admin", "127.0.0.1:1", "--rollout", "1"], "rules of its own"),
        (&["gateway", "--tunnel", "tunnel.example.org"], "https://"),
        (&["gateway", "--tunnel", "http://127.0.0.1:9", "--mode", "p2p-only"], "p2p"),
        (&["gateway", "--tunnel", "http://127.0.0.1:9", "--tunnel-allow-loss", "body"], "preconditions"),
        (&["gateway", "--tunnel", "http://127.0.0.1:9", "--tunnel-token", "Bearer x"], "Bearer"),
        (&["gateway", "--tunnel", "http://127.0.0.1:9", "--profile", "plain"], "--client-id"),
        (&["gateway", "--ticket", "x", "--mode", "legacy"], "not valid"),
        (&["tunnel-server"], "--access-token-file"),
    ] {
        let message = refused(home.path(), 2, args, &[]);
        assert!(message.contains(hint), "{hint}: {message}");
    }
    let file = write(&home.path().join("t.toml"), 0o600, "[gateway]\nrollout = 'all'\n");
    let message = refused(home.path(), 2, &["explain", "--config", file.to_str().unwrap()], &[]);
    assert!(message.contains("`rollout` in [gateway]"), "{message}");
}
