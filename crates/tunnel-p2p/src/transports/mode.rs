//! Which ways are open.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::WayKind;

/// The environment variable that names the mode.
pub const TRANSPORT_VARIABLE: &str = "MOOSICBOX_TRANSPORT";

/// Which ways into a server are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportMode {
    /// Through the tunnel server only.
    Tunnel,
    /// Peer to peer only.
    P2p,
    /// Both.
    Dual,
}

impl TransportMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Tunnel, Self::P2p, Self::Dual];

    /// The name, as in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::P2p => "p2p",
            Self::Dual => "dual",
        }
    }

    /// Whether this way is open in this mode.
    #[must_use]
    pub const fn has(self, way: WayKind) -> bool {
        matches!((self, way), (Self::Dual, _) | (Self::Tunnel, WayKind::Tunnel) | (Self::P2p, WayKind::P2p))
    }
}

impl fmt::Display for TransportMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TransportMode {
    type Err = ParseModeError;

    /// Accepts upper and lower case, and white space around.
    fn from_str(text: &str) -> Result<Self, ParseModeError> {
        let word = text.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|mode| mode.name() == word).ok_or_else(|| ParseModeError { text: text.to_owned() })
    }
}

/// The text is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no transport mode; use tunnel, p2p or dual")]
pub struct ParseModeError {
    text: String,
}
