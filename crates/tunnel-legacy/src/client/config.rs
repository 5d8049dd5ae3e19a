//! What can be set on the client side.

use std::{fmt, time::Duration};

use tunnel_core::convert::LossPolicy;
use tunnel_http::WsLimits;

use crate::{LegacyError, TunnelUrl, connect::Timeouts};

/// The settings of a [`LegacyClient`](super::LegacyClient); start from [`LegacyConfig::new`].
#[derive(Clone)]
#[non_exhaustive]
pub struct LegacyConfig {
    /// Where the tunnel server is.
    pub url: TunnelUrl,
    /// The home server to ask when a request names none in its query.
    pub client_id: Option<String>,
    /// The client access token, the bare word: it is sent as `Bearer TOKEN`, instead of what the app sends.
    pub token: Option<String>,
    /// The signature token, for the routes that want one in the query and for WebSockets, instead of what the app sends.
    pub signature: Option<String>,
    /// What requests may lose on this way without anybody being told. Default: headers.
    pub losses: LossPolicy,
    /// How long a connection attempt may take, TLS included. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long the head of a response may take. Default: 75 s, longer than a host waits for its service. There is always
    /// a limit: the published tunnel server never answers when the host has gone.
    pub head_timeout: Duration,
    /// How long a body may stand still while somebody waits for it. Default: 5 min. There is always a limit, for the same
    /// reason.
    pub body_idle_timeout: Duration,
    /// Requests in flight at once, their responses included; further ones wait. Default: 1,024.
    pub max_requests: usize,
    /// WebSockets open at once; further ones wait. Default: 256.
    pub max_websockets: usize,
    /// How long a request or a WebSocket waits for a place before it is refused, undelivered. Default: 10 s.
    pub queue_timeout: Duration,
    /// The largest WebSocket message from the tunnel server, in bytes. Default: 16 MiB.
    pub ws_message_bytes_max: usize,
    /// The tunnel server is pinged after so much silence on a WebSocket; zero means never. Default: 5 s.
    pub ws_ping_interval: Duration,
    /// A WebSocket fails after so much silence; zero means never. Default: 15 s.
    pub ws_idle_timeout: Duration,
}

impl LegacyConfig {
    /// The defaults, for this tunnel server.
    #[must_use]
    pub fn new(url: TunnelUrl) -> Self {
        Self {
            url,
            client_id: None,
            token: None,
            signature: None,
            losses: LossPolicy::default(),
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_mins(5),
            max_requests: 1024,
            max_websockets: 256,
            queue_timeout: Duration::from_secs(10),
            ws_message_bytes_max: 16 * 1024 * 1024,
            ws_ping_interval: Duration::from_secs(5),
            ws_idle_timeout: Duration::from_secs(15),
        }
    }

    pub(super) fn check(&self) -> Result<(), LegacyError> {
        let refuse = |field, message| Err(LegacyError::config(field, message));
        if let Some(client_id) = &self.client_id {
            crate::credentials::check_client_id(client_id)?;
        }
        if let Some(token) = &self.token {
            crate::credentials::check_token("token", token)?;
        }
        if let Some(signature) = &self.signature {
            crate::credentials::check_token("signature", signature)?;
        }
        if self.connect_timeout.is_zero() {
            return refuse("connect_timeout", "set it above zero, for example 5 s");
        }
        if self.head_timeout.is_zero() {
            return refuse("head_timeout", "set it above zero, for example 75 s: some answers never come");
        }
        if self.body_idle_timeout.is_zero() {
            return refuse("body_idle_timeout", "set it above zero, for example 5 min: some bodies never end");
        }
        if self.max_requests == 0 {
            return refuse("max_requests", "set it above zero, for example 1024");
        }
        if self.max_websockets == 0 {
            return refuse("max_websockets", "set it above zero, for example 256");
        }
        if self.ws_message_bytes_max == 0 {
            return refuse("ws_message_bytes_max", "set it above zero, for example 16 MiB");
        }
        if !self.ws_idle_timeout.is_zero() && self.ws_idle_timeout <= self.ws_ping_interval {
            return refuse("ws_idle_timeout", "set it above ws_ping_interval, or to zero to turn it off");
        }
        Ok(())
    }

    pub(super) const fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, head: self.head_timeout, body_idle: self.body_idle_timeout }
    }

    pub(super) const fn ws_limits(&self) -> WsLimits {
        WsLimits {
            message_bytes_max: self.ws_message_bytes_max,
            ping_interval: self.ws_ping_interval,
            idle_timeout: self.ws_idle_timeout,
        }
    }
}

/// Without the tokens.
impl fmt::Debug for LegacyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyConfig")
            .field("url", &self.url)
            .field("client_id", &self.client_id)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .field("signature", &self.signature.as_ref().map(|_| ".."))
            .field("losses", &self.losses)
            .finish_non_exhaustive()
    }
}
