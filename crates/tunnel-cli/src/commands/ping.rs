//! `tunnel-p2p ping`.

mod failed;
mod report;

use std::{path::Path, time::Duration};

use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{CongestionControl, IrohP2P, Relays},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tunnel_core::{Failure, FailureKind, Transport};
use tunnel_p2p::{Client, ClientConfig, ParseTicketError, Ticket};

use self::report::Report;
pub(super) use self::{
    failed::{RelayState, why_not_reached},
    report::millis,
};
use crate::{
    config::{ConfigFile, PingOptions, layered, set},
    error::{CliError, Outcome},
    output::Output,
    p2p,
    runtime::{Signals, block_on},
    secret::secret,
    state::{GatewayIdentity, StateDir},
};

const INTERVAL: Duration = Duration::from_secs(1);

const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the path is looked at: what is said of when it became direct is as exact as this.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How many pings, how often, and how long to wait for each.
#[derive(Clone, Copy)]
struct Plan {
    count: Option<u32>,
    interval: Duration,
    timeout: Duration,
}

/// Connects to the host and asks it for a sign of life, until the path is direct.
pub(super) fn run(flags: &PingOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let options: PingOptions = layered(file, "gateway", flags)?;
    let ticket = ticket(&options)?;
    let mut plan = Plan { count: options.count, interval: INTERVAL, timeout: TIMEOUT };
    set(options.interval, &mut plan.interval);
    set(options.timeout, &mut plan.timeout);
    block_on(ping(&options, ticket, plan, output))
}

fn ticket(options: &PingOptions) -> Result<Ticket, CliError> {
    let ticket = secret("ticket", options.ticket.as_ref(), options.ticket_file.as_deref())?;
    let ticket = ticket.ok_or_else(|| {
        CliError::usage("no ticket is given").next(
            "run `tunnel-p2p host` beside the service and give its ticket: tunnel-p2p ping TICKET, or --ticket-file FILE",
        )
    })?;
    parse(&ticket)
}

/// A ticket, as it was given.
pub(super) fn parse(ticket: &str) -> Result<Ticket, CliError> {
    let wrong = |error: ParseTicketError| CliError::usage("the ticket is not valid").because(error);
    ticket.parse().map_err(wrong)
}

/// Who asks. A ticket with a secret lets in everybody; one without only the gateway that the host knows.
pub(super) fn identity(ticket: &Ticket, state_dir: Option<&Path>) -> Result<Option<GatewayIdentity>, CliError> {
    if ticket.secret.is_some() {
        // The gateway may be running: with its key, each would take the other's place at a relay.
        return Ok(None);
    }
    StateDir::new(state_dir.map(ToOwned::to_owned))?.gateway_identity().map(Some).map_err(|error| {
        error.next(
            "this ticket is for the gateway with that key. If it runs, `tunnel-p2p status` says how it reaches the host; a \
             ticket with a secret lets in any key",
        )
    })
}

async fn ping(options: &PingOptions, ticket: Ticket, plan: Plan, output: Output) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    let identity = identity(&ticket, options.state_dir.as_deref())?;
    let key = identity.as_ref().map_or_else(SecretKey::generate, |identity| identity.key.clone());
    let listen = p2p::Listen { bind: options.bind, port: 0 };
    let config = p2p::client_config(key, listen, options.network.network(), CongestionControl::default())?;
    let relays = match &config.relays {
        Relays::OfPeers { .. } => ticket.host.relays.clone(),
        others => others.list().into_iter().map(|relay| relay.url).collect(),
    };
    let provider = p2p::bind(config).await?;
    let mut config = ClientConfig::default();
    config.connect_timeout = plan.timeout;
    let client = Client::start(provider.clone(), ticket.clone(), config);
    let began = Instant::now();
    let connected = tokio::select! {
        biased;
        () = signals.next() => return Ok(Outcome::Aborted),
        connected = connected(&client, plan.timeout) => connected,
    };
    let mut report = Report::new(output, ticket.host.id, began.elapsed());
    let result = match connected {
        Ok(()) => {
            report.connected();
            let interrupted = pings(&client, plan, &mut report, &mut signals).await;
            match report.last_failure() {
                Some(failure) if report.answered() == 0 && !interrupted => Err(failure.clone()),
                _ => Ok(()),
            }
        }
        Err(failure) => Err(failure),
    };
    report.summary();
    let outcome = match result {
        Ok(()) => Ok(report.outcome()),
        Err(failure) => Err(not_reached(failure, &ticket, &provider, &relays)),
    };
    close(&client, &provider).await;
    outcome
}

fn not_reached(failure: Failure, ticket: &Ticket, provider: &IrohP2P, relays: &[String]) -> CliError {
    let relay = RelayState::of(provider, relays);
    let (message, next) = why_not_reached(failure.kind(), ticket, &relay, provider.local_peer_id());
    CliError::unreachable(message).because(failure).next(next)
}

/// Waits until the host has let this peer in.
pub(super) async fn connected(client: &Client<IrohP2P>, patience: Duration) -> Result<(), Failure> {
    let late = || Failure::new(FailureKind::Timeout, format!("the host did not answer within {}", millis(patience)));
    timeout(patience, client.connected()).await.unwrap_or_else(|_| Err(late()))
}

async fn close(client: &Client<IrohP2P>, provider: &IrohP2P) {
    client.close();
    // What is on its way to a host that is gone is not worth a wait.
    let _ = timeout(Duration::from_secs(1), provider.close()).await;
}

/// Pings until there were enough. Whether somebody ended it before.
async fn pings(client: &Client<IrohP2P>, plan: Plan, report: &mut Report, signals: &mut Signals) -> bool {
    let began = Instant::now();
    let mut ticks = interval(plan.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if watching(client, report, signals, async { _ = ticks.tick().await }).await.is_none() {
            return true;
        }
        let asked = Instant::now();
        let Some(answer) = watching(client, report, signals, client.probe()).await else { return true };
        report.ping(answer.map(|()| asked.elapsed()), client.path());
        let enough = match plan.count {
            Some(count) => report.sent() >= count,
            None => report.is_direct() || began.elapsed() >= plan.timeout,
        };
        if enough {
            return false;
        }
    }
}

/// Waits for something, and notices when the path becomes direct meanwhile. `None` if somebody ended it.
async fn watching<T>(
    client: &Client<IrohP2P>,
    report: &mut Report,
    signals: &mut Signals,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::pin!(future);
    loop {
        report.look(client.path().as_ref());
        tokio::select! {
            biased;
            () = signals.next() => return None,
            done = &mut future => return Some(done),
            () = sleep(LOOK_INTERVAL), if report.is_to_look() => {}
        }
    }
}
