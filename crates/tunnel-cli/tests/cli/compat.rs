//! `tunnel-p2p compat`, and the service that it needs.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use serde_json::Value;

use crate::support::{Process, get, home, refused, run, service};

/// What `compat --json` prints: the checks by name, and the last event.
fn compat(code: i32, args: &[&str]) -> (Vec<Value>, Value) {
    let home = home();
    let output = run(home.path(), &[&["compat", "--json"], args].concat());
    let stdout = String::from_utf8(output.stdout).expect("stdout is text");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stdout}{message}");
    let events: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
    let checks = events.iter().filter(|event| event["event"] == "check").map(|event| event["check"].clone());
    let last = events.iter().find(|event| event["event"] == "done").cloned().unwrap_or_default();
    (checks.collect(), last)
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A server that answers every connection with these bytes.
fn answering(response: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // The checker looks for an open port first.
            if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                _ = stream.write_all(response);
            }
        }
    });
    url(address)
}

/// A relay that replaces bytes of the responses by others of the same length.
fn damaging(origin: SocketAddr, from: &'static [u8], to: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for app in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || damage(app, origin, from, to));
        }
    });
    url(address)
}

fn damage(mut app: TcpStream, origin: SocketAddr, from: &[u8], to: &[u8]) {
    let mut service = TcpStream::connect(origin).expect("the service listens");
    let (mut up_from, mut up_to) = (app.try_clone().expect("a socket"), service.try_clone().expect("a socket"));
    thread::spawn(move || std::io::copy(&mut up_from, &mut up_to));
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = service.read(&mut buffer) {
        if let Some(at) = buffer[..length].windows(from.len()).position(|window| window == from) {
            buffer[at..at + to.len()].copy_from_slice(to);
        }
        if app.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

#[test]
fn the_service_by_itself_passes_every_check() {
    let home = home();
    let mut demo = Process::start(home.path(), &["demo", "--service-only", "--listen", "127.0.0.1:0"]);
    let target = demo.event("ready")["url"].as_str().expect("a URL").to_owned();
    let junit = home.path().join("compat.xml");
    let (checks, done) = compat(0, &["--target", &target, "--junit", junit.to_str().expect("a path")]);
    assert!(checks.len() >= 45, "{}", checks.len());
    assert!(checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    assert_eq!(done["differences"], 0);
    assert_eq!(done["checks"], checks.len());

    let xml = fs::read_to_string(&junit).expect("the file was written");
    let expected = format!("tests=\"{}\" skipped=\"0\" failures=\"0\"", checks.len());
    assert!(xml.starts_with("<?xml") && xml.contains(&expected), "{xml}");
    assert_eq!(xml.matches("<testcase ").count(), checks.len());

    demo.signal("INT");
    assert_eq!(demo.exit_code(), Some(0));
}

#[test]
fn host_and_gateway_pass_every_check_with_client_id_and_token() {
    let (home, other) = (home(), home());
    let service = url(service());
    let options = ["--client-id", "my home", "--port", "0", "--bind", "127.0.0.1"];
    let mut host = Process::start(home.path(), &[&["host", "--service", &service][..], &options[..]].concat());
    let ticket = host.event("ready")["ticket"].as_str().expect("a ticket").to_owned();
    let options = ["--listen", "127.0.0.1:0", "--bind", "127.0.0.1", "--access-token", "t+1"];
    let mut gateway = Process::start(other.path(), &[&["gateway", "--ticket", &ticket][..], &options[..]].concat());
    let target = gateway.event("ready")["url"].as_str().expect("a URL").to_owned();
    gateway.event("connected");

    let known = ["--target", &target, "--client-id", "my home", "--token", "t+1", "--transport", "p2p"];
    let (checks, done) = compat(0, &known);
    assert_eq!(done["differences"], 0, "{checks:?}");

    for (options, status, advice) in [
        (&[][..], "401", "--token"),
        (&["--token", "t+1"], "400", "--client-id"),
        (&["--token", "t+1", "--client-id", "other"], "424", "--client-id"),
    ] {
        let message = refused(other.path(), 3, &[&["compat", "--target", &target], options].concat(), &[]);
        assert!(message.contains(status) && message.contains(advice), "{message}");
    }
    host.signal("INT");
    host.exit_code();
    let message = refused(other.path(), 3, &[&["compat"], &known[..]].concat(), &[]);
    assert!(message.contains("start the host"), "{message}");
}

#[test]
fn what_is_not_the_demo_service_is_said_so() {
    let home = home();
    let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    for (target, sentence) in [
        (url(nobody), "nothing answers at"),
        (answering(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), "it is not the demo service"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), "it is not the demo service"),
        (answering(b"SSH-2.0-OpenSSH\r\n"), "does not answer"),
        (answering(b"HTTP/1.1 421 Misdirected Request\r\ncontent-length: 0\r\n\r\n"), "--allow-host"),
    ] {
        let message = refused(home.path(), 3, &["compat", "--target", &target, "--timeout", "5s"], &[]);
        assert!(message.contains(sentence) && message.contains("next: "), "{message}");
    }
}

#[test]
fn a_target_that_never_answers_is_given_up() {
    let home = home();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = url(silent.local_addr().unwrap());
    let message = refused(home.path(), 3, &["compat", "--target", &target, "--timeout", "300ms"], &[]);
    assert!(message.contains("within 300ms"), "{message}");
}

#[test]
fn damage_on_the_way_is_a_difference_in_its_row() {
    let home = home();
    let target = damaging(service(), b"etag: \"demo-10001\"", b"etag: \"demo-10002\"");
    let junit = home.path().join("compat.xml");
    let only = ["--only", "headers: ", "--only", "bodies: 304", "--only", "GET /files/1.bin"];
    let junit_option = ["--junit", junit.to_str().expect("a path")];
    let (checks, done) = compat(1, &[&["--target", &target], &only[..], &junit_option[..]].concat());
    assert_eq!(done["differences"], 1, "{checks:?}");
    let different: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(different[0]["request"], "response: validators, type and length");
    let problem = different[0]["problem"].as_str().expect("a sentence");
    assert!(problem.contains("etag is") && problem.contains("demo-10001"), "{problem}");

    let xml = fs::read_to_string(&junit).expect("the file was written");
    assert!(xml.contains("failures=\"1\"") && xml.contains("<failure message=\"etag is"), "{xml}");
    assert_eq!(xml.matches("<failure").count(), 1);
    let output = run(home.path(), &["compat", "--quiet", "--target", &target, "--only", "validators"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains('✗') && table.contains("1 of 1 checks found a difference"), "{table}");
    assert!(table.contains("validators, type and length: etag is"), "{table}");
}

#[test]
fn the_list_is_shown_without_a_target_and_narrowed() {
    let home = home();
    let list = |args: &[&str]| {
        let output = run(home.path(), &[&["compat", "--list"], args].concat());
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("stdout is text")
    };
    let all = list(&[]);
    assert!(all.lines().count() >= 45 && all.contains("trailers: trailers of a response\n"), "{all}");
    assert_eq!(list(&["--only", "256mib"]), "bodies: GET /files/256MiB.bin\n");
    let others = list(&["--skip", "WebSocket", "--skip", "256MiB"]);
    assert!(others.lines().count() < all.lines().count() && !others.contains("WebSocket: "), "{others}");
    assert!(list(&["--json"]).lines().all(|line| line.starts_with("{\"event\":\"listed\"")));
}

#[test]
fn wrong_usage_is_refused_with_what_to_do() {
    let home = home();
    for (args, sentence) in [
        (&[][..], "--target"),
        (&["--target", "https://tunnel.example"], "plain http only"),
        (&["--target", "127.0.0.1:8017"], "http://127.0.0.1:8017"),
        (&["--target", "http://127.0.0.1:1/api"], "whole server"),
        (&["--target", "http://127.0.0.1:1", "--only", "no such check"], "--list"),
        (&["--target", "http://127.0.0.1:1", "--only", "256MiB", "--skip", "bodies"], "--skip"),
        (&["--target", "http://127.0.0.1:1", "--timeout", "soon"], "30s"),
        (&["--target", "http://127.0.0.1:1", "--service-kind", "moosicbox"], "demo"),
    ] {
        let message = refused(home.path(), 2, &[&["compat"], args].concat(), &[]);
        assert!(message.contains(sentence), "{args:?}: {message}");
    }
    let environment = [("TUNNEL_P2P_COMPAT_TARGET", "https://from-environment"), ("TUNNEL_P2P_COMPAT_TOKEN", "hush")];
    let message = refused(home.path(), 2, &["compat"], &environment);
    assert!(message.contains("from-environment"), "{message}");
}

#[test]
fn the_service_alone_says_where_it_is_and_what_is_in_its_way() {
    let home = home();
    let mut demo = Process::start(home.path(), &["demo", "--service-only", "--listen", "127.0.0.1:0"]);
    let target = demo.event("ready")["url"].as_str().expect("a URL").to_owned();
    assert!(String::from_utf8_lossy(&get(&target, "/about").body).contains("tunnel-p2p demo"));
    let address = target.trim_start_matches("http://");
    let message = refused(home.path(), 3, &["demo", "--service-only", "--listen", address], &[]);
    assert!(message.contains(address) && message.contains("--listen"), "{message}");
}
