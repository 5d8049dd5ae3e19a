//! `tunnel-p2p demo`: service, host and gateway in one process, and a client that checks every byte.

mod checks;
mod client;
mod report;
pub mod service;
mod stack;

use serde_json::json;

use self::{client::Client, report::Report, stack::Stack};
use crate::{
    cli::DemoOptions,
    error::{CliError, Outcome},
    output::Output,
    runtime::Signals,
};

/// Starts everything, makes the checks, prints what they found, and with `--serve` stays until Ctrl-C.
///
/// Dropping the future stops everything.
pub(crate) async fn run(options: &DemoOptions, output: Output) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    let directory =
        tempfile::tempdir().map_err(|error| CliError::start("there is no place for the demo's keys").because(error))?;
    let stack = tokio::select! {
        stack = Stack::start(directory.path()) => stack?,
        () = signals.next() => return Ok(Outcome::Aborted),
    };
    output.note(format!("service http://{}  <-  host  <= QUIC =  gateway http://{}", stack.service, stack.gateway));

    let mut report = Report::new(output, checks::COUNT, Some("p2p"));
    tokio::select! {
        () = checks::run(Client::new(stack.gateway), &mut report) => {}
        () = signals.next() => return Ok(Outcome::Aborted),
    }
    report.print(output);
    let (checks, differences) = report.totals();
    output.json(&json!({ "event": "done", "checks": checks, "differences": differences }));
    output.text(match differences {
        0 => format!("All {checks} checks passed: what came through the tunnel is what the service sent."),
        _ => format!("{differences} of {checks} checks found a difference."),
    });

    explain(&stack, options.serve, output);
    if options.serve {
        signals.next().await;
        output.note("Stopping.");
    }
    if differences == 0 { Ok(Outcome::Done) } else { Err(CliError::failed("the demo found differences")) }
}

fn explain(stack: &Stack, serving: bool, output: Output) {
    let gateway = format!("http://{}", stack.gateway);
    if serving {
        output.json(&json!({ "event": "serving", "gateway": gateway, "ticket": stack.ticket.to_string() }));
        output.text(format!("\nTry it yourself ({gateway}/ explains every endpoint); Ctrl-C ends the demo:"));
    } else {
        output.text("\n`tunnel-p2p demo --serve` keeps it running, so that you can try it yourself:");
    }
    let port = if serving { stack.gateway.to_string() } else { "127.0.0.1:PORT".to_owned() };
    for line in [
        format!("curl -i 'http://{port}/api/echo?a=1'"),
        format!("curl -N 'http://{port}/sse'"),
        format!("curl -r 1000-1999 http://{port}/files/10MiB.bin | sha256sum"),
        format!("curl -o /dev/null http://{port}/files/1024MiB.bin"),
        format!("curl -T some-file http://{port}/upload"),
    ] {
        output.text(format!("  {line}"));
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::output::Output;

    #[tokio::test]
    async fn the_checks_pass_where_no_tunnel_is_in_the_way() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client::Client::new(listener.local_addr().unwrap());
        let mut report = report::Report::new(Output::new(false, true), checks::COUNT, None);
        tokio::select! {
            result = service::serve(listener) => panic!("the service stopped: {result:?}"),
            () = checks::run(client, &mut report) => {}
        }
        report.print(Output::new(false, false));
        assert_eq!(report.totals(), (usize::try_from(checks::COUNT).unwrap(), 0));
    }

    #[tokio::test]
    async fn a_right_answer_by_the_wrong_way_is_a_difference() {
        let mut report = report::Report::new(Output::new(false, true), 1, Some("p2p"));
        report
            .check("GET /", async |seen| {
                seen.head(200, &http::HeaderMap::new());
                Ok(())
            })
            .await;
        assert_eq!(report.totals(), (1, 1));
    }
}
