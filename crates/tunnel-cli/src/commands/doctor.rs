//! `tunnel-p2p doctor`.
//!
//! Each module looks at one thing: it collects facts, and makes [`Check`]s of them by pure functions. The verdict is made
//! of the checks alone.

mod check;
mod clock;
mod files;
mod lookup;
mod nat;
mod peer;
mod relays;
mod settings;
mod sockets;
mod table;
mod tunnel;
mod verdict;

use std::{path::Path, time::Duration};

use futures::future::join_all;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use p2p_provider::{
    P2PProvider,
    iroh::{IrohP2P, NetReport},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::{
    check::{Check, Topic},
    clock::Sample,
    settings::Settings,
    verdict::Verdict,
};
use crate::{
    config::{ConfigFile, DoctorOptions},
    error::{CliError, Outcome},
    output::Output,
    p2p,
    runtime::{Signals, block_on},
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that one question may take: where nobody has answered by then, there is nobody.
const PATIENCE_MAX: Duration = Duration::from_secs(5);

/// What is left of the time to say good-bye and to print.
const MARGIN: Duration = Duration::from_millis(300);

/// How often it is asked whether the report on the network has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Checks everything at once, and says what to do first.
pub(super) fn run(
    options: &DoctorOptions,
    file: &ConfigFile,
    unread: Option<&CliError>,
    path: Option<&Path>,
    output: Output,
) -> Result<Outcome, CliError> {
    let settings = Settings::new(options, file, unread, path)?;
    let patience = options.timeout.map_or(TIMEOUT, |span| span.0);
    let sockets = sockets::Facts::collect(options.bind, settings.host_port);
    let examined = block_on(async {
        let mut signals = Signals::listen()?;
        let progress = progress(output, patience);
        let examined = tokio::select! {
            biased;
            () = signals.next() => None,
            checks = examine(&settings, &sockets, patience) => Some(checks),
        };
        progress.finish_and_clear();
        Ok(examined)
    })?;
    let Some(mut checks) = examined else { return Ok(Outcome::Aborted) };
    checks.extend(settings.checks);
    // Stable: several of one topic stay in their order.
    checks.sort_by_key(|check| check.topic);
    let verdict = Verdict::of(&checks);
    for check in &checks {
        output.json(&check.json());
    }
    output.json(&verdict.json());
    output.text(table::render(&checks));
    output.text(format!("\n{}", verdict.message));
    if let Some(next) = &verdict.next {
        output.text(format!("Next: {next}."));
    }
    Ok(verdict.outcome())
}

/// A line on a terminal that shows that something is under way; nothing elsewhere.
fn progress(output: Output, patience: Duration) -> ProgressBar {
    let target = if output.is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    bar.set_style(ProgressStyle::default_spinner());
    bar.set_message(format!("looking at this machine and its network, for at most {patience:?}"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// All checks but those of the settings, side by side.
async fn examine(settings: &Settings, sockets: &sockets::Facts, timeout: Duration) -> Vec<Check> {
    let until = Instant::now() + timeout.saturating_sub(MARGIN);
    let patience = timeout.saturating_sub(MARGIN).min(PATIENCE_MAX);
    let config = &settings.peer;
    let host = settings.ticket.as_ref().map(|ticket| ticket.host.id);
    let (relays, lookups, tunnel, port_mapping, peer) = tokio::join!(
        join_all(settings.relays.iter().map(|relay| relays::ask(relay.clone(), config, patience))),
        join_all(config.lookups.iter().map(|lookup| lookup::check(lookup, host, config, patience))),
        async {
            match &settings.tunnel {
                Some(question) => tunnel::ask(question, patience).await,
                None => (Vec::new(), None),
            }
        },
        port_mapping(settings, sockets, patience),
        as_a_peer(settings, until),
    );

    let mut samples: Vec<Sample> = tunnel.1.into_iter().collect();
    for relay in &relays {
        let date = relay.answer.as_ref().ok().and_then(|answer| answer.date.as_deref());
        samples.extend(date.and_then(|date| Sample::new(relays::shown(&relay.url), date)));
    }
    let network = nat::Facts {
        report: peer.report,
        own: peer.addresses,
        relays: relays.len(),
        discovering: settings.relays.iter().filter(|relay| relay.quic_port.is_some()).count(),
        answering: relays.iter().filter(|relay| relay.answers()).count(),
    };
    let mut checks = sockets.checks();
    checks.extend(network.checks());
    checks.push(clock::check(&samples));
    checks.extend(relays::checks(&relays));
    checks.extend(lookups);
    checks.extend(tunnel.0);
    checks.push(port_mapping);
    checks.extend(peer.failed);
    for (index, state) in settings.states.iter().enumerate() {
        checks.extend(files::checks(state, if index == 0 { &settings.files } else { &[] }));
    }
    if let (Some(attempt), Some(ticket)) = (peer.attempt, &settings.ticket) {
        let here = peer::Here {
            nat: network.nat(),
            udp_is_blocked: network.udp_is_blocked(),
            knows_itself: network.report.as_ref().is_some_and(|report| report.public().next().is_some()),
            has_v4: sockets.bind.map_or(sockets.out_v4.is_ok(), |address| address.is_ipv4()),
            has_v6: sockets.bind.map_or(sockets.out_v6.is_ok(), |address| address.is_ipv6()),
        };
        checks.extend(peer::checks(&attempt, ticket, &here));
    }
    checks
}

async fn port_mapping(settings: &Settings, sockets: &sockets::Facts, patience: Duration) -> Check {
    let asked = nat::port_mapping(settings.peer.port_mapping, sockets.stays_here());
    let late = || Check::not_checked(Topic::PortMapping, "the router did not answer in this time");
    timeout(patience, asked).await.unwrap_or_else(|_| late())
}

/// What is found out by being a peer.
#[derive(Default)]
struct AsPeer {
    report: Option<NetReport>,
    addresses: Vec<std::net::SocketAddr>,
    attempt: Option<peer::Attempt>,
    failed: Option<Check>,
}

/// Opens a peer, waits for its report on the network, and connects to the host, if there is one.
async fn as_a_peer(settings: &Settings, until: Instant) -> AsPeer {
    let provider = match timeout_at(until, p2p::bind(settings.peer.clone())).await {
        Ok(Ok(provider)) => provider,
        Ok(Err(error)) => {
            let (found, next) = error.parts();
            let check = Check::failed(Topic::Sockets, found);
            let check = match next {
                Some(next) => check.next(next),
                None => check,
            };
            return AsPeer { failed: Some(check), ..AsPeer::default() };
        }
        Err(_) => return AsPeer::default(),
    };
    let urls: Vec<String> = settings.relays.iter().map(|relay| relays::shown(&relay.url).to_owned()).collect();
    let (report, attempt) = tokio::join!(report(&provider, settings, until), async {
        match &settings.ticket {
            Some(ticket) => Some(peer::attempt(&provider, ticket, &urls, until).await),
            None => None,
        }
    });
    let addresses = provider.addresses();
    // Whatever comes late is worth no wait.
    _ = timeout(MARGIN, provider.close()).await;
    AsPeer { report, addresses, attempt, failed: None }
}

async fn report(provider: &IrohP2P, settings: &Settings, until: Instant) -> Option<NetReport> {
    if settings.relays.is_empty() {
        return None;
    }
    let heard = async {
        loop {
            if let Some(report) = provider.net_report() {
                return report;
            }
            sleep(LOOK_INTERVAL).await;
        }
    };
    timeout_at(until, heard).await.ok()
}
