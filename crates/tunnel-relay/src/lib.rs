//! A relay of your own: Iroh's relay server ([`iroh_relay`]), with access control and defaults that suit one operator
//! and a handful of peers.
//!
//! A relay helps peers that cannot reach each other directly. It forwards their packets, which are encrypted from end
//! to end, and tells each peer the address from which its packets come (QUIC address discovery), with which most peers
//! then find a direct path. It sees who talks with whom and how much, never what.
//!
//! - [`RelayConfig`]: where to listen, the certificate, and who may use it.
//! - [`Relay`]: one that runs.
//!
//! This crate knows nothing of tunnels: any Iroh endpoint can use the relay.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tunnel_relay::RelayError> {
//! use tunnel_relay::{Access, Relay, RelayConfig};
//!
//! let mut config = RelayConfig::new();
//! config.http = Some(([127, 0, 0, 1], 0).into());
//! config.access = Access::listed(["a long random word".to_owned()], []);
//! let relay = Relay::start(config).await?;
//! assert!(relay.url().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
//! relay.stop().await;
//! # Ok(())
//! # }
//! ```

mod access;
mod certificate;
mod config;
mod error;
mod relay;

pub use access::Access;
pub use config::{AcmeConfig, Certificate, ClientRate, LETS_ENCRYPT, RelayConfig, TlsConfig};
pub use error::RelayError;
pub use relay::Relay;
