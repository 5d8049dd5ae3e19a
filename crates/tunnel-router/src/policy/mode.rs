//! The three ways to treat a request.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Which transports a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Only the tunnel server.
    Legacy,
    /// Peer to peer while it works, the tunnel server otherwise.
    P2pFirst,
    /// Only peer to peer: nothing passes through a server that could read it.
    P2pOnly,
}

/// A word that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mode: use legacy, p2p-first or p2p-only")]
pub struct UnknownMode(pub String);

impl Mode {
    /// The name, as in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::P2pFirst => "p2p-first",
            Self::P2pOnly => "p2p-only",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Legacy, Self::P2pFirst, Self::P2pOnly]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| UnknownMode(text.to_owned()))
    }
}
