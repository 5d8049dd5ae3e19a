//! Values that both tables use.

use clap::ValueEnum;
use p2p_provider::iroh::CongestionControl;
use serde::{Deserialize, Deserializer, Serialize};
use tunnel_edge::Profile;

/// Which rules of HTTP the edges follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProfileOption {
    /// A MoosicBox server and its apps: client ids, guard headers, tokens never passed on
    #[default]
    Moosicbox,
    /// Any other server: exact HTTP
    Plain,
}

impl From<ProfileOption> for Profile {
    fn from(option: ProfileOption) -> Self {
        match option {
            ProfileOption::Moosicbox => Self::Moosicbox,
            ProfileOption::Plain => Self::Plain,
        }
    }
}

/// How the sender finds the rate of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CongestionOption {
    /// Models the link: fast on clean and lossy links, keeps queues short
    #[default]
    Bbr,
    /// Backs off at loss: slow on long links that lose packets
    Cubic,
    /// The BBR v3 of the QUIC library: slow to speed up after a pause
    Bbr3,
}

impl From<CongestionOption> for CongestionControl {
    fn from(option: CongestionOption) -> Self {
        match option {
            CongestionOption::Bbr => Self::Bbr,
            CongestionOption::Cubic => Self::Cubic,
            CongestionOption::Bbr3 => Self::Bbr3,
        }
    }
}

/// Reads a list that may also be written as one string.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or a list of strings")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}
