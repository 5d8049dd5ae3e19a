//! What can be set on the way out.

use std::time::Duration;

use tunnel_core::FailureKind;
use tunnel_http::{HttpClientConfig, HttpPeer, WsLimits};

use super::ServiceTarget;
use crate::Profile;

/// The settings of a [`LocalService`](super::LocalService); start from [`ServiceConfig::new`].
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Where the service listens.
    pub target: ServiceTarget,
    /// Which habits to keep. Default: [`Profile::Moosicbox`].
    pub profile: Profile,
    /// How long a connection attempt may take. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long the service may neither answer nor take more of the request body. Default: 60 s.
    pub head_timeout: Duration,
    /// How long a body may stand still while somebody waits for it; zero means for ever. Default: 1 h, so that long
    /// polls and event streams live.
    pub body_idle_timeout: Duration,
    /// How many idle connections are kept. Default: 32.
    pub pool_idle_max: usize,
    /// How long an idle connection is kept. Default: 4 s, below the 5 s after which many servers close (Node, actix).
    pub pool_idle_timeout: Duration,
    /// The largest response head, in bytes. Default: 128 KiB.
    pub header_bytes_max: usize,
    /// The largest WebSocket message, in bytes. Default: 16 MiB.
    pub ws_message_bytes_max: usize,
    /// The service is pinged after so much silence on a WebSocket; zero means never. Default: 30 s.
    pub ws_ping_interval: Duration,
    /// A WebSocket fails after so much silence; zero means never. Default: 75 s, two unanswered pings.
    pub ws_idle_timeout: Duration,
}

impl ServiceConfig {
    /// The defaults, for this service.
    #[must_use]
    pub const fn new(target: ServiceTarget) -> Self {
        Self {
            target,
            profile: Profile::Moosicbox,
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_mins(1),
            body_idle_timeout: Duration::from_hours(1),
            pool_idle_max: 32,
            pool_idle_timeout: Duration::from_secs(4),
            header_bytes_max: 128 * 1024,
            ws_message_bytes_max: 16 * 1024 * 1024,
            ws_ping_interval: Duration::from_secs(30),
            ws_idle_timeout: Duration::from_secs(75),
        }
    }

    /// The settings of the HTTP client to the service.
    pub(super) fn client(&self) -> HttpClientConfig {
        HttpClientConfig {
            peer: HttpPeer {
                name: format!("the service at {}", self.target),
                unreachable: FailureKind::ServiceUnreachable,
                silent: FailureKind::ServiceTimeout,
                broke_off: FailureKind::ServiceFailed,
            },
            connect_timeout: self.connect_timeout,
            head_timeout: self.head_timeout,
            body_idle_timeout: self.body_idle_timeout,
            pool_idle_max: self.pool_idle_max,
            pool_idle_timeout: self.pool_idle_timeout,
            keep_after_bodiless: true,
            header_bytes_max: self.header_bytes_max,
            ws: WsLimits {
                message_bytes_max: self.ws_message_bytes_max,
                ping_interval: self.ws_ping_interval,
                idle_timeout: self.ws_idle_timeout,
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), ServiceError> {
        let refuse = |field, message: &str| Err(ServiceError::Config { field, message: message.to_owned() });
        if self.connect_timeout.is_zero() {
            return refuse("connect_timeout", "set it above zero, for example 5 s");
        }
        if self.head_timeout.is_zero() {
            return refuse("head_timeout", "set it above zero, for example 60 s");
        }
        if self.header_bytes_max < 8 * 1024 {
            return refuse("header_bytes_max", "set it to at least 8192 bytes");
        }
        if self.ws_message_bytes_max == 0 {
            return refuse("ws_message_bytes_max", "set it above zero, for example 16 MiB");
        }
        if !self.ws_idle_timeout.is_zero() && self.ws_idle_timeout <= self.ws_ping_interval {
            return refuse("ws_idle_timeout", "set it above ws_ping_interval, or to zero to turn it off");
        }
        Ok(())
    }
}

/// Why a [`LocalService`](super::LocalService) cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Operator: a setting makes no sense.
    #[error("{field}: {message}")]
    Config {
        /// The field of [`ServiceConfig`].
        field: &'static str,
        /// What to do.
        message: String,
    },
    /// Operator: the address of the service is not one.
    #[error("`{text}` is not the address of a service: {message}")]
    Target {
        /// What was given.
        text: String,
        /// What to do.
        message: &'static str,
    },
}
