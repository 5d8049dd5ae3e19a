//! Where a tunnel server is.

use std::{fmt, str::FromStr};

use http::{HeaderValue, Uri, uri::PathAndQuery};

use crate::LegacyError;

/// The address of a tunnel server, parsed from `https://tunnel.example` or `http://127.0.0.1:8000/prefix`; `wss` and `ws`
/// mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelUrl {
    tls: bool,
    /// A host name or an IP address, IPv6 without brackets.
    host: String,
    port: u16,
    /// Empty, or a path that begins with a slash and ends without one.
    prefix: String,
}

impl TunnelUrl {
    /// Whether connections are encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host name or the IP address, IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Host`.
    pub(crate) fn authority(&self) -> HeaderValue {
        HeaderValue::try_from(self.shown_authority()).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
    }

    /// A target on the tunnel server: `path_and_query`, which begins with a slash, behind the prefix. `None` if that is
    /// no target, or too long for one.
    pub(crate) fn target(&self, path_and_query: &str) -> Option<Uri> {
        PathAndQuery::try_from(format!("{}{path_and_query}", self.prefix)).ok().map(Uri::from)
    }

    fn shown_authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

impl FromStr for TunnelUrl {
    type Err = LegacyError;

    fn from_str(text: &str) -> Result<Self, LegacyError> {
        let refuse = |message| LegacyError::Url { text: text.to_owned(), message };
        let uri: Uri = text.parse().map_err(|_| refuse("write it as https://HOST or http://HOST:PORT"))?;
        let tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(refuse("begin with https:// or http://, as in https://tunnel.example")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("write it as https://HOST or http://HOST:PORT"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("leave out the user name and password: tokens are settings of their own"));
        }
        if uri.query().is_some() {
            return Err(refuse("leave out the query: client id and tokens are settings of their own"));
        }
        let port = match authority.port_u16() {
            Some(0) => return Err(refuse("port 0 is not a port")),
            Some(port) => port,
            None if authority.as_str().len() > authority.host().len() => {
                return Err(refuse("the port is not a number from 1 to 65535"));
            }
            None => default_port(tls),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(refuse("the host is missing, as in https://tunnel.example"));
        }
        Ok(Self { tls, host, port, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for TunnelUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.shown_authority(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        for (text, shown, target) in [
            ("https://tunnel.example", "https://tunnel.example", "/a?b"),
            ("wss://tunnel.example:443/", "https://tunnel.example", "/a?b"),
            ("http://127.0.0.1:8000/t//", "http://127.0.0.1:8000/t", "/t/a?b"),
            ("ws://[::1]:9/x/y/", "http://[::1]:9/x/y", "/x/y/a?b"),
            ("http://tunnel.example:443", "http://tunnel.example:443", "/a?b"),
        ] {
            let url: TunnelUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.target("/a?b").unwrap(), target);
        }
        assert_eq!("https://a:8443".parse::<TunnelUrl>().unwrap().authority(), "a:8443");
    }

    #[test]
    fn refuses_what_is_not_one_and_says_what_to_do() {
        for (text, hint) in [
            ("tunnel.example", "begin with https://"),
            ("ftp://a", "begin with https://"),
            ("https://", "write it as"),
            ("https://a:0", "port 0"),
            ("https://a:", "from 1 to 65535"),
            ("https://u:p@a", "user name"),
            ("https://a/?clientId=1", "leave out the query"),
            ("", "write it as"),
        ] {
            let message = text.parse::<TunnelUrl>().unwrap_err().to_string();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
