//! Which relays a peer uses.

use std::{fmt, sync::Arc};

use iroh::{RelayConfig, RelayUrl, defaults::DEFAULT_RELAY_QUIC_PORT};

use crate::P2PError;

/// Which relays to use.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Relays {
    /// None: direct connections only, to addresses that are given or looked up.
    #[default]
    None,
    /// The public relays of n0, the makers of Iroh.
    N0,
    /// These relays. Each of them can stand in for another.
    Custom(Vec<Relay>),
    /// Those that the addresses of the dialled peers name, learned as they are dialled.
    OfPeers {
        /// What these relays ask for, if they ask for anything. All of them are shown it: use it with peers that you
        /// trust.
        token: Option<String>,
    },
}

/// One relay.
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    /// `https://relay.example.org`, or `http://` for loopback and labs. A port may be named.
    pub url: String,
    /// What the relay asks its users for, if anything.
    pub token: Option<String>,
    /// The UDP port on which the relay tells peers their public address, without which there is no hole to punch.
    /// `None` if it does not. Only relays with TLS can. Default 7842 for `https`.
    pub quic_port: Option<u16>,
}

impl Relay {
    /// A relay that asks for nothing.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let quic_port = url.starts_with("https:").then_some(DEFAULT_RELAY_QUIC_PORT);
        Self { url, token: None, quic_port }
    }

    /// Sets [`token`](Self::token).
    #[must_use]
    pub fn token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    pub(in crate::iroh) fn config(&self) -> Result<RelayConfig, P2PError> {
        let mut config = RelayConfig::from(relay_url(&self.url)?);
        config.quic = config.quic.zip(self.quic_port).map(|(mut quic, port)| {
            quic.port = port;
            quic
        });
        Ok(match &self.token {
            Some(token) => config.with_auth_token(token),
            None => config,
        })
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("url", &self.url).field("quic_port", &self.quic_port).finish_non_exhaustive()
    }
}

impl<T: Into<String>> From<T> for Relay {
    fn from(url: T) -> Self {
        Self::new(url)
    }
}

impl Relays {
    /// Whether the peer is to be reachable through a relay as soon as it starts.
    pub(in crate::iroh) fn are_known(&self) -> bool {
        match self {
            Self::None | Self::OfPeers { .. } => false,
            Self::N0 => true,
            Self::Custom(relays) => !relays.is_empty(),
        }
    }

    /// The relays themselves. None for those that are learned from peers.
    #[must_use]
    pub fn list(&self) -> Vec<Relay> {
        match self {
            Self::None | Self::OfPeers { .. } => Vec::new(),
            Self::N0 => {
                let urls = iroh::defaults::prod::default_relay_map().urls::<Vec<_>>();
                urls.into_iter().map(|url| Relay::new(url.to_string())).collect()
            }
            Self::Custom(relays) => relays.clone(),
        }
    }

    /// Those that are known from the start.
    pub(in crate::iroh) fn configs(&self) -> Result<Vec<Arc<RelayConfig>>, P2PError> {
        match self {
            Self::None | Self::OfPeers { .. } => Ok(Vec::new()),
            // Named, so that no feature of Iroh's can turn them into its staging relays.
            Self::N0 => Ok(iroh::defaults::prod::default_relay_map().relays()),
            Self::Custom(relays) => relays.iter().map(|relay| relay.config().map(Arc::new)).collect(),
        }
    }
}

pub(in crate::iroh) fn relay_url(url: &str) -> Result<RelayUrl, P2PError> {
    let wrong = |why: String| P2PError::Config {
        field: "relay",
        message: format!("'{url}' is not the URL of a relay ({why}); write it like https://relay.example.org"),
    };
    let parsed: RelayUrl = url.parse().map_err(|error| wrong(format!("{error}")))?;
    match parsed.scheme() {
        "https" | "http" if parsed.has_host() => Ok(parsed),
        "https" | "http" => Err(wrong("it names no host".to_owned())),
        other => Err(wrong(format!("its scheme is '{other}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let relay = Relay::new("https://relay.example.org").token(Some("swordfish".to_owned()));
        assert!(!format!("{relay:?}").contains("swordfish"));
    }

    #[test]
    fn only_relays_with_tls_tell_addresses() {
        assert_eq!(Relay::new("https://relay.example.org").quic_port, Some(7842));
        assert_eq!(Relay::new("http://127.0.0.1:3340").quic_port, None);
    }

    #[test]
    fn what_is_not_the_url_of_a_relay_is_refused_with_an_example() {
        for url in ["relay.example.org", "ftp://relay.example.org", "", "https://"] {
            let error = Relay::new(url).config().expect_err(url).to_string();
            assert!(error.contains("https://relay.example.org"), "{error}");
        }
    }
}
