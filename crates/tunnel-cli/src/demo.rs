//! `tunnel-p2p demo`: service, host and gateway in one process, and a client that checks every byte.

mod dual;
mod fetch;
mod part;
mod stack;

use std::net::SocketAddr;

use compat_tests::{
    black_box::{Target, checks},
    demo_service,
};
use serde_json::json;
use tokio::net::TcpListener;

use self::{dual::Dual, stack::Stack};
use crate::{
    cli::DemoOptions,
    compat,
    error::{CliError, Outcome},
    output::Output,
    runtime::Signals,
};

/// Starts everything, makes the checks, prints what they found, and with `--serve` stays until Ctrl-C.
///
/// Dropping the future stops everything.
pub(crate) async fn run(options: &DemoOptions, output: Output) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    if options.service_only {
        return service_alone(options.listen, &mut signals, output).await;
    }
    let directory =
        tempfile::tempdir().map_err(|error| CliError::start("there is no place for the demo's keys").because(error))?;
    let mut stack = tokio::select! {
        stack = Stack::start(directory.path()) => stack?,
        () = signals.next() => return Ok(Outcome::Aborted),
    };
    output.note(format!("service http://{}  <-  host  <= QUIC =  gateway http://{}", stack.service, stack.gateway));

    let target = Target::new(&format!("http://{}", stack.gateway))
        .map_err(|error| CliError::failed("the demo's own address").because(anyhow::Error::new(error)))?
        .with_transport("p2p");
    let list: Vec<_> = checks().collect();
    let Some(report) = compat::check(&target, &list, &mut signals, output).await else { return Ok(Outcome::Aborted) };
    report.print();
    let dual = tokio::select! {
        dual = dual::run(&mut stack, output) => dual?,
        () = signals.next() => return Ok(Outcome::Aborted),
    };

    explain(&stack, &dual, options.serve, output);
    if options.serve {
        signals.next().await;
        output.note("Stopping.");
    }
    if report.differences() + dual.differences == 0 {
        Ok(Outcome::Done)
    } else {
        Err(CliError::failed("the demo found differences"))
    }
}

/// Runs the service until Ctrl-C, for whatever tunnel is to be put in front of it.
async fn service_alone(listen: SocketAddr, signals: &mut Signals, output: Output) -> Result<Outcome, CliError> {
    let failed = |error: std::io::Error| {
        CliError::start(format!("the demo service cannot listen on {listen}"))
            .because(error)
            .next("choose another address with `--listen`")
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    output.json(&json!({ "event": "ready", "url": url }));
    output.text(&url);
    output.note(format!("Ctrl-C ends it. To put it behind a tunnel: tunnel-p2p host --profile plain --service {url}"));
    tokio::select! {
        () = signals.next() => {
            output.note("Stopping.");
            Ok(Outcome::Done)
        }
        result = demo_service::serve(listener) => {
            result.map_err(|error| CliError::failed("the demo service failed").because(error))?;
            Ok(Outcome::Done)
        }
    }
}

fn explain(stack: &Stack, dual: &Dual, serving: bool, output: Output) {
    let gateway = format!("http://{}", stack.gateway);
    if serving {
        let both = format!("http://{}", dual.gateway());
        let ticket = stack.ticket.to_string();
        output
            .json(&json!({ "event": "serving", "gateway": gateway, "gateway_with_two_ways": both, "ticket": ticket }));
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
