//! What can be set on a tunnel server.

use std::{fmt, io, net::SocketAddr, time::Duration};

use super::{Behaviour, Clock, Random, RandomError};

/// The settings of a [`TunnelServer`](super::TunnelServer).
#[derive(Clone)]
#[non_exhaustive]
pub struct TunnelServerConfig {
    /// Where to listen. Default: `127.0.0.1:8004`.
    pub listen: SocketAddr,
    /// Who knows it may register clients.
    pub tunnel_access_token: String,
    /// What `/health` shows as the build. Default: empty.
    pub hash: String,
    /// Which mistakes of the published server to repeat. Default: none.
    pub behaviour: Behaviour,
    /// What one peer may take of this server.
    pub limits: Limits,
    /// The time of day.
    pub clock: Clock,
    /// Where tokens and ids come from. Default: the operating system.
    pub random: Random,
}

impl TunnelServerConfig {
    /// The defaults, with what has none.
    pub fn new(tunnel_access_token: impl Into<String>, clock: Clock) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8004)),
            tunnel_access_token: tunnel_access_token.into(),
            hash: String::new(),
            behaviour: Behaviour::mended(),
            limits: Limits::default(),
            clock,
            random: Random::system(),
        }
    }

    /// Listens there.
    #[must_use]
    pub const fn with_listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// Behaves so.
    #[must_use]
    pub const fn with_behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// Keeps these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes tokens and ids from there.
    #[must_use]
    pub fn with_random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Whether a server can be made of it.
    pub fn check(&self) -> Result<(), ServerError> {
        if self.tunnel_access_token.is_empty() {
            return Err(ServerError::AccessTokenMissing);
        }
        if !self.tunnel_access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ServerError::AccessTokenUnusable);
        }
        let limits = &self.limits;
        let least = [
            ("limits.connections_max", limits.connections_max, 1),
            ("limits.requests_per_client_max", limits.requests_per_client_max, 1),
            ("limits.ws_per_client_max", limits.ws_per_client_max, 1),
            // What the HTTP library asks for.
            ("limits.header_bytes_max", limits.header_bytes_max, 8192),
            ("limits.response_bytes_max", limits.response_bytes_max, tunnel_core::packet::PACKET_BYTES_MAX),
            ("limits.queue_bytes_max", limits.queue_bytes_max, 1),
            ("limits.host_message_bytes_max", limits.host_message_bytes_max, tunnel_core::packet::PACKET_BYTES_MAX),
            ("limits.app_message_bytes_max", limits.app_message_bytes_max, 1),
        ];
        for (field, value, least) in least {
            if value < least {
                return Err(ServerError::TooSmall { field, value: value as u64, least: least as u64 });
            }
        }
        let durations = [
            ("limits.header_read_timeout", limits.header_read_timeout),
            ("limits.body_read_timeout", limits.body_read_timeout),
            ("limits.head_timeout", limits.head_timeout),
            ("limits.stall_timeout", limits.stall_timeout),
            ("limits.ping_interval", limits.ping_interval),
            ("limits.silence_timeout", limits.silence_timeout),
        ];
        match durations.into_iter().find(|(_, duration)| duration.is_zero()) {
            Some((field, _)) => Err(ServerError::NoTime { field }),
            None => Ok(()),
        }
    }
}

/// Without the access token.
impl fmt::Debug for TunnelServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelServerConfig")
            .field("listen", &self.listen)
            .field("hash", &self.hash)
            .field("behaviour", &self.behaviour)
            .field("limits", &self.limits)
            .field("random", &self.random)
            .finish_non_exhaustive()
    }
}

/// What one peer may take of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many connections at once; further ones wait in the backlog. Default: 4096.
    pub connections_max: usize,
    /// How many requests to one host at once; further ones get 503. Default: 256.
    pub requests_per_client_max: usize,
    /// How many WebSockets of apps for one host at once; further ones get 503. Default: 256.
    pub ws_per_client_max: usize,
    /// The largest request head, in bytes; a larger one gets 431. Default: 128 KiB, as the published server (60 kB pass,
    /// 140 kB do not).
    pub header_bytes_max: usize,
    /// How long an app may take for a request head. Default: 30 s.
    pub header_read_timeout: Duration,
    /// How long an app may take for a request body, at most 262,144 bytes. Default: 30 s.
    pub body_read_timeout: Duration,
    /// How long a host may take for the head of a response, or to fill a gap in one. Default: 75 s.
    pub head_timeout: Duration,
    /// How long a response may stand still while somebody waits for it; zero means for ever. Default: 1 h.
    pub idle_timeout: Duration,
    /// How much of one response is held for a reader who does not read, in bytes. Default: 4 MiB.
    pub response_bytes_max: usize,
    /// How long a host without flow control may be held up by such a reader. Default: 5 s.
    pub stall_timeout: Duration,
    /// How much may wait to be written to one WebSocket, in bytes. Default: 16 MiB.
    pub queue_bytes_max: usize,
    /// The longest WebSocket text of a host, in bytes. Default: 16 MiB.
    pub host_message_bytes_max: usize,
    /// The longest WebSocket message of an app, in bytes. Default: 256 KiB: hosts that take no more than 2 MiB must not
    /// lose their connection over it, however much longer its numbers get when they are written again.
    pub app_message_bytes_max: usize,
    /// How often WebSockets are pinged. Default: 5 s.
    pub ping_interval: Duration,
    /// A WebSocket from which nothing came for longer is dropped. Default: 10 s.
    pub silence_timeout: Duration,
    /// How long requests under way may still take at the end. Default: 10 s.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            requests_per_client_max: 256,
            ws_per_client_max: 256,
            header_bytes_max: 128 * 1024,
            header_read_timeout: Duration::from_secs(30),
            body_read_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(75),
            idle_timeout: Duration::from_hours(1),
            response_bytes_max: 4 * 1024 * 1024,
            stall_timeout: Duration::from_secs(5),
            queue_bytes_max: 16 * 1024 * 1024,
            host_message_bytes_max: 16 * 1024 * 1024,
            app_message_bytes_max: 256 * 1024,
            ping_interval: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Operator: nobody could register a client.
    #[error("`tunnel_access_token` is empty: set a long random word, which hosts give when they register")]
    AccessTokenMissing,
    /// Operator: the token must fit into an `authorization` header.
    #[error("`tunnel_access_token` has a space, a control character or one that is not ASCII: leave it out")]
    AccessTokenUnusable,
    /// Operator: a limit below what the server needs.
    #[error("`{field}` is {value}: set at least {least}")]
    TooSmall {
        /// The field.
        field: &'static str,
        /// What it is.
        value: u64,
        /// What it must be at least.
        least: u64,
    },
    /// Operator: nothing can be done in no time.
    #[error("`{field}` is zero: set how long it may take")]
    NoTime {
        /// The field.
        field: &'static str,
    },
    /// Local: the address is taken or not ours.
    #[error("cannot listen on {listen} (`listen`)")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Local: no ids.
    #[error(transparent)]
    Random(RandomError),
}
