//! What can be set on the way in.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderValue;

use super::AuthServer;
use crate::Profile;

/// The settings of a [`Gateway`](super::Gateway).
#[derive(Clone)]
pub struct GatewayConfig {
    /// Where to listen. Any address but loopback needs an access token. Default: `127.0.0.1:8017`.
    pub listen: SocketAddr,
    /// Which habits to keep. Default: [`Profile::Moosicbox`].
    pub profile: Profile,
    /// The client id for requests that name none, and the only one accepted ([`Profile::Moosicbox`]). Default: none.
    pub client_id: Option<String>,
    /// What answers `/auth/*`, if there is a tunnel server ([`Profile::Moosicbox`]). Default: none.
    pub auth: Option<Arc<dyn AuthServer>>,
    /// Who knows it may ask from any origin and by any host name. Default: none.
    pub access_token: Option<String>,
    /// Host names accepted besides loopback names and the listen address. Default: none.
    pub allow_hosts: Vec<String>,
    /// Origins accepted besides loopback origins; `*` means any. Default: none.
    pub allow_origins: Vec<String>,
    /// Whether responses say how they travelled (`x-tunnel-transport`, `x-tunnel-path`, `x-tunnel-reason`), and failures
    /// whether the request was carried out (`x-tunnel-outcome`). Default: yes.
    pub tunnel_headers: bool,
    /// How long an app may take for a request head, also the first of a connection. Default: 30 s.
    pub header_read_timeout: Duration,
    /// The largest request head, in bytes. Default: 128 KiB.
    pub header_bytes_max: usize,
    /// How many connections at once; further ones wait in the backlog. Default: 1024.
    pub max_connections: usize,
    /// How long a body may stand still while somebody waits for it; zero means for ever. Default: 1 h.
    pub body_idle_timeout: Duration,
    /// The largest WebSocket message, in bytes. Default: 16 MiB.
    pub ws_message_bytes_max: usize,
    /// The app is pinged after so much silence on a WebSocket; zero means never. Default: 30 s.
    pub ws_ping_interval: Duration,
    /// A WebSocket is dropped after so much silence; zero means never. Default: 75 s, two unanswered pings.
    pub ws_idle_timeout: Duration,
    /// How long requests under way may still take at the end. Default: 10 s.
    pub drain_timeout: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8017)),
            profile: Profile::Moosicbox,
            client_id: None,
            auth: None,
            access_token: None,
            allow_hosts: Vec::new(),
            allow_origins: Vec::new(),
            tunnel_headers: true,
            header_read_timeout: Duration::from_secs(30),
            header_bytes_max: 128 * 1024,
            max_connections: 1024,
            body_idle_timeout: Duration::from_hours(1),
            ws_message_bytes_max: 16 * 1024 * 1024,
            ws_ping_interval: Duration::from_secs(30),
            ws_idle_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl GatewayConfig {
    pub(super) fn check(&self) -> Result<(), GatewayError> {
        let refuse = |field, message: String| Err(GatewayError::Config { field, message });
        match &self.access_token {
            None if !self.listen.ip().is_loopback() => {
                return refuse(
                    "access_token",
                    format!(
                        "{} can be reached from other machines, so an access token is needed: set one, or listen on \
                         127.0.0.1",
                        self.listen
                    ),
                );
            }
            Some(token) if token.trim().is_empty() || HeaderValue::try_from(token.as_str()).is_err() => {
                return refuse("access_token", "use a token of printable characters, at least one".to_owned());
            }
            _ => {}
        }
        if let Some(host) = self.allow_hosts.iter().find(|host| host.is_empty() || host.contains(['/', '*'])) {
            return refuse("allow_hosts", format!("`{host}` is not a host name: write it as in `music.example`"));
        }
        let origin = |origin: &&String| *origin != "*" && *origin != "null" && !origin.contains("://");
        if let Some(origin) = self.allow_origins.iter().find(origin) {
            return refuse(
                "allow_origins",
                format!("`{origin}` is not an origin: write it as in `https://app.example`"),
            );
        }
        if self.header_read_timeout.is_zero() {
            return refuse("header_read_timeout", "set it above zero, for example 30 s".to_owned());
        }
        if self.header_bytes_max < 8 * 1024 {
            return refuse("header_bytes_max", "set it to at least 8192 bytes".to_owned());
        }
        if self.max_connections == 0 || self.max_connections > tokio::sync::Semaphore::MAX_PERMITS {
            return refuse("max_connections", "set it above zero, for example 1024".to_owned());
        }
        if self.ws_message_bytes_max == 0 {
            return refuse("ws_message_bytes_max", "set it above zero, for example 16 MiB".to_owned());
        }
        if !self.ws_idle_timeout.is_zero() && self.ws_idle_timeout <= self.ws_ping_interval {
            return refuse("ws_idle_timeout", "set it above ws_ping_interval, or to zero to turn it off".to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the access token.
        f.debug_struct("GatewayConfig")
            .field("listen", &self.listen)
            .field("profile", &self.profile)
            .field("client_id", &self.client_id)
            .field("auth", &self.auth.as_ref().map(|_| "set"))
            .field("access_token", &self.access_token.as_ref().map(|_| "set"))
            .field("allow_hosts", &self.allow_hosts)
            .field("allow_origins", &self.allow_origins)
            .finish_non_exhaustive()
    }
}

/// Why a [`Gateway`](super::Gateway) cannot start. Always the operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// A setting makes no sense.
    #[error("{field}: {message}")]
    Config {
        /// The field of [`GatewayConfig`].
        field: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// Another process listens there.
    #[error("{address} is in use by another program: stop it, or choose another address with `--listen`")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses the address.
    #[error("cannot listen on {address}: choose another address with `--listen`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl GatewayError {
    pub(super) fn bind(address: SocketAddr, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::AddressInUse { address, source }
        } else {
            Self::Bind { address, source }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut GatewayConfig)) -> String {
        let mut config = GatewayConfig::default();
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn names_the_field_and_the_fix() {
        assert!(refused(|c| c.listen = ([0, 0, 0, 0], 80).into()).contains("set one, or listen on 127.0.0.1"));
        assert!(refused(|c| c.access_token = Some(" ".into())).starts_with("access_token"));
        assert!(refused(|c| c.allow_hosts = vec!["http://a".into()]).starts_with("allow_hosts"));
        assert!(refused(|c| c.allow_origins = vec!["app.example".into()]).starts_with("allow_origins"));
        assert!(refused(|c| c.max_connections = 0).starts_with("max_connections"));
        assert!(refused(|c| c.ws_idle_timeout = Duration::from_secs(1)).starts_with("ws_idle_timeout"));
    }

    #[test]
    fn debug_output_hides_the_token() {
        let config = GatewayConfig { access_token: Some("geheim".into()), ..GatewayConfig::default() };
        assert!(!format!("{config:?}").contains("geheim"));
    }
}
