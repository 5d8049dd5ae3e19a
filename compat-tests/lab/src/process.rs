//! The product's processes: started in a namespace, heard through `--json`, ended with their owner.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use patchbay::Device;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    runtime::Handle,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::requirements;

/// How long a process may take to do what it is about to do: far longer than it does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Lines of its log that tell why a process has failed.
const LOG_LINES: usize = 5;

/// How long a killed process may take to be gone.
const BURIAL: Duration = Duration::from_secs(5);

/// The binary under test, and where its processes keep what they write.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) binary: PathBuf,
    pub(crate) log_filter: String,
    /// State directories and logs of this run.
    pub(crate) directory: PathBuf,
}

impl Product {
    /// Starts `tunnel-p2p ARGUMENTS --json` on this device. What it logs goes to `NAME.log`.
    pub(crate) fn start(&self, device: &Device, name: &str, arguments: &[&str]) -> Result<Process> {
        let (log, file) = self.log(name)?;
        let mut command = self.command();
        command
            .args(arguments)
            .args(["--json", "--log-filter", &self.log_filter])
            .env_clear()
            .env("HOME", &self.directory)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true);
        let mut child = device.spawn_command(command).with_context(|| format!("{name} could not be started"))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("a process without an id")?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let events = Arc::new(Events::default());
        let reader = Handle::current().spawn(listen(BufReader::new(stdout).lines(), events.clone()));
        let reader = AbortOnDropHandle::new(reader);
        let pid = Pid::from_raw(pid);
        Ok(Process { name: name.to_owned(), child, pid, log, events, read: 0, _reader: reader })
    }

    /// The binary; where there is the tool for it, one that does not outlive the lab, even if that is killed.
    fn command(&self) -> Command {
        let Some(setpriv) = requirements::find("setpriv") else { return Command::new(&self.binary) };
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.binary);
        command
    }

    /// A process that is started again goes on with the log of the one before.
    fn log(&self, name: &str) -> Result<(PathBuf, File)> {
        let path = self.directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok((path, file))
    }

    /// A file or directory of this run.
    pub(crate) fn path(&self, name: &str) -> String {
        Path::new(&self.directory).join(name).to_string_lossy().into_owned()
    }
}

/// Something that a process has said.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) value: Value,
}

impl Event {
    fn is(&self, name: &str) -> bool {
        self.value["event"] == name
    }
}

#[derive(Debug, Default)]
struct Events {
    said: Mutex<Said>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Said {
    events: Vec<Event>,
    ended: bool,
}

impl Events {
    fn said<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        look(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn listen(mut lines: Lines<BufReader<ChildStdout>>, events: Arc<Events>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(value) = serde_json::from_str(&line) {
            events.said(|said| said.events.push(Event { value }));
            events.more.notify_waiters();
        }
    }
    events.said(|said| said.ended = true);
    events.more.notify_waiters();
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    pid: Pid,
    log: PathBuf,
    events: Arc<Events>,
    /// Events up to here have been waited for.
    read: usize,
    _reader: AbortOnDropHandle<()>,
}

impl Process {
    /// Waits for the next event of this name. Dropping the future loses nothing.
    pub(crate) async fn event(&mut self, name: &str) -> Result<Event> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let more = self.events.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            let (found, ended) = self.events.said(|said| {
                let new = said.events.iter().enumerate().skip(self.read);
                let found = new.filter(|(_, event)| event.is(name)).map(|(at, event)| (at, event.clone())).next();
                (found, said.ended)
            });
            if let Some((at, event)) = found {
                self.read = at + 1;
                return Ok(event);
            }
            if ended {
                bail!("{} has ended before its event {name:?}; it said {}", self.name, self.transcript());
            }
            if timeout_at(deadline, more).await.is_err() {
                bail!("{} has no event {name:?} within {PATIENCE:?}; it said {}", self.name, self.transcript());
            }
        }
    }

    /// All that it has said until now.
    pub(crate) fn all_events(&self) -> Vec<Event> {
        self.events.said(|said| said.events.clone())
    }

    /// The time that all its threads have used.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        cpu_time(&stat).with_context(|| format!("{path} is not as proc(5) says"))
    }

    /// What it has said, and what it has logged last.
    fn transcript(&self) -> String {
        let events = self.events.said(|said| said.events.iter().map(|event| event.value.to_string()).collect());
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut logged: Vec<_> = log.lines().rev().take(LOG_LINES).map(str::to_owned).collect();
        logged.reverse();
        let lines: Vec<String> = [events, logged].concat();
        if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n      ") }
    }

    /// Kills it at once, as a crash would, and waits until it is gone.
    pub(crate) async fn crash(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        timeout(BURIAL, self.child.wait()).await.map_err(|_| anyhow!("{} does not end", self.name))??;
        Ok(())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid, signal).with_context(|| format!("{} cannot be sent {signal}", self.name))
    }
}

/// Of proc(5)'s `stat`: user and system time, the 14th and 15th field, in hundredths of a second.
fn cpu_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses, which may have blanks.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system_time() {
        let stat = "1 (a b) c) S 1 1 1 0 -1 4194560 5 0 0 0 123 45 7 8 20 0 1 0 9 1 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1680)));
        assert_eq!(cpu_time("nothing"), None);
    }
}
