//! What can be set on the host side.

use std::{fmt, time::Duration};

use tunnel_http::WsLimits;

use crate::{LegacyError, TunnelUrl, connect::Timeouts, credentials};

/// The settings of a [`LegacyHost`](super::LegacyHost); start from [`LegacyHostConfig::new`].
#[derive(Clone)]
#[non_exhaustive]
pub struct LegacyHostConfig {
    /// Where the tunnel server is.
    pub url: TunnelUrl,
    /// The name of this home server there.
    pub client_id: String,
    /// The client access token, from [`AuthClient::register`](crate::AuthClient::register): the bare word.
    pub access_token: String,
    /// A signature token to begin with. Default: none, one is fetched.
    pub signature_token: Option<String>,
    /// A signature token older than this is not used to connect again. Default: 13 days; it lasts 14.
    pub signature_age_max: Duration,
    /// How long a connection attempt may take, TLS included. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long the tunnel server may take to answer when asked for a token or a WebSocket. Default: 30 s.
    pub answer_timeout: Duration,
    /// The pause after a failed attempt to connect: doubles from `retry_min` to `retry_max`, with jitter. The first
    /// attempt after a connection was lost comes at once. Default: 250 ms to 30 s.
    pub retry_min: Duration,
    /// See [`retry_min`](Self::retry_min).
    pub retry_max: Duration,
    /// The tunnel server is pinged after so much silence. Default: 5 s.
    pub ping_interval: Duration,
    /// The connection is given up after so much silence. Default: 15 s.
    pub idle_timeout: Duration,
    /// Requests in flight at once; further ones get 503. Default: 1,024.
    pub max_requests: usize,
    /// The memory that the texts of requests in flight may take, in bytes; beyond it requests get 503. Default: 64 MiB.
    pub request_bytes_max: usize,
    /// WebSocket clients at once; beyond it the one that has been silent for longest is dropped. Default: 256.
    pub max_websockets: usize,
    /// A WebSocket client without a message in either direction for so long is dropped: the published tunnel server does
    /// not say when one leaves. Default: 20 min, longer than the 9 min after which the web client speaks.
    pub websocket_idle_timeout: Duration,
    /// The largest message from the tunnel server, in bytes. Default: 2 MiB, a request with 256 KiB of body in which every
    /// character is escaped.
    pub message_bytes_max: usize,
    /// Whether to offer the additions of `spec/legacy.md` to the tunnel server. Default: yes.
    pub extensions: bool,
    /// Seed of the jitter, for reproducible runs. Default: from the operating system.
    pub seed: Option<u64>,
}

impl LegacyHostConfig {
    /// The defaults, for this home server.
    #[must_use]
    pub fn new(url: TunnelUrl, client_id: impl Into<String>, access_token: impl Into<String>) -> Self {
        Self {
            url,
            client_id: client_id.into(),
            access_token: access_token.into(),
            signature_token: None,
            signature_age_max: Duration::from_hours(13 * 24),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            retry_min: Duration::from_millis(250),
            retry_max: Duration::from_secs(30),
            ping_interval: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            max_requests: 1024,
            request_bytes_max: 64 * 1024 * 1024,
            max_websockets: 256,
            websocket_idle_timeout: Duration::from_mins(20),
            message_bytes_max: 2 * 1024 * 1024,
            extensions: true,
            seed: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), LegacyError> {
        credentials::check_client_id(&self.client_id)?;
        credentials::check_token("access_token", &self.access_token)?;
        if let Some(token) = &self.signature_token {
            credentials::check_token("signature_token", token)?;
        }
        let refuse = |field, message| Err(LegacyError::config(field, message));
        if self.connect_timeout.is_zero() {
            return refuse("connect_timeout", "set it above zero, for example 5 s");
        }
        if self.answer_timeout.is_zero() {
            return refuse("answer_timeout", "set it above zero, for example 30 s");
        }
        if self.retry_min.is_zero() || self.retry_max < self.retry_min {
            return refuse("retry_min", "set it above zero and not above retry_max, for example 250 ms");
        }
        if self.ping_interval.is_zero() {
            return refuse("ping_interval", "set it above zero, for example 5 s");
        }
        if self.idle_timeout <= self.ping_interval {
            return refuse("idle_timeout", "set it above ping_interval, for example 15 s");
        }
        if self.max_requests == 0 {
            return refuse("max_requests", "set it above zero, for example 1024");
        }
        if self.max_websockets == 0 {
            return refuse("max_websockets", "set it above zero, for example 256");
        }
        if self.websocket_idle_timeout.is_zero() {
            return refuse("websocket_idle_timeout", "set it above zero, for example 20 min");
        }
        if self.message_bytes_max < 65_536 {
            return refuse("message_bytes_max", "set it to at least 65536 bytes");
        }
        if self.request_bytes_max < self.message_bytes_max {
            return refuse("request_bytes_max", "set it to at least message_bytes_max");
        }
        Ok(())
    }

    pub(super) const fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, head: self.answer_timeout, body_idle: self.answer_timeout }
    }

    pub(super) const fn ws_limits(&self) -> WsLimits {
        WsLimits {
            message_bytes_max: self.message_bytes_max,
            ping_interval: self.ping_interval,
            idle_timeout: self.idle_timeout,
        }
    }
}

/// Without the tokens.
impl fmt::Debug for LegacyHostConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyHostConfig")
            .field("url", &self.url)
            .field("client_id", &self.client_id)
            .field("extensions", &self.extensions)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
