//! Processes, a service and requests for the tests.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take: far longer than it does.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lines of output that wait to be read.
const LINES: usize = 1024;

/// The binary in an environment of its own: nothing of the user's is read or written.
pub(crate) fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tunnel-p2p"));
    command.args(args).env_clear().env("HOME", home).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) fn run(home: &Path, args: &[&str]) -> Output {
    command(home, args).output().expect("the binary runs")
}

/// Runs the binary with these environment variables, expects this exit code and returns what it wrote to stderr.
pub(crate) fn refused(home: &Path, code: i32, args: &[&str], environment: &[(&str, &str)]) -> String {
    let output = command(home, args).envs(environment.iter().copied()).output().expect("the binary runs");
    let message = String::from_utf8(output.stderr).expect("messages are text");
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    message
}

/// An empty directory that lasts as long as the test.
pub(crate) fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Writes a file that only the user can read.
pub(crate) fn write(path: &Path, mode: u32, text: &str) -> PathBuf {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    let mut file = file.expect("the file can be written");
    file.write_all(text.as_bytes()).expect("the file can be written");
    path.to_owned()
}

/// A running `tunnel-p2p --json ..`. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(home: &Path, args: &[&str]) -> Self {
        let mut child = command(home, args)
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let (sender, lines) = sync_channel(LINES);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for the next event of this name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no event {name:?}; there were {:#?}", self.seen));
            let event: Value = serde_json::from_str(&line).expect("stdout is JSON");
            self.seen.push(line);
            if event["event"] == name {
                return event;
            }
        }
    }

    /// An event of this name that has been waited for, or came before one that has.
    pub(crate) fn seen(&self, name: &str) -> Value {
        let events = self.seen.iter().map(|line| serde_json::from_str::<Value>(line).expect("stdout is JSON"));
        events.into_iter().find(|event| event["event"] == name).expect("the event has come")
    }

    /// Sends a signal: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("the process ends", || {
            let status = self.child.try_wait().expect("the child is ours");
            code = status.and_then(|status| status.code());
            status.is_some()
        });
        code
    }

    /// Kills it at once, as a crash would.
    pub(crate) fn crash(mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The demo service on a thread of its own, until the test process ends.
pub(crate) fn service() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a nonblocking socket");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            compat_tests::demo_service::serve(listener).await
        })
    });
    address
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// A header; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
            .unwrap_or_default()
    }
}

/// A GET over a connection of its own.
pub(crate) fn get(url: &str, path: &str) -> Answer {
    answer(send(url, path))
}

/// A POST over a connection of its own; `fields` are whole header lines.
pub(crate) fn post(url: &str, path: &str, fields: &str, body: &str) -> Answer {
    let address = url.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}", body.len());
    write!(stream, "{head}\r\n{fields}\r\n{body}").expect("a request");
    answer(stream)
}

fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a response");
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a response head");
    let head = String::from_utf8(bytes[..split].to_vec()).expect("a response head is text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head, body: bytes[split + 4..].to_vec() }
}

/// Sends a GET and leaves the response to the caller.
pub(crate) fn send(url: &str, path: &str) -> TcpStream {
    let address = url.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("a request");
    stream
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let pause = Duration::from_millis(50);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        if condition() {
            return;
        }
        sleep(pause);
    }
    panic!("it never happened that {what}");
}

#[expect(clippy::disallowed_methods, reason = "a test thread, not a runtime")]
fn sleep(time: Duration) {
    thread::sleep(time);
}
