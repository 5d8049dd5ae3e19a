//! What the command line's definitions do not say of each option: when it is read, and what to know for security.

/// When an option is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// At the start of a process that stays.
    Restart,
    /// At the start, and again while it runs.
    Reload,
    /// Each time; the command does one thing and ends.
    Run,
}

impl Taken {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Restart => "start",
            Self::Reload => "start, reload",
            Self::Run => "run",
        }
    }
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) option: &'static str,
    pub(super) taken: Taken,
    /// What to know for security; may be empty.
    pub(super) text: &'static str,
}

const fn start(option: &'static str, text: &'static str) -> Note {
    Note { option, taken: Taken::Restart, text }
}

const fn again(option: &'static str, text: &'static str) -> Note {
    Note { option, taken: Taken::Reload, text }
}

const fn run(option: &'static str, text: &'static str) -> Note {
    Note { option, taken: Taken::Run, text }
}

/// The notes of a command; of the empty name those of every command.
pub(super) fn notes(command: &str) -> &'static [Note] {
    let found = NOTES.iter().find(|(name, _)| *name == command);
    found.unwrap_or_else(|| panic!("`{command}` has no notes in src/reference/notes.rs")).1
}

/// How values are written.
pub(super) const VALUES: [(&str, &str); 8] = [
    ("TIME", "a whole number and its unit, such as `250ms`, `30s`, `5m`, `1h`; in the file a string"),
    ("PERCENT", "0 to 100 with at most two decimals; in the file a number"),
    (
        "BOOL",
        "`--no-hedge` is `--no-hedge=true`; in the environment also `1`, `yes`, `on`; in the file `true` or `false`",
    ),
    ("ADDRESS:PORT", "an IP address and a port, such as `127.0.0.1:8017` or `[::1]:8017`"),
    ("FILE, DIR", "a path; a relative one is relative to where the process was started"),
    ("RELAY, HOST, ORIGIN, CLASS", "repeat the option for more, or separate by commas; in the file a string or a list"),
    (
        "[METHODS ]PATTERN=MODE",
        "repeat the option for more, or separate by semicolons; in the file a string, a list, or tables \
         `[[gateway.rule]]` with `path`, `mode` and `methods`",
    ),
    ("NUMBER, PORT", "a whole number"),
];

const IN_THE_PROCESS_LIST: &str =
    "A secret. As a flag it is in the process list and in the shell's history: prefer the file.";
const SECRET_FILE: &str = "Keep it at mode 0600; that is not checked. Read once, at the start.";
const ADMIN: &str = "It has no password: whoever has an account on the machine may use it, web pages may not. Leave it out \
                     where others have accounts.";
const LOOKUP: &str =
    "With `n0` whoever knows the peer id sees what is published; with `mdns` whoever is on the LAN. See `publish`.";
const TUNNEL: &str = "A tunnel server can read what passes through it. Use `https` beyond your own network.";

const NOTES: &[(&str, &[Note])] = &[
    (
        "",
        &[
            start("json", ""),
            start("config", "If tickets or tokens are in it, keep it at mode 0600; that is not checked."),
            start("verbose", ""),
            start("quiet", ""),
            start("log-filter", ""),
            start("log-format", ""),
        ],
    ),
    (
        "host",
        &[
            start("service", "Whoever holds the ticket reaches all of it, as if from this machine."),
            start("profile", "`moosicbox` never passes `clientId`, `signature` and tunnel tokens on to the service."),
            start("client-id", "A name, not a secret: it keeps gateways from the wrong host, and admits nobody."),
            start(
                "state-dir",
                "Holds the host's key, ticket secret and tunnel token, mode 0600; files that others can read are refused.",
            ),
            start("port", ""),
            start("bind", "`127.0.0.1` keeps the host from every other machine."),
            start("relay", "A relay sees who connects to whom, and how much passes, but not what."),
            start("relay-token", IN_THE_PROCESS_LIST),
            start("relay-token-file", SECRET_FILE),
            start("relay-ca", "Counts for relays and lookup servers only; peers are known by their keys."),
            start("lookup", LOOKUP),
            start("no-port-mapping", ""),
            start("publish", "Peers that have a connection learn all addresses in any case, to find a direct path."),
            start("external-address", ""),
            start("congestion", ""),
            start("max-requests", ""),
            start("connect-timeout", ""),
            start("head-timeout", ""),
            start("body-idle-timeout", ""),
            start("drain-timeout", ""),
            start("admin", ADMIN),
            start("tunnel", TUNNEL),
            start("tunnel-access-token", IN_THE_PROCESS_LIST),
            start(
                "tunnel-access-token-file",
                "Needed until the host has registered. Keep it at mode 0600; that is not checked.",
            ),
            start("tunnel-token", IN_THE_PROCESS_LIST),
            start("tunnel-token-file", SECRET_FILE),
            start(
                "no-pairing",
                "Without it, who has the client's token at the tunnel server can have a key let in: `peers list` shows them.",
            ),
            start("no-p2p", "Everything passes through the tunnel server, which can read it."),
        ],
    ),
    (
        "gateway",
        &[
            start("ticket", IN_THE_PROCESS_LIST),
            start("ticket-file", SECRET_FILE),
            start(
                "listen",
                "Plain HTTP. Any address but loopback needs an access token, and on foreign networks a proxy with TLS before it.",
            ),
            start("profile", ""),
            start("client-id", "A name, not a secret."),
            start("access-token", IN_THE_PROCESS_LIST),
            start("access-token-file", SECRET_FILE),
            start(
                "allow-host",
                "The check of `Host` keeps foreign pages out (DNS rebinding): give only names that are yours.",
            ),
            start("allow-origin", "`*` lets every page that a browser on the network opens use the gateway."),
            start("no-tunnel-headers", ""),
            start("bind", ""),
            start("relay", "A relay sees who connects to whom, and how much passes, but not what."),
            start("relay-token", IN_THE_PROCESS_LIST),
            start("relay-token-file", SECRET_FILE),
            start("relay-ca", "Counts for relays and lookup servers only; peers are known by their keys."),
            start("lookup", LOOKUP),
            start("no-port-mapping", ""),
            start("congestion", ""),
            start("connect-timeout", ""),
            start("head-timeout", ""),
            start("body-idle-timeout", ""),
            start("drain-timeout", ""),
            start("admin", ADMIN),
            start("tunnel", TUNNEL),
            start("tunnel-token", IN_THE_PROCESS_LIST),
            start("tunnel-token-file", SECRET_FILE),
            start("tunnel-signature", IN_THE_PROCESS_LIST),
            start("tunnel-signature-file", SECRET_FILE),
            start(
                "state-dir",
                "Holds the gateway's key and the tickets of the hosts it knows, mode 0600; files that others can read are refused.",
            ),
            start("name", "The tunnel server and the host see it."),
            start("no-pairing", "Keeps the tunnel server from naming another host: then a ticket has to be carried."),
            start("tunnel-allow-loss", "`preconditions` lets a conditional write through without its condition."),
            again("mode", "`p2p-only` keeps requests from the tunnel server, which can read them."),
            again("rollout", "Clients outside the rollout pass the tunnel server."),
            again("rule", "`=p2p-only` keeps the requests of a path from the tunnel server, which can read them."),
            again(
                "kill-switch-file",
                "Looked for before every request. Whoever may create it sends everything through the tunnel server: put it where only the operator can write.",
            ),
            again("no-hedge", "A hedged request passes the tunnel server, too."),
            again("shadow", "The service gets these requests twice, and the tunnel server can read them."),
        ],
    ),
    ("peers list", &[run("state-dir", ""), run("gateway-state-dir", "")]),
    (
        "peers revoke",
        &[
            run("PEER", "Who still has a ticket or a tunnel token can come back under a new key: change those, too."),
            run("all", ""),
            run("state-dir", ""),
        ],
    ),
    (
        "peers allow",
        &[run("PEER_ID", "Compare it by another way than the one it came."), run("name", ""), run("state-dir", "")],
    ),
    (
        "peers forget",
        &[run("CLIENT_ID", "Only after somebody has looked why the host has another key."), run("state-dir", "")],
    ),
    (
        "ping",
        &[
            run("TICKET", IN_THE_PROCESS_LIST),
            run("ticket-file", SECRET_FILE),
            run("count", ""),
            run("interval", ""),
            run("timeout", ""),
            run("state-dir", "Used only with a ticket without a secret, by which the host knows this gateway's key."),
            run("bind", ""),
            run("relay", "A relay sees who connects to whom, and how much passes, but not what."),
            run("relay-token", IN_THE_PROCESS_LIST),
            run("relay-token-file", SECRET_FILE),
            run("relay-ca", "Counts for relays and lookup servers only; peers are known by their keys."),
            run("lookup", LOOKUP),
            run("no-port-mapping", ""),
        ],
    ),
    (
        "doctor",
        &[
            run("peer", IN_THE_PROCESS_LIST),
            run("peer-file", SECRET_FILE),
            run("tunnel", TUNNEL),
            run("tunnel-token-file", SECRET_FILE),
            run("client-id", "A name, not a secret."),
            run("state-dir", "Its secrets are looked at, and neither shown nor changed."),
            run("bind", "`127.0.0.1` keeps everything on this machine."),
            run("timeout", ""),
            run("relay", "Relays learn this machine's addresses. Without any, nobody outside is asked."),
            run("relay-token", IN_THE_PROCESS_LIST),
            run("relay-token-file", SECRET_FILE),
            run("relay-ca", "Counts for relays and lookup servers only; peers are known by their keys."),
            run("lookup", "Lookups learn which host is asked for. See `publish` of `host`."),
            run("no-port-mapping", ""),
        ],
    ),
    ("status", &[run("admin", ""), run("decisions", "Shows the paths of requests, without their queries.")]),
    ("mode", &[run("MODE", ""), run("kill-switch", ""), run("admin", "")]),
    (
        "explain",
        &[
            run("path", ""),
            run("client-id", ""),
            run("method", ""),
            run("admin", ""),
            run("mode", ""),
            run("rollout", ""),
            run("rule", ""),
            run("kill-switch-file", ""),
            run("no-hedge", ""),
            run("shadow", ""),
        ],
    ),
    (
        "tunnel-server",
        &[
            start("listen", "Plain HTTP: put a proxy with TLS before it on any network but your own."),
            start("access-token", IN_THE_PROCESS_LIST),
            start("access-token-file", SECRET_FILE),
            start("database", "Holds hashes of tokens, not the tokens."),
            start("faithful", "Lets tenants into each other's houses: for comparisons only, never in production."),
        ],
    ),
    (
        "relay",
        &[
            start(
                "http",
                "As the relay itself, it shows the access token to whoever can read the network: for loopback and labs.",
            ),
            start("https", "Any address but loopback needs a token, a list of peers, or `open`."),
            start("host", ""),
            start("tls-cert", "Read again every minute and at SIGHUP."),
            start("tls-key", "A secret. Keep it at mode 0600; that is not checked."),
            start("acme", "The authority has to reach port 443 of the host, and publishes the name in its logs."),
            start("acme-contact", "The authority gets it."),
            start("acme-dir", "Holds private keys: made at mode 0700."),
            start("acme-directory", ""),
            start("access-token", IN_THE_PROCESS_LIST),
            start("access-token-file", "Keep it at mode 0600; that is not checked. Read again at SIGHUP."),
            start("allow-peer", "Its key proves that a peer is the one it says it is."),
            start("open", "Strangers use up your traffic; they still cannot read anything."),
            start("quic-port", "Answers everybody, also those whom the relay refuses."),
            start("no-quic", ""),
            start("metrics", "No password. It tells how much passes, and of nobody in particular."),
            start("client-rate", "Keeps one peer from using up all of the traffic."),
        ],
    ),
    ("demo", &[run("serve", ""), run("service-only", ""), run("listen", "The demo service has no password.")]),
    (
        "compat",
        &[
            run("target", ""),
            run("client-id", ""),
            run("token", IN_THE_PROCESS_LIST_OR_ENVIRONMENT),
            run("service-kind", ""),
            run("transport", ""),
            run("only", ""),
            run("skip", ""),
            run("timeout", ""),
            run("junit", ""),
            run("list", ""),
        ],
    ),
    ("bench", &[run("rounds", ""), run("quick", "")]),
    (
        "simulate",
        &[run("seed", ""), run("seeds", ""), run("scenario", ""), run("trace", ""), run("jobs", ""), run("list", "")],
    ),
    (
        "id",
        &[
            run("state-dir", ""),
            run("create", ""),
            run("new-secret", "What to do when a ticket has leaked; then restart the host."),
        ],
    ),
];

const IN_THE_PROCESS_LIST_OR_ENVIRONMENT: &str =
    "A secret. As a flag it is in the process list and in the shell's history: prefer the environment.";
