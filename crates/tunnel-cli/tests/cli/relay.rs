//! The relay as a process.

use std::{fs, net::TcpListener, path::PathBuf};

use tempfile::TempDir;

use crate::support::{Process, eventually, get, home, refused, service, write};

/// A certificate for 127.0.0.1 and its key.
fn certificate(home: &TempDir) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let chain = write(&home.path().join("chain.pem"), 0o644, &made.cert.pem());
    (chain, write(&home.path().join("key.pem"), 0o600, &made.signing_key.serialize_pem()))
}

#[test]
fn a_relay_says_where_it_is_serves_a_host_and_stops_at_a_signal() {
    let home = home();
    let mut relay = Process::start(home.path(), &["relay", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let ready = relay.event("ready");
    let url = ready["url"].as_str().expect("a URL");
    assert_eq!(url, format!("http://{}", ready["http"].as_str().unwrap()));
    assert_eq!(ready["access"], "open");
    assert!(ready["https"].is_null() && ready["quic"].is_null(), "{ready}");
    assert_eq!(get(url, "/healthz").status, 200);

    let service = format!("http://{}", service());
    let args = ["host", "--service", &service, "--port", "0", "--bind", "127.0.0.1", "--relay", url];
    let mut host = Process::start(home.path(), &args);
    host.event("ready");
    let metrics = format!("http://{}", ready["metrics"].as_str().unwrap());
    eventually("the relay counts the host", || {
        String::from_utf8_lossy(&get(&metrics, "/metrics").body).contains("relayserver_accepts_total 1")
    });

    relay.signal("TERM");
    relay.event("stopped");
    assert_eq!(relay.exit_code(), Some(0));
}

#[test]
fn a_relay_with_a_certificate_offers_https_and_address_discovery_and_reads_its_files_again() {
    let home = home();
    let (chain, key) = certificate(&home);
    let tokens = write(&home.path().join("tokens"), 0o600, "the-old-one\nthe-new-one\n");
    let files = [chain.to_str().unwrap(), key.to_str().unwrap(), tokens.to_str().unwrap()];
    let args = ["relay", "--https", "127.0.0.1:0", "--quic-port", "0"];
    let secrets = ["--tls-cert", files[0], "--tls-key", files[1], "--access-token-file", files[2]];
    let mut relay = Process::start(home.path(), &[&args[..], &secrets[..]].concat());
    let ready = relay.event("ready");
    assert_eq!(ready["url"], format!("https://{}", ready["https"].as_str().unwrap()));
    assert_eq!(ready["access"], "token");
    assert!(ready["quic"].is_string() && ready["http"].is_null(), "{ready}");

    certificate(&home);
    write(&tokens, 0o600, "the-new-one\n");
    relay.signal("HUP");
    let reloaded = relay.event("reloaded");
    assert_eq!(reloaded["certificate_changed"], true, "{reloaded}");
    assert_eq!(reloaded["connections_ended"], 0, "{reloaded}");

    fs::write(&key, "").unwrap();
    relay.signal("HUP");
    let reloaded = relay.event("reloaded");
    assert!(reloaded["errors"][0].as_str().unwrap().contains("key.pem"), "{reloaded}");
    relay.signal("INT");
    assert_eq!(relay.exit_code(), Some(0));
}

#[test]
fn what_others_reach_needs_a_token_peers_or_a_word() {
    let home = home();
    let message = refused(home.path(), 2, &["relay", "--http", "0.0.0.0:0"], &[]);
    for way_out in ["--access-token-file", "--allow-peer", "--open"] {
        assert!(message.contains(way_out), "{message}");
    }
}

#[test]
fn a_port_of_the_relay_in_use_is_said_so() {
    let home = home();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = refused(home.path(), 3, &["relay", "--http", &address], &[]);
    assert!(message.contains(&address) && message.contains("in use") && message.contains("--http"), "{message}");
}

#[test]
fn options_of_the_relay_that_do_not_fit_say_what_does() {
    let home = home();
    let (chain, key) = certificate(&home);
    let (chain, key) = (chain.to_str().unwrap(), key.to_str().unwrap());
    let cases: [(&[&str], &str); 9] = [
        (&["--https", "127.0.0.1:0"], "--tls-cert"),
        (&["--quic-port", "0"], "--tls-cert"),
        (&["--tls-cert", chain], "--tls-key"),
        (&["--tls-key", key], "--tls-cert"),
        (&["--acme", "--tls-cert", chain], "choose one"),
        (&["--acme", "--https", "127.0.0.1:0"], "DNS name"),
        (&["--open", "--access-token", "word"], "choose one"),
        (&["--allow-peer", "me"], "64 hex digits"),
        (
            &["--tls-cert", chain, "--tls-key", key, "--https", "127.0.0.1:0", "--host", "a.example"],
            "is not for a.example",
        ),
    ];
    for (options, needle) in cases {
        let message = refused(home.path(), 2, &[&["relay"], options].concat(), &[]);
        assert!(message.contains(needle), "{options:?}: {message}");
    }
}
