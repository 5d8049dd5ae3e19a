//! The ways to the host.

use std::sync::Arc;

use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use tunnel_core::Transport;
use tunnel_edge::AuthServer;
use tunnel_legacy::LegacyConfig;
use tunnel_p2p::{Client, ClientConfig, ParseTicketError, Ticket};

use crate::{
    config::{GatewayOptions, set},
    error::CliError,
    p2p,
    secret::secret,
    tunnel::{self, TunnelClient},
};

/// How to reach the host: by one way or by two.
pub(super) struct TransportSettings {
    p2p: Option<P2pSettings>,
    tunnel: Option<LegacyConfig>,
}

struct P2pSettings {
    ticket: Ticket,
    peer: IrohConfig,
    client: ClientConfig,
}

impl TransportSettings {
    pub(super) fn new(options: &GatewayOptions) -> Result<Self, CliError> {
        let ticket = secret("ticket", options.ticket.as_ref(), options.ticket_file.as_deref())?;
        let p2p = ticket.map(|ticket| p2p_settings(&ticket, options)).transpose()?;
        let tunnel = tunnel::client_config(options)?;
        if p2p.is_none() && tunnel.is_none() {
            return Err(CliError::usage("no ticket is given").next(
                "run `tunnel-p2p host` beside the service and give its ticket: --ticket TICKET or --ticket-file FILE; \
                 or go through a tunnel server alone: --tunnel URL",
            ));
        }
        Ok(Self { p2p, tunnel })
    }
}

fn p2p_settings(ticket: &str, options: &GatewayOptions) -> Result<P2pSettings, CliError> {
    let ticket =
        ticket.parse().map_err(|error: ParseTicketError| CliError::usage("the ticket is not valid").because(error))?;
    // The host admits by ticket, so a gateway needs no lasting identity.
    let congestion = options.congestion.unwrap_or_default().into();
    let peer = p2p::config(SecretKey::generate(), options.bind, 0, &options.relay, congestion)?;
    let mut client = ClientConfig::default();
    client.client_id.clone_from(&options.client_id);
    set(options.connect_timeout, &mut client.connect_timeout);
    set(options.head_timeout, &mut client.head_timeout);
    set(options.body_idle_timeout, &mut client.body_idle_timeout);
    Ok(P2pSettings { ticket, peer, client })
}

/// The ways, open.
pub(super) struct Transports {
    p2p: Option<(IrohP2P, Client<IrohP2P>)>,
    legacy: Option<TunnelClient>,
}

impl Transports {
    /// Opens the sockets. Dropping the future opens nothing.
    pub(super) async fn start(settings: TransportSettings) -> Result<Self, CliError> {
        let p2p = match settings.p2p {
            Some(P2pSettings { ticket, peer, client }) => {
                let provider = p2p::bind(peer).await?;
                let client = Client::start(provider.clone(), ticket, client);
                Some((provider, client))
            }
            None => None,
        };
        let legacy = settings.tunnel.map(TunnelClient::new).transpose()?;
        Ok(Self { p2p, legacy })
    }

    pub(super) fn p2p(&self) -> Option<Arc<dyn Transport>> {
        self.p2p.as_ref().map(|(_, client)| Arc::new(client.clone()) as _)
    }

    pub(super) fn legacy(&self) -> Option<Arc<dyn Transport>> {
        self.legacy.as_ref().map(|client| Arc::new(client.clone()) as _)
    }

    /// What answers questions about tokens.
    pub(super) fn auth(&self) -> Option<Arc<dyn AuthServer>> {
        self.legacy.as_ref().map(|client| Arc::new(client.clone()) as _)
    }

    /// Keeps what expires fresh. Never ends.
    pub(super) async fn keep_fresh(&self) {
        match &self.legacy {
            Some(client) => client.keep_fresh().await,
            None => std::future::pending().await,
        }
    }

    /// Says good-bye to the host.
    pub(super) async fn close(&self) {
        if let Some((provider, client)) = &self.p2p {
            client.close();
            provider.close().await;
        }
    }
}
