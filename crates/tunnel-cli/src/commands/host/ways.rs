//! The ways by which a host is reached.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use p2p_provider::{
    P2PProvider, PeerAddr,
    iroh::{IrohConfig, IrohP2P},
};
use serde_json::{Value, json};
use tunnel_core::Handler;
use tunnel_edge::LocalService;
use tunnel_p2p::{
    ClientInfo, Host, HostConfig, Ticket,
    pairing::{AuthorizedPeers, PairingHandler},
};

use crate::{
    admin,
    error::CliError,
    p2p, peer_news,
    tunnel::{TunnelHost, TunnelHostSettings},
};

/// One way, or both at once; they share the service.
pub(super) struct Ways {
    p2p: Option<P2p>,
    tunnel: Option<TunnelHost>,
}

struct P2p {
    provider: IrohP2P,
    /// Absent once it drains.
    host: Mutex<Option<Host<IrohP2P>>>,
    /// Who may use it.
    peers: Option<Arc<AuthorizedPeers>>,
}

impl Ways {
    /// Opens the sockets of the peer-to-peer way. Dropping the future opens nothing.
    pub(super) async fn start(
        p2p: Option<(IrohConfig, HostConfig)>,
        tunnel: Option<TunnelHostSettings>,
        pairing: bool,
        service: Arc<LocalService>,
    ) -> Result<Self, CliError> {
        let Some((peer, config)) = p2p else {
            return Ok(Self { p2p: None, tunnel: tunnel.map(|tunnel| TunnelHost::new(tunnel, service)).transpose()? });
        };
        let provider = p2p::bind(peer).await?;
        let (peers, client_id) = (config.peers.clone(), config.client_id.clone());
        let host = Host::start(provider.clone(), service.clone(), config)
            .await
            .map_err(|error| CliError::start("the host did not start").because(error))?;
        let handler: Arc<dyn Handler> = match &peers {
            Some(peers) if pairing => {
                let provider = provider.clone();
                let mut handler = PairingHandler::new(service, Arc::clone(peers), move || Some(provider.local_addr()));
                if let Some(client_id) = client_id {
                    handler = handler.client_id(client_id);
                }
                Arc::new(handler)
            }
            _ => service,
        };
        let tunnel = tunnel.map(|tunnel| TunnelHost::new(tunnel, handler)).transpose()?;
        Ok(Self { p2p: Some(P2p { provider, host: Mutex::new(Some(host)), peers }), tunnel })
    }

    /// How many peers may come in by their key, or have come in by ticket.
    pub(super) fn known_peers(&self) -> usize {
        let peers = self.p2p.as_ref().and_then(|p2p| p2p.peers.as_ref());
        peers.map_or(0, |peers| peers.list().iter().filter(|entry| !entry.revoked).count())
    }

    pub(super) fn ticket(&self) -> Option<Ticket> {
        self.p2p.as_ref()?.host.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Host::ticket)
    }

    /// The peer, if there is one.
    pub(super) fn peer(&self) -> Option<&IrohP2P> {
        self.p2p.as_ref().map(|p2p| &p2p.provider)
    }

    pub(super) fn local_addr(&self) -> Option<PeerAddr> {
        self.p2p.as_ref().map(|p2p| p2p.provider.local_addr())
    }

    pub(super) const fn tunnel(&self) -> Option<&TunnelHost> {
        self.tunnel.as_ref()
    }

    /// Takes no new requests on either way, lets those under way end within `grace`, then closes the connections. Whether
    /// all of them ended. Dropping the future cuts everything.
    pub(super) async fn drain(&self, grace: Duration) -> bool {
        let p2p = async {
            let Some(p2p) = &self.p2p else { return true };
            let host = p2p.host.lock().unwrap_or_else(PoisonError::into_inner).take();
            let finished = match host {
                Some(host) => host.drain(grace).await,
                None => true,
            };
            p2p.provider.close().await;
            finished
        };
        let tunnel = async {
            match &self.tunnel {
                Some(tunnel) => tunnel.drain(grace).await,
                None => true,
            }
        };
        let (p2p, tunnel) = tokio::join!(p2p, tunnel);
        p2p && tunnel
    }
}

/// Addresses at which the peer can be reached and of which it tells nobody but its peers.
pub(super) fn unpublished(peer: &IrohP2P) -> Vec<SocketAddr> {
    let published = peer.local_addr().direct;
    peer.addresses().into_iter().filter(|address| !published.contains(address)).collect()
}

impl admin::Ways for Ways {
    fn p2p(&self) -> Option<Value> {
        let p2p = self.p2p.as_ref()?;
        let address = p2p.provider.local_addr();
        let host = p2p.host.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = host.as_ref().map(Host::clients).unwrap_or_default();
        let describe = |client: &ClientInfo| {
            let entry = p2p.peers.as_ref().and_then(|peers| peers.find(client.peer));
            json!({
                "peer": client.peer.to_string(),
                "path": client.path.kind.name(),
                "remote": client.path.remote,
                "rtt_us": client.path.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
                "path_for_ms": u64::try_from(client.path.age.as_millis()).unwrap_or(u64::MAX),
                "name": entry.as_ref().map(|entry| &entry.name).filter(|name| !name.is_empty()),
                "how": entry.as_ref().map(|entry| entry.how.name()),
            })
        };
        Some(json!({
            "peer_id": address.id.to_string(),
            "addresses": address.direct,
            "relays": address.relays,
            "unpublished": unpublished(&p2p.provider),
            "network": peer_news::describe(&p2p.provider),
            "clients": clients.iter().map(describe).collect::<Vec<_>>(),
            "known_peers": self.known_peers(),
        }))
    }

    fn tunnel(&self) -> Option<Value> {
        self.tunnel.as_ref().map(TunnelHost::describe)
    }
}
