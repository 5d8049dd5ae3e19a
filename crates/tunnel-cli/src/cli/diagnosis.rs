//! The help of the commands that look for what is in the way.

pub(super) const PING_EXAMPLES: &str = "\
Examples:
  tunnel-p2p ping TICKET                 until the path is direct, for at most 10 s
  tunnel-p2p ping --ticket-file ~/ticket --count 20 --interval 200ms
  tunnel-p2p ping --config tunnel.toml   the ticket and the relays of [gateway]
  tunnel-p2p ping TICKET --json | jq .rtt_ms

Each line: number, path (direct or relayed), address of the host or URL of the relay,
time until the host's answer, and the smoothed time that the connection reckons with.
The answer is the host's own: whether its service works is not asked.

Exit codes:
  0  the path is direct
  4  the host is reached, but only through a relay
  5  the host is not reached, or does not let this client in";

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  tunnel-p2p doctor                      this machine alone; nobody outside is asked
  tunnel-p2p doctor --relay n0           its network too, by the public relays of n0
  tunnel-p2p doctor --config tunnel.toml with the relays, the tunnel server and the
                                         secret files of [host] or [gateway]
  tunnel-p2p doctor --peer TICKET        the way to this host, and why it is not direct
  tunnel-p2p doctor --tunnel https://tunnel.example.org --client-id home \\
    --tunnel-token-file ~/client-token
  tunnel-p2p doctor --json | jq 'select(.state == \"failed\")'

It changes nothing, but for two things that every host and gateway does as well: it
asks the router whether it forwards ports, and, with a token, the tunnel server for
a signature. spec/doctor.md says what each check means.

Exit codes:
  0  nothing is wrong
  1  something is wrong: the last lines say what to do first
  5  the host of --peer is not reached";
