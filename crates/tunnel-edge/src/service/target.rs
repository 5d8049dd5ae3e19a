//! Where a service listens.

use std::{fmt, path::PathBuf, str::FromStr};

use http::{HeaderValue, Uri};

use super::ServiceError;

/// The address of a service, parsed from `http://127.0.0.1:8000` or `unix:/path/to.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceTarget {
    /// A TCP port.
    Tcp {
        /// A host name or an IP address, IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl ServiceTarget {
    /// The value of `Host` for this service.
    pub(super) fn authority(&self) -> HeaderValue {
        let text = match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        };
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
    }
}

impl FromStr for ServiceTarget {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        let refuse = |message| ServiceError::Target { text: text.to_owned(), message };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(refuse("give the full path of the socket, as in unix:/run/service.sock"));
            }
            if cfg!(not(unix)) {
                return Err(refuse("this system has no Unix sockets: use http://127.0.0.1:PORT"));
            }
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with("https:") {
            return Err(refuse(
                "the service is reached without TLS: use its plain port, as in http://127.0.0.1:8000 (the tunnel itself \
                 is encrypted)",
            ));
        }
        if !text.starts_with("http://") {
            return Err(refuse("begin with http:// or unix:, as in http://127.0.0.1:8000"));
        }
        let uri: Uri = text.parse().map_err(|_| refuse("write it as http://HOST:PORT"))?;
        let authority = uri.authority().ok_or_else(|| refuse("write it as http://HOST:PORT"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("leave out the user name and password"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(refuse("leave out the path: requests keep their own"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.port_u16() {
            Some(0) => return Err(refuse("port 0 is not a port: name the one on which the service listens")),
            Some(port) => port,
            None if authority.as_str().len() > authority.host().len() => {
                return Err(refuse("the port is not a number from 1 to 65535"));
            }
            None => 80,
        };
        if host.is_empty() {
            return Err(refuse("the host is missing, as in http://127.0.0.1:8000"));
        }
        Ok(Self::Tcp { host, port })
    }
}

impl fmt::Display for ServiceTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        for (text, shown) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
            ("http://localhost", "http://localhost:80"),
            ("http://[::1]:9/", "http://[::1]:9"),
        ] {
            assert_eq!(text.parse::<ServiceTarget>().unwrap().to_string(), shown);
        }
        #[cfg(unix)]
        assert_eq!("unix:/run/a.sock".parse::<ServiceTarget>().unwrap().to_string(), "unix:/run/a.sock");
    }

    #[test]
    fn refuses_what_is_not_one_and_says_what_to_do() {
        for (text, hint) in [
            ("https://127.0.0.1:8000", "without TLS"),
            ("127.0.0.1:8000", "begin with http://"),
            ("http://a/b", "leave out the path"),
            ("http://a/?b", "leave out the path"),
            ("http://u:p@a", "user name"),
            ("http://a:0", "port 0"),
            ("http://a:", "from 1 to 65535"),
            ("http://a:99999", "from 1 to 65535"),
            ("unix:a.sock", "full path"),
            ("", "begin with http://"),
        ] {
            let message = text.parse::<ServiceTarget>().unwrap_err().to_string();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
