//! Which habits of the MoosicBox tunnel an edge keeps.

use std::{fmt, str::FromStr};

/// The habits of an edge. Both edges of one tunnel use the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The habits of the MoosicBox tunnel server and sender: `clientId`, CORS, `/health`, the `MOOSICBOX_TUNNEL` user
    /// agent, and no tunnel credentials for the service.
    #[default]
    Moosicbox,
    /// Exact HTTP for any server: the service sees the request as the app sent it.
    Plain,
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "moosicbox" => Ok(Self::Moosicbox),
            "plain" => Ok(Self::Plain),
            _ => Err(format!("`{text}` is not a profile: use `moosicbox` or `plain`")),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Moosicbox => "moosicbox",
            Self::Plain => "plain",
        })
    }
}
