//! What keeps a command from starting, and the key of a host.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
};

use crate::support::{Process, home, refused, run, service, write};

/// A real ticket of a host that has stopped.
fn ticket() -> String {
    let home = home();
    let service = format!("http://{}", service());
    let mut host = Process::start(home.path(), &["host", "--service", &service, "--port", "0", "--bind", "127.0.0.1"]);
    host.event("ready")["ticket"].as_str().expect("a ticket").to_owned()
}

#[test]
fn a_tcp_port_in_use_is_said_so() {
    let home = home();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message =
        refused(home.path(), 3, &["gateway", "--ticket", &ticket(), "--listen", &address, "--bind", "127.0.0.1"], &[]);
    assert!(message.contains(&address) && message.contains("in use"), "{message}");
}

#[test]
fn a_udp_port_in_use_is_said_so() {
    let home = home();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = refused(
        home.path(),
        3,
        &["host", "--service", "http://127.0.0.1:9", "--port", &port, "--bind", "127.0.0.1"],
        &[],
    );
    assert!(message.contains(&port) && message.contains("--port"), "{message}");
}

#[test]
fn an_address_that_others_reach_needs_an_access_token() {
    let home = home();
    let message = refused(home.path(), 2, &["gateway", "--ticket", &ticket(), "--listen", "0.0.0.0:0"], &[]);
    assert!(message.contains("access token"), "{message}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = home();
    let state = home.path().join(".local/state/tunnel-p2p");
    fs::create_dir_all(&state).unwrap();
    write(&state.join("host.key"), 0o644, &"ab".repeat(32));
    fs::set_permissions(state.join("host.key"), fs::Permissions::from_mode(0o644)).unwrap();
    for args in [&["id"][..], &["host", "--service", "http://127.0.0.1:9", "--port", "0", "--bind", "127.0.0.1"]] {
        let message = refused(home.path(), 3, args, &[]);
        assert!(message.contains("host.key") && message.contains("chmod 600"), "{message}");
    }
}

#[test]
fn id_makes_the_key_only_when_asked_and_keeps_it() {
    let home = home();
    let message = refused(home.path(), 3, &["id"], &[]);
    assert!(message.contains("--create"), "{message}");
    let created = run(home.path(), &["id", "--create"]);
    assert!(created.status.success());
    assert_eq!(created.stdout.len(), 65, "64 hex digits and a line feed");
    assert_eq!(run(home.path(), &["id"]).stdout, created.stdout);

    let state = home.path().join(".local/state/tunnel-p2p");
    assert_eq!(fs::metadata(state.join("host.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(run(home.path(), &["id", "--new-secret"]).status.success());
    let secret = fs::read(state.join("host.secret")).unwrap();
    assert_eq!(fs::metadata(state.join("host.secret")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(run(home.path(), &["id", "--new-secret"]).status.success());
    assert_ne!(fs::read(state.join("host.secret")).unwrap(), secret);
}
