//! Whom to ask.

use std::time::Duration;

use http::{HeaderValue, Uri, uri::Scheme};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

/// How long anything may stand still, unless the caller says.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A deployment with the demo service behind it, and how to ask it.
#[derive(Clone, Debug)]
pub struct Target {
    host: String,
    port: u16,
    client_id: Option<String>,
    token: Option<HeaderValue>,
    transport: Option<String>,
    timeout: Duration,
}

impl Target {
    /// The server at this base URL, such as `http://127.0.0.1:8017`.
    pub fn new(url: &str) -> Result<Self, TargetError> {
        let invalid = || TargetError::Invalid { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => return Err(TargetError::Encrypted { url: url.to_owned() }),
            _ => return Err(invalid()),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(TargetError::NotABase { url: url.to_owned() });
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        let port = uri.port_u16().unwrap_or(80);
        Ok(Self { host: host.to_owned(), port, client_id: None, token: None, transport: None, timeout: TIMEOUT })
    }

    /// Adds `clientId=` to every request target, as apps of a MoosicBox tunnel do.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sends `authorization: Bearer` with every request, and together with a client id `signature=` on WebSockets, where
    /// apps of a MoosicBox tunnel have no headers.
    pub fn with_token(mut self, token: &str) -> Result<Self, TargetError> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| TargetError::Token)?;
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self)
    }

    /// Expects every response to say in `x-tunnel-transport` that it came by this transport.
    #[must_use]
    pub fn with_transport(mut self, transport: impl Into<String>) -> Self {
        self.transport = Some(transport.into());
        self
    }

    /// Changes how long anything may stand still: a connection attempt, the wait for a head or for the next bytes.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The client id, if there is one.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Whether there is a token.
    #[must_use]
    pub const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn transport(&self) -> Option<&str> {
        self.transport.as_deref()
    }

    pub(super) const fn authorization(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    /// The request target that is sent for this path and query.
    pub(super) fn sent(&self, target: &str) -> String {
        match &self.client_id {
            Some(client_id) => with_parameter(target, CLIENT_ID, client_id),
            None => target.to_owned(),
        }
    }

    /// The same for a WebSocket.
    pub(super) fn sent_for_web_socket(&self, target: &str) -> String {
        let token = self.token.as_ref().and_then(|token| token.to_str().ok()?.strip_prefix("Bearer "));
        match (&self.client_id, token) {
            (Some(_), Some(token)) => with_parameter(&self.sent(target), SIGNATURE, token),
            _ => self.sent(target),
        }
    }

    /// What the service saw, without what was added here: whether a tunnel passes that on is its own choice.
    pub(super) fn received(&self, target: &str) -> String {
        let (true, Some((path, query))) = (self.client_id.is_some(), target.split_once('?')) else {
            return target.to_owned();
        };
        let own = |segment: &str| [CLIENT_ID, SIGNATURE].contains(&segment.split('=').next().unwrap_or_default());
        let kept: Vec<&str> = query.split('&').filter(|segment| !own(segment)).collect();
        if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
    }
}

/// What is wrong with what the caller gave.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is no HTTP URL.
    #[error("`{url}` is not a URL such as http://127.0.0.1:8017")]
    Invalid {
        /// What was given.
        url: String,
    },
    /// It is an `https:` URL.
    #[error("`{url}` is https, and the checks speak plain http only: they look at every byte on the connection")]
    Encrypted {
        /// What was given.
        url: String,
    },
    /// It has a path or a query.
    #[error("`{url}` has a path or a query: only a whole server can be asked, such as http://127.0.0.1:8017")]
    NotABase {
        /// What was given.
        url: String,
    },
    /// The token has characters that no header may have.
    #[error("the token has characters that cannot be sent in a header")]
    Token,
}

const CLIENT_ID: &str = "clientId";
const SIGNATURE: &str = "signature";

fn with_parameter(target: &str, name: &str, value: &str) -> String {
    let separator = if target.contains('?') { '&' } else { '?' };
    format!("{target}{separator}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_base_url_is_a_target() {
        for (url, authority) in [
            ("http://127.0.0.1:8017", "127.0.0.1:8017"),
            ("http://localhost/", "localhost:80"),
            ("http://[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(Target::new(url).unwrap().authority(), authority);
        }
        for url in ["", "127.0.0.1:8017", "/", "ftp://a", "unix:/a", "http://"] {
            assert!(matches!(Target::new(url), Err(TargetError::Invalid { .. })), "{url}");
        }
        assert!(Target::new("https://a").unwrap_err().to_string().contains("plain http only"));
        for url in ["http://a/b", "http://a/?b"] {
            assert!(matches!(Target::new(url), Err(TargetError::NotABase { .. })), "{url}");
        }
    }

    #[test]
    fn a_client_id_is_added_when_sending_and_ignored_when_comparing() {
        let target = Target::new("http://a").unwrap();
        assert_eq!(target.sent("/a?b"), "/a?b");
        assert_eq!(target.received("/a?clientId=1"), "/a?clientId=1");
        let target = target.with_client_id("my home").with_token("t+1").unwrap();
        assert_eq!(target.sent("/a"), "/a?clientId=my%20home");
        assert_eq!(target.sent("/a?b=1"), "/a?b=1&clientId=my%20home");
        assert_eq!(target.sent_for_web_socket("/ws"), "/ws?clientId=my%20home&signature=t%2B1");
        for seen in ["/a?b=1", "/a?b=1&clientId=my%20home", "/a?clientId=x&b=1&signature=y"] {
            assert_eq!(target.received(seen), "/a?b=1");
        }
        assert_eq!(target.received("/a?clientId=x"), "/a");
    }

    #[test]
    fn the_token_is_not_in_the_debug_output() {
        let target = Target::new("http://a").unwrap().with_token("hush").unwrap();
        assert!(!format!("{target:?}").contains("hush"));
        assert!(Target::new("http://a").unwrap().with_token("a\nb").is_err());
    }
}
