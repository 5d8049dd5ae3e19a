//! The settings of clients and hosts, and the limits behind them.

use std::{sync::Arc, time::Duration};

use p2p_provider::ConnectionLimits;

use crate::{TicketSecret, pairing::AuthorizedPeers};

/// How often each side asks the other for a sign of life on the control stream.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A connection whose control stream stands still for this long is given up, even if the transport below believes in
/// it: two pings.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams of bodies that may be on the bulk connection at once; further bodies stay on the main connection. With a
/// stream window of 1.25 MB that is [`RECEIVE_WINDOW`], so stalled readers of all of them do not block the connection.
const BULK_STREAMS_MAX: u32 = 192;

/// Half of them may be the second or a further stream of a body: the first bodies of many cannot keep the others from
/// the bulk connection.
pub(crate) const SPREAD_STREAMS_MAX: usize = BULK_STREAMS_MAX as usize / 2;

/// Bytes that a peer may have sent and we have not read, per connection: the hard limit of memory that a peer can
/// occupy. 1,024 stalled bodies of less than 256 KiB each, or 192 bulk streams of 1.25 MB each.
const RECEIVE_WINDOW: u64 = 256 << 20;

/// Streams beyond requests and WebSockets: the control stream, and streams whose end is still on its way.
const SPARE_STREAMS: u32 = 32;

/// The settings of a [`Client`](crate::Client).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Sent to the host for its log and, if set, checked by a host that has one itself.
    pub client_id: Option<String>,
    /// A connection attempt takes at most this long. Default 5 s.
    pub connect_timeout: Duration,
    /// The longest wait for the head of a response, from the moment the request is sent. Default 75 s: longer than a
    /// host waits for its service, so that the host's more exact answer arrives.
    pub head_timeout: Duration,
    /// The longest wait for the next byte of a body while somebody reads it. Default 1 h: event streams may be silent
    /// for long, and dead hosts are noticed by other means within seconds.
    pub body_idle_timeout: Duration,
    /// Requests in flight at once; further ones wait. Default 1,024. The host's own limit counts, too.
    pub max_requests: u32,
    /// WebSockets open at once. Default 256.
    pub max_websockets: u32,
    /// How long a request waits for a free place before it fails as overloaded. Default 10 s.
    pub queue_timeout: Duration,
    /// The largest WebSocket message, in bytes. Default 16 MiB.
    pub ws_message_bytes_max: u32,
    /// The pause after a failed attempt to connect: doubles from `retry_min` to `retry_max`, with jitter. Default
    /// 0.25 s to 5 s. A request during a long pause starts an attempt at once.
    pub retry_min: Duration,
    /// See [`retry_min`](Self::retry_min).
    pub retry_max: Duration,
    /// Seed of the jitter and of session ids, for reproducible runs. Default: from the operating system.
    pub seed: Option<u64>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            client_id: None,
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_hours(1),
            max_requests: 1024,
            max_websockets: 256,
            queue_timeout: Duration::from_secs(10),
            ws_message_bytes_max: 16 << 20,
            retry_min: Duration::from_millis(250),
            retry_max: Duration::from_secs(5),
            seed: None,
        }
    }
}

/// The settings of a [`Host`](crate::Host).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostConfig {
    /// What clients must present, unless their key is known.
    pub secret: TicketSecret,
    /// The clients whose keys are known: let in by their key, turned away, or remembered. Default: none, so that everybody
    /// needs the secret and nobody can be turned away.
    pub peers: Option<Arc<AuthorizedPeers>>,
    /// The client id that this host serves, announced to clients.
    pub client_id: Option<String>,
    /// Connections at once, authorized or not. Default 256. Each client has two.
    pub max_connections: usize,
    /// Requests in flight per client. Default 1,024. Further ones wait at the client.
    pub max_requests: u32,
    /// WebSockets open per client. Default 256.
    pub max_websockets: u32,
    /// How long a new connection may take to say who it is. Default 5 s.
    pub hello_timeout: Duration,
    /// How long a stream may take to send the head of its request. Default 10 s.
    pub request_head_timeout: Duration,
    /// The longest wait for the next byte of a request body while the service reads it. Default 1 h.
    pub body_idle_timeout: Duration,
    /// The largest WebSocket message, in bytes. Default 16 MiB.
    pub ws_message_bytes_max: u32,
}

impl HostConfig {
    /// The defaults, for clients that know this secret.
    #[must_use]
    pub const fn new(secret: TicketSecret) -> Self {
        Self {
            secret,
            peers: None,
            client_id: None,
            max_connections: 256,
            max_requests: 1024,
            max_websockets: 256,
            hello_timeout: Duration::from_secs(5),
            request_head_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_hours(1),
            ws_message_bytes_max: 16 << 20,
        }
    }
}

/// What an authorized client may have open on its main connection.
pub(crate) const fn main_limits(config: &HostConfig) -> ConnectionLimits {
    ConnectionLimits {
        bidi_streams: config.max_requests.saturating_add(config.max_websockets).saturating_add(SPARE_STREAMS),
        uni_streams: 0,
        receive_window: RECEIVE_WINDOW,
    }
}

/// What the other side may have open on a bulk connection.
pub(crate) const fn bulk_limits() -> ConnectionLimits {
    ConnectionLimits { bidi_streams: 1, uni_streams: BULK_STREAMS_MAX, receive_window: RECEIVE_WINDOW }
}

/// What a host may have open on the main connection of its client: it opens no streams there.
pub(crate) const fn client_main_limits() -> ConnectionLimits {
    ConnectionLimits { bidi_streams: 0, uni_streams: 0, receive_window: RECEIVE_WINDOW }
}

/// Name and version, for the other side's log.
pub(crate) const SOFTWARE: &str = concat!("tunnel-p2p/", env!("CARGO_PKG_VERSION"));
