//! Why a request went the way it went.

use serde::{Serialize, Serializer};

/// Why a request was carried by its transport; the `x-tunnel-reason` of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// p2p: it works.
    P2pHealthy,
    /// Legacy: p2p has not connected yet.
    P2pConnecting,
    /// p2p: the configured mode allows nothing else.
    P2pOnly,
    /// A rule leaves no choice.
    Rule,
    /// Legacy: the client is outside the rollout.
    Rollout,
    /// Legacy: the kill switch is on.
    KillSwitch,
    /// The operator's override leaves no choice.
    Override,
    /// Legacy: the configured mode.
    Mode,
    /// Legacy: p2p does not work.
    P2pDown,
    /// Legacy: this request was sent over p2p and failed there.
    P2pFailed,
    /// Legacy: it answered before p2p did.
    Hedged,
    /// There is no other transport.
    OnlyTransport,
    /// p2p, though it is not known to work: legacy cannot carry the request.
    NotCarried,
    /// p2p, though it is not known to work: this request was sent over legacy and failed there.
    LegacyFailed,
}

impl Reason {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 14] = [
        Self::P2pHealthy,
        Self::P2pConnecting,
        Self::P2pOnly,
        Self::Rule,
        Self::Rollout,
        Self::KillSwitch,
        Self::Override,
        Self::Mode,
        Self::P2pDown,
        Self::P2pFailed,
        Self::Hedged,
        Self::OnlyTransport,
        Self::NotCarried,
        Self::LegacyFailed,
    ];

    /// The word, as in `x-tunnel-reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P2pHealthy => "p2p-healthy",
            Self::P2pConnecting => "p2p-connecting",
            Self::P2pOnly => "p2p-only",
            Self::Rule => "rule",
            Self::Rollout => "rollout",
            Self::KillSwitch => "kill-switch",
            Self::Override => "override",
            Self::Mode => "mode",
            Self::P2pDown => "p2p-down",
            Self::P2pFailed => "p2p-failed",
            Self::Hedged => "hedged",
            Self::OnlyTransport => "only-transport",
            Self::NotCarried => "not-carried",
            Self::LegacyFailed => "legacy-failed",
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
