//! Settings that make no sense.

/// Why a [`LegacyClient`](crate::LegacyClient) or a [`LegacyHost`](crate::LegacyHost) cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LegacyError {
    /// Operator: a setting makes no sense.
    #[error("{field}: {message}")]
    Config {
        /// The field of the configuration.
        field: &'static str,
        /// What to do.
        message: &'static str,
    },
    /// Operator: the address of the tunnel server is not one.
    #[error("`{text}` is not the address of a tunnel server: {message}")]
    Url {
        /// What was given.
        text: String,
        /// What to do.
        message: &'static str,
    },
    /// Local: the system's trusted certificates cannot be read.
    #[error("TLS cannot be set up: install the system's root certificates, or name a file of them in SSL_CERT_FILE")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LegacyError {
    pub(crate) const fn config(field: &'static str, message: &'static str) -> Self {
        Self::Config { field, message }
    }
}
