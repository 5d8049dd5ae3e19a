//! Who is where.

use std::fmt;

use super::Network;

/// Where host and gateway are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Each in a network of its own, connected by the internet.
    Apart { host: Network, gateway: Network },
    /// Both in one network.
    Together(Shared),
}

/// A network that host and gateway share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// They see each other.
    Lan,
    /// The access point keeps its clients apart, and the router does not send back in what is meant for its own address.
    Isolated,
    /// The same with a router that does ("hairpin").
    IsolatedHairpin,
    /// They see each other, and nothing else: no internet, no names.
    Offline,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apart { host, gateway } => write!(f, "{}/{}", host.name(), gateway.name()),
            Self::Together(Shared::Lan) => f.write_str("same-lan"),
            Self::Together(Shared::Isolated) => f.write_str("same-nat"),
            Self::Together(Shared::IsolatedHairpin) => f.write_str("same-nat-hairpin"),
            Self::Together(Shared::Offline) => f.write_str("lan-offline"),
        }
    }
}
