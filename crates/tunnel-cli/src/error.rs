//! Errors as a person reads them, and the exit codes.

use std::{fmt, process::ExitCode};

/// How a command ended when nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, or stopped and drained.
    Done,
    /// Stopped at once, with work under way.
    Aborted,
    /// Looked at, and it works in another way than the best one.
    Degraded,
    /// Looked at, and something is wrong.
    Problem,
    /// Looked at, and it does not work.
    Down,
}

impl Outcome {
    /// The exit code of the process.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Problem => ExitCode::from(1),
            Self::Degraded => ExitCode::from(4),
            Self::Down => ExitCode::from(5),
            // 128 + SIGINT, as shells report it.
            Self::Aborted => ExitCode::from(130),
        }
    }
}

/// What failed, why, and what to do next.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: ErrorKind,
    message: String,
    cause: Option<anyhow::Error>,
    next: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    Failed,
    Usage,
    Start,
    Unreachable,
}

impl CliError {
    /// Something failed while it ran: exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The command line or the configuration is wrong: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Could not start: exit code 3.
    pub(crate) fn start(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Start, message)
    }

    /// The other side cannot be reached, or lets nobody in: exit code 5.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreachable, message)
    }

    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None, next: None }
    }

    /// Adds the cause.
    pub(crate) fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// What failed and why, in one line and without what to do next; and that.
    pub(crate) fn parts(&self) -> (String, Option<&str>) {
        let mut told = String::new();
        // Writing to a string does not fail.
        _ = self.tell(&mut told, ": ");
        (told, self.next.as_deref())
    }

    fn tell(&self, f: &mut impl fmt::Write, before_cause: &str) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cause) = &self.cause {
            // Some errors repeat their source in their own text: say each thing once.
            let mut said = String::new();
            for part in cause.chain().map(|part| part.to_string().trim().to_owned()) {
                if !said.contains(&part) {
                    write!(f, "{before_cause}{}", part.replace('\n', "\n    "))?;
                    said.push_str(&part);
                }
            }
        }
        Ok(())
    }

    /// Whether it is one of [`start`](Self::start).
    pub(crate) fn is_start(&self) -> bool {
        self.kind == ErrorKind::Start
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The exit code as a number.
    pub(crate) const fn code(&self) -> u8 {
        match self.kind {
            ErrorKind::Failed => 1,
            ErrorKind::Usage => 2,
            ErrorKind::Start => 3,
            ErrorKind::Unreachable => 5,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f, "\n  cause: ")?;
        if let Some(next) = &self.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}
