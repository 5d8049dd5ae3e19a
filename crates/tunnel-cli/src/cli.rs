//! The command line.

mod diagnosis;
mod mode;
mod peers;

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, builder::BoolishValueParser};

pub(crate) use self::mode::{ModeChoice, ModeOptions, Switch};
pub(crate) use self::peers::{AllowOptions, ForgetOptions, ListOptions, PeersCommand, PeersOptions, RevokeOptions};
use self::{
    diagnosis::{DOCTOR_EXAMPLES, PING_EXAMPLES},
    peers::PEERS_EXAMPLES,
};
use crate::{
    admin::AdminAddress,
    config::{
        DoctorOptions, GatewayOptions, HostOptions, LogOptions, PingOptions, RelayOptions, RoutingOptions, Seeds, Span,
        TunnelServerOptions,
    },
};

/// HTTP and WebSockets to a server at home, peer to peer
///
/// `host` runs beside the server and prints a ticket. `gateway` runs beside the app, takes the ticket and offers the
/// server's HTTP on a local port. Between the two run encrypted QUIC streams, straight from one to the other.
#[derive(Debug, Parser)]
#[command(name = "tunnel-p2p", version, after_help = EXAMPLES, after_long_help = LONG_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// Print JSON, one object per line, on stdout
    #[arg(long, global = true, env = "TUNNEL_P2P_JSON", value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,
    /// Read options from this TOML file, tables [host], [gateway], [tunnel-server], [relay] and [log]; the keys are the flags without `--`
    #[arg(long, global = true, env = "TUNNEL_P2P_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log more; repeat for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log errors only, and print no explanations
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) log: LogOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Offer a local service to whoever holds the ticket
    #[command(after_help = HOST_EXAMPLES)]
    Host(Box<HostOptions>),
    /// Reach a host by its ticket and offer its service on a local port
    #[command(after_help = GATEWAY_EXAMPLES)]
    Gateway(Box<GatewayOptions>),
    /// Reach a host and measure the way to it: direct or relayed, and how long an answer takes
    #[command(after_help = PING_EXAMPLES)]
    Ping(Box<PingOptions>),
    /// Check this machine, its network and the way to a host, and say what to do first
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Box<DoctorOptions>),
    /// Show how a running gateway or host is, from its admin endpoint
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusOptions),
    /// Show or set the mode of a running gateway: rollback in one command
    #[command(after_help = mode::EXAMPLES)]
    Mode(ModeOptions),
    /// Say which way a request takes, and why
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Box<ExplainOptions>),
    /// Run a tunnel server: what host and gateway use when there is no peer-to-peer way
    #[command(after_help = TUNNEL_SERVER_EXAMPLES)]
    TunnelServer(TunnelServerOptions),
    /// Run a relay: what host and gateway use where no direct path between them exists
    #[command(after_help = RELAY_EXAMPLES)]
    Relay(Box<RelayOptions>),
    /// Run service, host and gateway on this machine and check every byte that passes
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoOptions),
    /// Check what any running gateway or tunnel server does to the demo service behind it
    #[command(after_help = COMPAT_EXAMPLES)]
    Compat(CompatOptions),
    /// Measure what the tunnel costs on this machine, beside what there would be without it
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchOptions),
    /// Play scenarios in a simulated network and check what must hold in every one
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateOptions),
    /// The service that `bench` starts
    #[command(hide = true)]
    BenchService,
    /// Show this machine's peer id, or rotate the secret of its ticket
    #[command(after_help = ID_EXAMPLES)]
    Id(IdOptions),
    /// Show and change who may use this machine's host, and which hosts its gateway knows
    #[command(after_help = PEERS_EXAMPLES)]
    Peers(PeersOptions),
}

/// Options of `tunnel-p2p status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatusOptions {
    /// The admin endpoint [default: `admin` in [gateway] of the configuration file, or 127.0.0.1:8018]
    #[arg(long, env = "TUNNEL_P2P_STATUS_ADMIN", value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<AdminAddress>,
    /// Show the last requests too: how each went, and why
    #[arg(long, env = "TUNNEL_P2P_STATUS_DECISIONS", value_parser = BoolishValueParser::new())]
    pub(crate) decisions: bool,
}

/// Options of `tunnel-p2p explain`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainOptions {
    /// The path of the request
    #[arg(long, env = "TUNNEL_P2P_EXPLAIN_PATH", value_name = "PATH", default_value = "/")]
    pub(crate) path: String,
    /// The client id that the request names [default: that of the gateway]
    #[arg(long, env = "TUNNEL_P2P_EXPLAIN_CLIENT_ID", value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// The method of the request
    #[arg(long, env = "TUNNEL_P2P_EXPLAIN_METHOD", value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,
    /// Ask this running gateway; without it only the configuration decides, and health is not known
    #[arg(long, env = "TUNNEL_P2P_EXPLAIN_ADMIN", value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<AdminAddress>,
    #[command(flatten)]
    pub(crate) routing: RoutingOptions,
}

/// Options of `tunnel-p2p demo`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoOptions {
    /// Keep everything running until Ctrl-C, to try it by hand
    #[arg(long, env = "TUNNEL_P2P_DEMO_SERVE", value_parser = BoolishValueParser::new())]
    pub(crate) serve: bool,
    /// Run only the service until Ctrl-C, to put it behind another tunnel
    #[arg(
        long,
        env = "TUNNEL_P2P_DEMO_SERVICE_ONLY",
        value_parser = BoolishValueParser::new(),
        conflicts_with = "serve"
    )]
    pub(crate) service_only: bool,
    /// Where that service listens; port 0 takes any free one
    #[arg(
        long,
        env = "TUNNEL_P2P_DEMO_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8000",
        requires = "service_only"
    )]
    pub(crate) listen: SocketAddr,
}

/// Options of `tunnel-p2p compat`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompatOptions {
    /// The base URL of what is checked, plain http
    #[arg(long, env = "TUNNEL_P2P_COMPAT_TARGET", value_name = "URL", required_unless_present = "list")]
    pub(crate) target: Option<String>,
    /// The client id of the host: every request target gets `clientId=ID`
    #[arg(long, env = "TUNNEL_P2P_COMPAT_CLIENT_ID", value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// The access token: every request gets `authorization: Bearer TOKEN`, and with a client id every WebSocket `signature=TOKEN`
    #[arg(long, env = "TUNNEL_P2P_COMPAT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// The service behind it
    #[arg(
        long,
        env = "TUNNEL_P2P_COMPAT_SERVICE_KIND",
        value_name = "KIND",
        value_enum,
        default_value_t = ServiceKind::Demo
    )]
    pub(crate) service_kind: ServiceKind,
    /// Expect every response to say that it came by this transport (x-tunnel-transport), such as `p2p`
    #[arg(long, env = "TUNNEL_P2P_COMPAT_TRANSPORT", value_name = "NAME")]
    pub(crate) transport: Option<String>,
    /// Make only the checks with this text in `GROUP: NAME`, in any case; repeat for more
    #[arg(long, env = "TUNNEL_P2P_COMPAT_ONLY", value_name = "PATTERN")]
    pub(crate) only: Vec<String>,
    /// Leave out the checks with this text in `GROUP: NAME`; repeat for more
    #[arg(long, env = "TUNNEL_P2P_COMPAT_SKIP", value_name = "PATTERN")]
    pub(crate) skip: Vec<String>,
    /// How long anything may stand still before it counts as a difference
    #[arg(long, env = "TUNNEL_P2P_COMPAT_TIMEOUT", value_name = "TIME", default_value = "15s")]
    pub(crate) timeout: Span,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, env = "TUNNEL_P2P_COMPAT_JUNIT", value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// List the checks and make none
    #[arg(long, env = "TUNNEL_P2P_COMPAT_LIST", value_parser = BoolishValueParser::new())]
    pub(crate) list: bool,
}

/// What the checks ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceKind {
    /// The service of `tunnel-p2p demo`
    Demo,
}

/// Options of `tunnel-p2p bench`.
#[derive(Clone, Debug, Args)]
pub(crate) struct BenchOptions {
    /// How often everything is measured; the medians are printed
    #[arg(
        long,
        env = "TUNNEL_P2P_BENCH_ROUNDS",
        value_name = "NUMBER",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub(crate) rounds: u32,
    /// Send less: a first impression in a few seconds
    #[arg(long, env = "TUNNEL_P2P_BENCH_QUICK", value_parser = BoolishValueParser::new())]
    pub(crate) quick: bool,
}

/// Options of `tunnel-p2p simulate`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SimulateOptions {
    /// From which everything follows that is left to chance [default: 1]
    #[arg(long, env = "TUNNEL_P2P_SIMULATE_SEED", value_name = "NUMBER", conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Play with every seed from A to B, without B
    #[arg(long, env = "TUNNEL_P2P_SIMULATE_SEEDS", value_name = "A..B")]
    pub(crate) seeds: Option<Seeds>,
    /// Play this scenario; repeat for more [default: all of them; with --seeds: swarm]
    #[arg(long, env = "TUNNEL_P2P_SIMULATE_SCENARIO", value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    /// Write everything that happens to this file, of one scenario with one seed
    #[arg(long, env = "TUNNEL_P2P_SIMULATE_TRACE", value_name = "FILE", conflicts_with = "seeds")]
    pub(crate) trace: Option<PathBuf>,
    /// Threads [default: one for each core]
    #[arg(long, env = "TUNNEL_P2P_SIMULATE_JOBS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// List the scenarios and play none
    #[arg(long, env = "TUNNEL_P2P_SIMULATE_LIST", value_parser = BoolishValueParser::new())]
    pub(crate) list: bool,
}

/// Options of `tunnel-p2p id`.
#[derive(Clone, Debug, Args)]
pub(crate) struct IdOptions {
    /// Where the key and the ticket secret are [default: as for `host`]
    #[arg(long, env = "TUNNEL_P2P_HOST_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Make the key if there is none
    #[arg(long)]
    pub(crate) create: bool,
    /// Replace the ticket secret: tickets given out so far stop working when the host next starts
    #[arg(long)]
    pub(crate) new_secret: bool,
}

const EXAMPLES: &str = "\
Examples:
  tunnel-p2p demo                                       see it work on this machine
  tunnel-p2p host --service http://127.0.0.1:8000 --profile plain
  tunnel-p2p gateway --ticket TICKET --listen 127.0.0.1:8080
  curl http://127.0.0.1:8080/

`tunnel-p2p --help` explains configuration and exit codes,
`tunnel-p2p COMMAND --help` the options of a command.";

const LONG_HELP: &str = "\
Examples:
  See it work on this machine, every byte checked:
    tunnel-p2p demo

  At home, beside the server; prints a ticket (treat it like a password):
    tunnel-p2p host --service http://127.0.0.1:8000 --profile plain

  Elsewhere, beside the app:
    tunnel-p2p gateway --ticket TICKET --listen 127.0.0.1:8080
    curl http://127.0.0.1:8080/

Configuration:
  Every option may be given as a flag, as an environment variable (shown with
  each option, TUNNEL_P2P_<COMMAND>_<OPTION>) or in the file of --config.
  A flag wins over the environment, the environment over the file, the file
  over the default. Unknown keys in the file are errors.

    [host]
    service = \"http://127.0.0.1:8000\"
    profile = \"plain\"
    [gateway]
    ticket-file = \"/etc/tunnel-p2p/ticket\"
    listen = \"127.0.0.1:8080\"
    tunnel = \"https://tunnel.example.org\"
    rollout = 25
    rule = [\"/files/**=p2p-first\", \"POST /api/**=p2p-only\"]
    [log]
    filter = \"info\"

Output:
  Results go to stdout, explanations and logs to stderr.
  With --json, stdout has one JSON object per line.

Stopping:
  Ctrl-C (or SIGTERM) lets requests under way finish; a second stops at once.

Exit codes:
  0    done, or stopped by Ctrl-C and drained
  1    something failed, or a check found a difference; doctor: something is wrong
  2    the command line or the configuration is wrong
  3    could not start: a port is in use, a key is unreadable, nothing to check
  4    it works, but not by the best way; status: requests take the tunnel server,
       or one of two ways is down; ping: the host is reached through a relay only
  5    no way works; status: none of the ways; ping, doctor --peer: the host is not
       reached, or does not let this client in
  130  stopped at once: by a second Ctrl-C, or while checks ran";

const HOST_EXAMPLES: &str = "\
Examples:
  Offer a web server on this machine, as it is:
    tunnel-p2p host --service http://127.0.0.1:8000 --profile plain
  Offer a MoosicBox server under its account's client id:
    tunnel-p2p host --service http://127.0.0.1:8016 --client-id home
  A service behind a unix socket, on another UDP port:
    tunnel-p2p host --service unix:/run/app.sock --profile plain --port 17421

The ticket is printed on stdout. It names this host and carries the secret that
admits a gateway: treat it like a password. It survives restarts as long as the
state directory, the port and this machine's addresses stay the same.
With --tunnel, a gateway that holds the client's token needs no ticket: it asks
through the tunnel server and is let in by its key. `tunnel-p2p peers` shows who
may come in and turns devices away.";

const GATEWAY_EXAMPLES: &str = "\
Examples:
  tunnel-p2p gateway --ticket TICKET
  tunnel-p2p gateway --tunnel https://tunnel.example.org --client-id home \\
    --tunnel-token-file ~/client-token          no ticket: it finds the host
  tunnel-p2p gateway --ticket-file ~/ticket --listen 127.0.0.1:8080

The responses say how they came (x-tunnel-transport, x-tunnel-path):
  curl -i http://127.0.0.1:8080/

Beside the peer-to-peer way there may be a tunnel server, and rules which way
a request takes; each response then says why it came as it did (x-tunnel-reason):
  tunnel-p2p gateway --ticket-file ~/ticket --client-id home \\
    --tunnel https://tunnel.example.org --tunnel-token-file ~/client-token \\
    --rollout 25 --rule '/files/**=p2p-first' --kill-switch-file /run/no-p2p
  touch /run/no-p2p          from the next request on everything takes the server
  kill -HUP PID              reads --config again; kill -USR1 PID turns the switch

On any address but loopback the gateway wants an access token, which apps send
as `x-tunnel-access-token: TOKEN` or `authorization: Bearer TOKEN`:
  tunnel-p2p gateway --ticket-file ~/ticket --listen 0.0.0.0:8080 \\
    --access-token-file ~/token";

const STATUS_EXAMPLES: &str = "\
Examples:
  tunnel-p2p gateway --ticket-file ~/ticket --admin 127.0.0.1:8018
  tunnel-p2p status
  tunnel-p2p status --admin 127.0.0.1:8018 --decisions
  tunnel-p2p status --json | jq .health

Exit codes:
  0  a gateway: requests go peer to peer; a host: every way to it works
  3  nobody answers at the address
  4  a gateway: requests take the tunnel server; a host: one of two ways works
  5  no way works

`tunnel-p2p mode` sets what decides over the requests of a gateway. What else can be
changed while it runs; the answers are JSON:
  curl -H 'x-tunnel-admin: 1' -X POST http://127.0.0.1:8018/reload
  curl -H 'x-tunnel-admin: 1' -X POST http://127.0.0.1:8018/drain";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  What a running gateway would do now:
    tunnel-p2p explain --admin 127.0.0.1:8018 --client-id home --path /files/track
  What a configuration says, before anything runs with it:
    tunnel-p2p explain --config tunnel.toml --client-id home --path /files/track
    tunnel-p2p explain --rollout 25 --client-id home
    tunnel-p2p explain --rule 'POST /api/**=p2p-only' --path /api/x --method POST

The strongest wins: kill switch, mode set by the operator, first rule that
matches, rollout (a client id outside it takes the tunnel server), mode.";

const TUNNEL_SERVER_EXAMPLES: &str = "\
Examples:
  A tunnel server for this machine, its tokens in a file:
    tunnel-p2p tunnel-server --access-token-file ~/tunnel-access --database ~/tunnel.db
  A host that is reached through it as well, and registers at its first start:
    tunnel-p2p host --service http://127.0.0.1:8000 --client-id home \\
      --tunnel http://127.0.0.1:8016 --tunnel-access-token-file ~/tunnel-access
  A gateway that falls back to it:
    tunnel-p2p gateway --ticket-file ~/ticket --client-id home \\
      --tunnel http://127.0.0.1:8016 --tunnel-token-file ~/client-token

The client token is in the host's state directory once it has registered, in
the file host.tunnel-token: copy it to the gateway, and treat it like a password.
This server speaks plain HTTP: put a proxy with TLS before it on any other network
than your own. It can read what passes through it; peer to peer nobody can.";

const RELAY_EXAMPLES: &str = "\
Examples:
  On a machine that everybody reaches, with a certificate of Let's Encrypt:
    tunnel-p2p relay --host relay.example.org --acme --access-token-file ~/relay-token
  With a certificate of your own, and beside a web server that has port 443:
    tunnel-p2p relay --host relay.example.org --https '[::]:8443' \\
      --tls-cert chain.pem --tls-key key.pem --access-token-file ~/relay-token
  For certain peers only, by their ids (`tunnel-p2p id`):
    tunnel-p2p relay --host relay.example.org --acme --allow-peer ID --allow-peer ID
  To try it on this machine:
    tunnel-p2p relay
  The host that is reached through it; its tickets name the relay:
    tunnel-p2p host --service http://127.0.0.1:8000 \\
      --relay https://relay.example.org --relay-token-file ~/relay-token

Ports: TCP 443 (HTTPS) and UDP 7842 (QUIC address discovery, with which most peers
find a direct path). A relay sees who connects to whom and how much passes, but not
what. kill -HUP PID reads the files of certificate and tokens again, and ends the
connections of tokens that are gone; certificates are also looked at every minute.";

const DEMO_EXAMPLES: &str = "\
Examples:
  tunnel-p2p demo            run all checks, print a table, exit with 1 if anything differs
  tunnel-p2p demo --serve    the same, then keep running for your own curl and browser
  tunnel-p2p demo --json     the table as JSON

The service alone, to put it behind a tunnel of your own:
  tunnel-p2p demo --service-only --listen 127.0.0.1:8000";

const COMPAT_EXAMPLES: &str = "\
Examples:
  A gateway on this machine, profile plain:
    tunnel-p2p compat --target http://127.0.0.1:8017
  A gateway with a token, or a MoosicBox tunnel server:
    tunnel-p2p compat --target http://127.0.0.1:8017 --client-id home --token TOKEN
  Some of the checks; all but the largest file, over a slow line:
    tunnel-p2p compat --target http://127.0.0.1:8017 --only websocket --only 'bytes=0-0'
    tunnel-p2p compat --target http://127.0.0.1:8017 --skip 256MiB --timeout 1m
  For a CI system:
    tunnel-p2p compat --target http://127.0.0.1:8017 --quiet --junit compat.xml

Behind what is checked must be the demo service, since its bytes are known:
  tunnel-p2p demo --service-only

The list is that of `tunnel-p2p demo`; `--list` shows it. Exit codes: 0 all
passed, 1 there are differences, 2 wrong usage, 3 nothing to check is there.";

const BENCH_EXAMPLES: &str = "\
Examples:
  tunnel-p2p bench                      five rounds of everything: a few minutes
  tunnel-p2p bench --quick --rounds 3   a first impression in seconds
  tunnel-p2p bench --json               the figures of every round

Everything runs on loopback. It measures and judges nothing: the exit code is 0
even where a goal is missed.";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  tunnel-p2p simulate                           every scenario with one seed
  tunnel-p2p simulate --seeds 0..10000          ten thousand different storms
  tunnel-p2p simulate --scenario stall --seeds 0..100
  tunnel-p2p simulate --scenario swarm --seed 42 --trace trace.txt

A simulated network has no sockets and no real time: hosts, clients and faults
follow from the seed, and the same seed gives the same trace, to the byte, on
any machine. When something that must hold does not, seed, scenario and the
command that repeats the run are printed, and the exit code is 1.

These variables change every run: SIMULATOR_SEED, SIMULATOR_CONDITIONS (lan,
home-wifi, lte, satellite, hotel), SIMULATOR_DEFAULT_LATENCY_MS,
SIMULATOR_DEFAULT_PACKET_LOSS, SIMULATOR_DISCOVERY_DELAY_MS,
SIMULATOR_CONNECTION_TIMEOUT_SECS, SIMULATOR_MAX_MESSAGE_SIZE.";

const ID_EXAMPLES: &str = "\
Examples:
  tunnel-p2p id                 the peer id of this machine's host
  tunnel-p2p id --create        the same, making the key first if there is none
  tunnel-p2p id --new-secret    a ticket has leaked: make a new secret, then restart the host";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_of_these_commands_has_its_environment_variable() {
        let cli = Cli::command();
        for name in
            ["host", "gateway", "ping", "doctor", "status", "tunnel-server", "relay", "demo", "compat", "simulate"]
        {
            let command = cli.find_subcommand(name).expect("command exists");
            for arg in command.get_arguments() {
                // The one argument without a flag is the ticket of `ping`.
                let long = arg.get_long().unwrap_or_else(|| arg.get_id().as_str());
                if long == "help" {
                    continue;
                }
                let expected = format!("TUNNEL_P2P_{name}_{long}").replace('-', "_").to_uppercase();
                assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(expected.as_str()), "--{long}");
            }
        }
    }
}
