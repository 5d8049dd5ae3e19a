//! A model of links in virtual time, with real QUIC connections on them.

pub(crate) mod link;
pub(crate) mod world;

use noq_proto::TransportConfig;

/// What the product sets besides the controller.
pub(crate) fn tune(transport: &mut TransportConfig) {
    transport.packet_threshold(128).time_threshold(1.25);
}
