//! The command line of `tunnel-p2p peers`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Options of `tunnel-p2p peers`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PeersOptions {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: PeersCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PeersCommand {
    /// Show who may use this machine's host, and which hosts its gateway knows
    #[command(after_help = LIST_EXAMPLES)]
    List(ListOptions),
    /// Turn a device away: its connections close at once, and it cannot come back with its key
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(RevokeOptions),
    /// Let a device in by its key, without a ticket; takes a revocation back
    #[command(after_help = ALLOW_EXAMPLES)]
    Allow(AllowOptions),
    /// Forget a host that this machine's gateway knows, after it was set up anew with another key
    #[command(after_help = FORGET_EXAMPLES)]
    Forget(ForgetOptions),
}

/// Options of `tunnel-p2p peers list`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListOptions {
    /// Where the host keeps its list of peers [default: as for `host`]
    #[arg(long, env = "TUNNEL_P2P_HOST_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where the gateway keeps its known hosts [default: as for `gateway`]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_STATE_DIR", value_name = "DIR")]
    pub(crate) gateway_state_dir: Option<PathBuf>,
}

/// Options of `tunnel-p2p peers revoke`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RevokeOptions {
    /// The peer: its name, its id, or as much of the id as no other peer's begins with
    #[arg(value_name = "PEER", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) peer: Option<String>,
    /// Turn every device away that is in the list
    #[arg(long)]
    pub(crate) all: bool,
    /// Where the host keeps its list of peers [default: as for `host`]
    #[arg(long, env = "TUNNEL_P2P_HOST_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Options of `tunnel-p2p peers allow`.
#[derive(Clone, Debug, Args)]
pub(crate) struct AllowOptions {
    /// The peer: its id of 64 hex digits; of one in the list also its name, or as much of the id as no other's begins with
    #[arg(value_name = "PEER_ID")]
    pub(crate) peer: String,
    /// What to call it in the list [default: as before]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where the host keeps its list of peers [default: as for `host`]
    #[arg(long, env = "TUNNEL_P2P_HOST_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Options of `tunnel-p2p peers forget`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ForgetOptions {
    /// The host's client id at its tunnel server
    #[arg(value_name = "CLIENT_ID")]
    pub(crate) client_id: String,
    /// Where the gateway keeps its known hosts [default: as for `gateway`]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

pub(super) const PEERS_EXAMPLES: &str = "\
Examples:
  tunnel-p2p peers list                 who may use this machine's host
  tunnel-p2p peers revoke old-phone     by name, or by the beginning of the peer id
  tunnel-p2p peers allow PEER_ID --name laptop
  tunnel-p2p peers forget home          at the gateway: its host was set up anew

A gateway that is given a tunnel server, a client id and its token finds the host
through the server and pairs with it; from then on the host knows its key. One
that is given a ticket is in the list as well, but needs the ticket each time.
The lists are files in the state directory, `peers` and `hosts`, one line each:
a running host follows what is changed there.";

const LIST_EXAMPLES: &str = "\
Examples:
  tunnel-p2p peers list
  tunnel-p2p peers list --json | jq '.peers[] | select(.state == \"allowed\")'

The states: `allowed` is let in by its key, `needs the ticket` by the ticket's
secret, `revoked` is turned away. `tunnel-p2p status` shows who is connected.";

const REVOKE_EXAMPLES: &str = "\
Examples:
  tunnel-p2p peers revoke old-phone
  tunnel-p2p peers revoke 3f9a
  tunnel-p2p peers revoke --all

It holds at once; the host need not be restarted. Whoever still holds a ticket
can come back under a new key; so if a ticket may be in wrong hands:
  tunnel-p2p id --new-secret            and restart the host
The same goes for the client's token at the tunnel server, with which a device
can pair again under a new key: change it there, or run the host with --no-pairing.

Exit codes: 0 it is revoked (now or before), 1 no or more than one such peer.";

const ALLOW_EXAMPLES: &str = "\
Examples:
  tunnel-p2p peers allow 3f9a... --name laptop
  tunnel-p2p peers allow old-phone      takes a revocation back

A gateway says its peer id when it starts. One that is allowed stays in when the
secret of the ticket changes (`tunnel-p2p id --new-secret`).";

const FORGET_EXAMPLES: &str = "\
Examples:
  tunnel-p2p peers forget home

A gateway refuses a host whose key has changed, because somebody at the tunnel
server could stand in its place. If the host was set up anew, forget the old one:
the gateway pairs again within a second and keeps the new key. Compare the peer
id it then shows with `tunnel-p2p id` at the host.

Exit codes: 0 it is forgotten, 1 no such host is known.";
