//! `tunnel-p2p compat`, and the checks of `tunnel-p2p demo`: the same list, and the same report.

mod junit;
mod report;

use std::path::Path;

use anyhow::Context;
use compat_tests::black_box::{Check, PreflightError, Target, checks, preflight};
use serde_json::json;

pub(crate) use self::report::Report;
use crate::{
    cli::CompatOptions,
    error::{CliError, Outcome},
    output::Output,
    runtime::Signals,
};

/// Makes the checks that the options name, and prints what they found.
///
/// Dropping the future stops the check under way.
pub(crate) async fn run(options: &CompatOptions, output: Output) -> Result<Outcome, CliError> {
    let chosen = chosen(&options.only, &options.skip)?;
    if options.list {
        list(&chosen, output);
        return Ok(Outcome::Done);
    }
    let target = target(options)?;
    let mut signals = Signals::listen()?;
    tokio::select! {
        found = preflight(&target) => found.map_err(|error| not_there(error, &target))?,
        () = signals.next() => return Ok(Outcome::Aborted),
    }
    let checks = if chosen.len() == 1 { "1 check".to_owned() } else { format!("{} checks", chosen.len()) };
    output.note(format!("{checks} of what is at http://{}", target.authority()));
    let Some(report) = check(&target, &chosen, &mut signals, output).await else { return Ok(Outcome::Aborted) };
    report.print();
    if let Some(file) = &options.junit {
        write_junit(&report, file)?;
    }
    match report.differences() {
        0 => Ok(Outcome::Done),
        _ => Err(CliError::failed("what is there differs from what the checks expect")
            .next("run one of them alone with `--only NAME`")),
    }
}

/// Makes these checks, one after the other; none if a signal ends them.
pub(crate) async fn check(target: &Target, chosen: &[Check], signals: &mut Signals, output: Output) -> Option<Report> {
    let mut report = Report::new(output, chosen.len());
    for check in chosen {
        report.begins(check);
        tokio::select! {
            finding = check.run(target) => report.add(finding),
            () = signals.next() => return None,
        }
    }
    Some(report)
}

fn chosen(only: &[String], skip: &[String]) -> Result<Vec<Check>, CliError> {
    for pattern in only.iter().chain(skip) {
        if !checks().any(|check| check.matches(pattern)) {
            return Err(CliError::usage(format!("no check has `{pattern}` in its group or name"))
                .next("`tunnel-p2p compat --list` shows them all"));
        }
    }
    let listed = |patterns: &[String], check: &Check| patterns.iter().any(|pattern| check.matches(pattern));
    let chosen: Vec<Check> =
        checks().filter(|check| only.is_empty() || listed(only, check)).filter(|check| !listed(skip, check)).collect();
    if chosen.is_empty() {
        return Err(CliError::usage("`--skip` leaves nothing of what `--only` chooses"));
    }
    Ok(chosen)
}

fn list(chosen: &[Check], output: Output) {
    for check in chosen {
        output.json(&json!({ "event": "listed", "group": check.group(), "request": check.name() }));
        output.text(format!("{}: {}", check.group(), check.name()));
    }
}

fn target(options: &CompatOptions) -> Result<Target, CliError> {
    let refuse = |error| CliError::usage("the target cannot be checked").because(anyhow::Error::new(error));
    let mut target = Target::new(options.target.as_deref().unwrap_or_default()).map_err(refuse)?;
    if let Some(client_id) = &options.client_id {
        target = target.with_client_id(client_id);
    }
    if let Some(token) = &options.token {
        target = target.with_token(token).map_err(refuse)?;
    }
    if let Some(transport) = &options.transport {
        target = target.with_transport(transport);
    }
    Ok(target.with_timeout(options.timeout.0))
}

/// Why there is nothing to check, and what to do about it.
fn not_there(error: PreflightError, target: &Target) -> CliError {
    let next = match &error {
        PreflightError::Refused { status, .. } => refused(*status, target),
        PreflightError::OtherService { .. } => SERVE_ALONE.to_owned(),
        PreflightError::Outdated { .. } => "run the demo service of this version of tunnel-p2p".to_owned(),
        PreflightError::Silent { .. } => {
            format!("look whether it speaks plain HTTP, and whether its service runs: {SERVE_ALONE}")
        }
        _ => format!("start it, or start everything on this machine with `tunnel-p2p demo --serve`; {SERVE_ALONE}"),
    };
    CliError::start("there is nothing to check").because(anyhow::Error::new(error)).next(next)
}

fn refused(status: u16, target: &Target) -> String {
    let next = match (status, target.client_id(), target.has_token()) {
        (400, None, _) => "it may want to know which host to ask: add `--client-id ID`",
        (400, Some(_), _) => "look whether the client id is right",
        (401, _, false) => "it wants an access token: add `--token TOKEN`",
        (401, None, true) => "look whether the token is right; a tunnel server also wants its `--client-id ID`",
        (401, Some(_), true) => "look whether the token is right, and whether it belongs to this client id",
        (421, ..) => {
            "it does not answer for this host name: start the gateway with `--allow-host NAME`, or use its address"
        }
        (424, ..) => "no host of this client id is connected: start the host, or correct `--client-id`",
        (502..=504, ..) => {
            return format!(
                "the way to the service is broken: start the host, and the demo service behind it; {SERVE_ALONE}"
            );
        }
        _ => "it refuses the request: look into its configuration",
    };
    next.to_owned()
}

const SERVE_ALONE: &str = "`tunnel-p2p demo --service-only` runs the service that has to be behind what is checked";

fn write_junit(report: &Report, path: &Path) -> Result<(), CliError> {
    let write = || {
        let file = std::fs::File::create(path)?;
        report.junit().serialize(file).context("not written")
    };
    write()
        .map_err(|error| CliError::failed(format!("the JUnit file {} was not written", path.display())).because(error))
}
