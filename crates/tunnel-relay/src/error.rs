//! Why a relay does not run.

use std::{error::Error, io, net::SocketAddr, path::PathBuf};

/// Why a relay did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// A setting is wrong; the field is that of [`RelayConfig`](crate::RelayConfig) or of what is in it.
    #[error("{field}: {message}")]
    Config {
        /// Which setting.
        field: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The relay would be open to everybody on a network, and nobody has said so.
    #[error(
        "{address} is reached from other machines, and anybody could use the relay: give tokens or peers, or say that it is open"
    )]
    Unprotected {
        /// Where it would listen.
        address: SocketAddr,
    },
    /// A file of the certificate cannot be used.
    #[error("{}: {message}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The operating system does not give the relay an address or a port.
    #[error("the relay cannot listen for {service} at {address}")]
    Bind {
        /// For what: `HTTP`, `HTTPS`, `QUIC`, `metrics`.
        service: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why, in short.
        kind: io::ErrorKind,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Anything else that iroh-relay reports.
    #[error("the relay stopped by itself")]
    Server {
        /// What it reports.
        source: Box<dyn Error + Send + Sync>,
    },
}
