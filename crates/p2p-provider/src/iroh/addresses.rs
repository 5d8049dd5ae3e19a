//! Where peers are: ours and Iroh's way to say it.

use iroh::{EndpointAddr, EndpointId, TransportAddr};

use super::config::{IrohConfig, Relays, relay_url};
use crate::{P2PError, PeerAddr, PeerId};

/// What this peer tells of where it is.
pub(super) fn local(address: &EndpointAddr, config: &IrohConfig) -> PeerAddr {
    let direct = address.ip_addrs().copied().filter(|address| config.publish.allows(address)).collect();
    let mut relays: Vec<String> = address.relay_urls().map(ToString::to_string).collect();
    if let Relays::Custom(others) = &config.relays {
        // Its home may move to any of them, and then it is found there.
        for url in others.iter().filter_map(|relay| relay_url(&relay.url).ok()).map(|url| url.to_string()) {
            if !relays.contains(&url) {
                relays.push(url);
            }
        }
    }
    PeerAddr { id: PeerId(*address.id.as_bytes()), direct, relays }
}

/// What to dial.
pub(super) fn remote(peer: &PeerAddr) -> Result<EndpointAddr, P2PError> {
    let id = EndpointId::from_bytes(&peer.id.0).map_err(|_| P2PError::Config {
        field: "peer id",
        message: format!("{} is not an Ed25519 public key; get a fresh ticket", peer.id),
    })?;
    let mut addresses: Vec<TransportAddr> = peer.direct.iter().copied().map(TransportAddr::Ip).collect();
    for url in &peer.relays {
        addresses.push(TransportAddr::Relay(relay_url(url)?));
    }
    Ok(EndpointAddr::from_parts(id, addresses))
}
