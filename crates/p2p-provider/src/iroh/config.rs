//! The settings of an Iroh peer, with the measurements behind their defaults.

mod lookup;
mod relay;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use iroh::endpoint::{AckFrequencyConfig, QuicTransportConfig, VarInt};
use noq_proto::congestion::{Bbr3Config, CubicConfig};
use p2p_congestion::BbrConfig;
use rustls_pki_types::{CertificateDer, pem::PemObject};

pub(super) use self::relay::relay_url;
pub use self::{
    lookup::{Lookup, Publish, is_public},
    relay::{Relay, Relays},
};
use crate::{ConnectionLimits, P2PError, SecretKey};

/// The largest stream window, in bytes.
///
/// noq-proto 1.4 closes the whole connection when over 2,048 received pieces of one stream wait to be read; at 1,200
/// bytes a packet that is 2.3 MB. Measured: 2 MiB never fails, 3 MiB fails under loss.
const STREAM_RECEIVE_WINDOW_MAX: u32 = 2 << 20;

/// A packet is lost when so many later ones have arrived, or when it is late by a quarter of a round trip, as in RACK (RFC 8985),
/// whose threshold is time. RFC 9002's three packets and an eighth take packets for lost that are only late: with 5 ms of
/// jitter at 50 Mbit/s a third of them, which leaves a third of the rate.
const PACKET_THRESHOLD: u32 = 128;
const TIME_THRESHOLD: f32 = 1.25;

/// How long the peer may keep an acknowledgement back. RFC 9000's 25 ms are part of every probe timeout: a lost packet with
/// none behind it, such as a small request, waits that long in addition.
const ACK_DELAY_MAX: Duration = Duration::from_millis(2);

/// The settings of an [`IrohP2P`](super::IrohP2P).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IrohConfig {
    /// The peer's identity.
    pub secret_key: SecretKey,
    /// UDP addresses to listen on: at most one IPv4 and one IPv6 address. A wildcard IPv6 address may fail, for
    /// machines without IPv6. Default: all interfaces, any port.
    pub bind: Vec<SocketAddr>,
    /// The relays through which the peer can be reached when a direct path is impossible. Default none.
    pub relays: Relays,
    /// Certificate authorities that relays and lookup servers may have their certificates from, besides the public
    /// ones. Default none. Peers are known by their keys, for which no certificate counts.
    pub root_certificates: Vec<CertificateDer<'static>>,
    /// How the addresses of peers are found. Default by no way but the address that is dialled.
    pub lookups: Vec<Lookup>,
    /// Whether others find this peer by the same ways. Default yes, if there are any.
    pub announce: bool,
    /// What is told of where this peer is. Default all.
    pub publish: Publish,
    /// Addresses at which it can be reached and that it cannot learn by itself: a forwarded port. At most 8.
    pub external_addresses: Vec<SocketAddr>,
    /// Whether to ask the router to forward a port (UPnP, PCP, NAT-PMP). Default yes.
    pub port_mapping: bool,
    /// How the sender finds the rate of a path. Default [`CongestionControl::Bbr`].
    pub congestion_control: CongestionControl,
    /// A connection whose peer was silent for this long is closed. Default 5 s; both sides' minimum counts.
    pub idle_timeout: Duration,
    /// How often an idle connection is kept alive. Default 1 s, so that four losses in a row are survived.
    pub keep_alive_interval: Duration,
    /// A path (of several) that was silent for this long is given up. Default 3 s: the stall when a direct path dies
    /// and the relay takes over.
    pub path_idle_timeout: Duration,
    /// How long nothing may work, with signs that something should, until the endpoint is made anew. Default 60 s; the
    /// next time comes after twice as long, up to 15 minutes. See [`IrohP2P::care`](super::IrohP2P::care).
    pub stuck_after: Duration,
    /// Bytes that one stream may have unread. Default 1.25 MB (100 Mbit/s at 100 ms), at most 2 MiB.
    pub stream_receive_window: u32,
    /// What a peer may have open and unread until [`set_limits`](crate::P2PConnection::set_limits) says otherwise.
    /// Small by default, because at that time nobody has said who the peer is.
    pub initial_limits: ConnectionLimits,
}

/// How the sender finds the rate of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CongestionControl {
    /// The product's own, of the BBR family ([`p2p_congestion`]): models the path, ignores random loss, keeps queues short.
    #[default]
    Bbr,
    /// Loss-based (RFC 9438). Collapses at random loss: a thirtieth of the link at 80 ms and 1 %.
    Cubic,
    /// noq's BBR v3. Slow to speed up after small exchanges, and overfills queues at the start.
    Bbr3,
}

impl IrohConfig {
    /// The defaults, for one identity.
    #[must_use]
    pub const fn new(secret_key: SecretKey) -> Self {
        Self {
            secret_key,
            bind: Vec::new(),
            relays: Relays::None,
            root_certificates: Vec::new(),
            lookups: Vec::new(),
            announce: true,
            publish: Publish::All,
            external_addresses: Vec::new(),
            port_mapping: true,
            congestion_control: CongestionControl::Bbr,
            idle_timeout: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(1),
            path_idle_timeout: Duration::from_secs(3),
            stuck_after: Duration::from_mins(1),
            stream_receive_window: 1_250_000,
            initial_limits: ConnectionLimits { bidi_streams: 64, uni_streams: 8, receive_window: 256 << 10 },
        }
    }

    /// A peer that nobody outside this machine can reach: any port of 127.0.0.1, no relay, no port mapping.
    #[must_use]
    pub fn loopback(secret_key: SecretKey) -> Self {
        Self { bind: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], port_mapping: false, ..Self::new(secret_key) }
    }

    /// Listens on this UDP port of all interfaces. 0 is any port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.bind = wildcards(port);
        self
    }

    /// Sets [`relays`](Self::relays).
    #[must_use]
    pub fn relays(mut self, relays: Relays) -> Self {
        self.relays = relays;
        self
    }

    /// Adds the certificates of a PEM text to [`root_certificates`](Self::root_certificates).
    pub fn add_root_certificates(&mut self, pem: &[u8]) -> Result<(), P2PError> {
        let wrong = |message: String| P2PError::Config { field: "root_certificates", message };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|error| wrong(format!("not readable as PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(wrong("no certificate (-----BEGIN CERTIFICATE-----) is in it".to_owned()));
        }
        self.root_certificates.extend(certificates);
        Ok(())
    }

    /// Sets [`congestion_control`](Self::congestion_control).
    #[must_use]
    pub const fn congestion_control(mut self, congestion_control: CongestionControl) -> Self {
        self.congestion_control = congestion_control;
        self
    }

    /// Whether any port will do.
    pub(super) fn has_any_port(&self) -> bool {
        self.bind.iter().all(|address| address.port() == 0)
    }

    /// The addresses to bind, and whether failing to bind each is an error. Where any port will do, it is the one that
    /// was `bound` before, so that the peer is still where others believe it is.
    pub(super) fn bind_addresses(&self, bound: &[SocketAddr]) -> Vec<(SocketAddr, bool)> {
        let optional = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let mut addresses = if self.bind.is_empty() { wildcards(0) } else { self.bind.clone() };
        for address in addresses.iter_mut().filter(|address| address.port() == 0) {
            let before = bound.iter().find(|bound| bound.is_ipv4() == address.is_ipv4());
            address.set_port(before.map_or(0, SocketAddr::port));
        }
        addresses.into_iter().map(|address| (address, address.ip() != optional)).collect()
    }

    pub(super) fn transport(&self) -> Result<QuicTransportConfig, P2PError> {
        let invalid = |field, message: &str| P2PError::Config { field, message: message.to_owned() };
        if self.stream_receive_window > STREAM_RECEIVE_WINDOW_MAX {
            return Err(invalid("stream_receive_window", "at most 2097152 bytes; larger windows break connections"));
        }
        if self.keep_alive_interval >= self.idle_timeout {
            return Err(invalid("keep_alive_interval", "must be shorter than idle_timeout"));
        }
        let idle_timeout = self.idle_timeout.try_into().map_err(|_| invalid("idle_timeout", "is too long"))?;
        let receive_window = VarInt::from_u64(self.initial_limits.receive_window)
            .map_err(|_| invalid("initial_limits.receive_window", "is too large"))?;
        let builder = QuicTransportConfig::builder()
            .max_idle_timeout(Some(idle_timeout))
            .keep_alive_interval(self.keep_alive_interval)
            .default_path_keep_alive_interval(self.keep_alive_interval)
            .default_path_max_idle_timeout(self.path_idle_timeout)
            .max_concurrent_bidi_streams(self.initial_limits.bidi_streams.into())
            .max_concurrent_uni_streams(self.initial_limits.uni_streams.into())
            .stream_receive_window(self.stream_receive_window.into())
            .receive_window(receive_window)
            .packet_threshold(PACKET_THRESHOLD)
            .time_threshold(TIME_THRESHOLD)
            .ack_frequency_config(Some(acknowledgements()));
        Ok(match self.congestion_control {
            CongestionControl::Bbr => builder.congestion_controller_factory(Arc::new(BbrConfig::default())),
            CongestionControl::Bbr3 => builder.congestion_controller_factory(Arc::new(Bbr3Config::default())),
            CongestionControl::Cubic => builder.congestion_controller_factory(Arc::new(CubicConfig::default())),
        }
        .build())
    }
}

/// What the peer is asked for: as without the extension, but for the delay.
fn acknowledgements() -> AckFrequencyConfig {
    let mut config = AckFrequencyConfig::default();
    config.max_ack_delay(Some(ACK_DELAY_MAX)).reordering_threshold(1_u32.into());
    config
}

fn wildcards(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_break_connections_are_refused() {
        let mut config = IrohConfig::new(SecretKey::from_bytes([1; 32]));
        assert!(config.transport().is_ok());
        config.stream_receive_window = STREAM_RECEIVE_WINDOW_MAX + 1;
        assert!(matches!(config.transport(), Err(P2PError::Config { field: "stream_receive_window", .. })));
    }

    #[test]
    fn a_keep_alive_that_never_fires_is_refused() {
        let mut config = IrohConfig::new(SecretKey::from_bytes([1; 32]));
        config.keep_alive_interval = config.idle_timeout;
        assert!(matches!(config.transport(), Err(P2PError::Config { field: "keep_alive_interval", .. })));
    }

    #[test]
    fn only_the_ipv6_wildcard_may_fail_to_bind() {
        let config = IrohConfig::new(SecretKey::from_bytes([1; 32])).port(17);
        assert_eq!(config.bind_addresses(&[]).iter().map(|(_, required)| *required).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_port_of_no_choice_is_kept() {
        let ports = |config: &IrohConfig, bound: &[&str]| {
            let bound: Vec<SocketAddr> = bound.iter().map(|text| text.parse().unwrap()).collect();
            config.bind_addresses(&bound).iter().map(|(address, _)| address.port()).collect::<Vec<_>>()
        };
        let config = IrohConfig::new(SecretKey::from_bytes([1; 32]));
        assert_eq!(ports(&config, &[]), [0, 0]);
        assert_eq!(ports(&config, &["0.0.0.0:4", "[::]:6"]), [4, 6]);
        assert_eq!(ports(&config, &["[::]:6"]), [0, 6]);
        assert_eq!(ports(&config.port(17), &["0.0.0.0:4", "[::]:6"]), [17, 17]);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let mut config = IrohConfig::new(SecretKey::from_bytes([1; 32]));
        for pem in [&b""[..], b"hello", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            let error = config.add_root_certificates(pem);
            assert!(matches!(error, Err(P2PError::Config { field: "root_certificates", .. })), "{error:?}");
        }
    }
}
