//! The ways to the host.

mod way;

use std::sync::Arc;

use p2p_provider::{P2PProvider, PeerId, iroh::IrohP2P};
use tunnel_core::Transport;
use tunnel_edge::AuthServer;
use tunnel_legacy::LegacyConfig;
use tunnel_p2p::{Client, ParseTicketError, Ticket, pairing::PairedClient};

use self::way::{P2pSettings, Way};
use crate::{
    config::GatewayOptions,
    error::CliError,
    p2p,
    secret::secret,
    state::GatewayIdentity,
    tunnel::{self, TunnelClient},
};

/// How to reach the host: by one way or by two.
pub(super) struct TransportSettings {
    p2p: Option<P2pSettings>,
    tunnel: Option<LegacyConfig>,
    /// What the user is to know of this choice.
    pub(super) notes: Vec<String>,
}

impl TransportSettings {
    pub(super) fn new(options: &GatewayOptions) -> Result<Self, CliError> {
        let ticket = secret("ticket", options.ticket.as_ref(), options.ticket_file.as_deref())?;
        let ticket = ticket.map(|ticket| parse(&ticket)).transpose()?;
        let tunnel = tunnel::client_config(options)?;
        let mut notes = Vec::new();
        let p2p = match (ticket, &tunnel) {
            (Some(ticket), _) => Some(P2pSettings::by_ticket(ticket, options, &mut notes)?),
            (None, Some(tunnel)) => P2pSettings::by_pairing(tunnel, options, &mut notes)?,
            (None, None) => {
                return Err(CliError::usage("no ticket is given").next(
                    "run `tunnel-p2p host` beside the service and give its ticket: --ticket TICKET or --ticket-file \
                     FILE; or find it through its tunnel server: --tunnel URL --client-id ID --tunnel-token-file FILE",
                ));
            }
        };
        Ok(Self { p2p, tunnel, notes })
    }
}

fn parse(ticket: &str) -> Result<Ticket, CliError> {
    let wrong = |error: ParseTicketError| CliError::usage("the ticket is not valid").because(error);
    ticket.parse().map_err(wrong)
}

/// The ways, open.
pub(super) struct Transports {
    p2p: Option<P2p>,
    legacy: Option<TunnelClient>,
}

struct P2p {
    provider: IrohP2P,
    client: P2pClient,
    /// Held as long as the key is used.
    _identity: Option<GatewayIdentity>,
}

enum P2pClient {
    Ticket(Client<IrohP2P>),
    Paired(PairedClient<IrohP2P>),
}

impl Transports {
    /// Opens the sockets. Dropping the future opens nothing.
    pub(super) async fn start(settings: TransportSettings) -> Result<Self, CliError> {
        let legacy = settings.tunnel.map(TunnelClient::new).transpose()?;
        let Some(P2pSettings { way, peer, client, identity }) = settings.p2p else {
            return Ok(Self { p2p: None, legacy });
        };
        let provider = p2p::bind(peer).await?;
        let client = match (way, &legacy) {
            (Way::Ticket(ticket), _) => P2pClient::Ticket(Client::start(provider.clone(), ticket, client)),
            (Way::Pair { hosts, mut config }, Some(legacy)) => {
                config.client = client;
                P2pClient::Paired(PairedClient::start(provider.clone(), hosts, legacy.for_pairing(), *config))
            }
            (Way::Pair { .. }, None) => return Err(CliError::failed("there is no tunnel server to pair through")),
        };
        Ok(Self { p2p: Some(P2p { provider, client, _identity: identity }), legacy })
    }

    pub(super) fn p2p(&self) -> Option<Arc<dyn Transport>> {
        self.p2p.as_ref().map(|p2p| match &p2p.client {
            P2pClient::Ticket(client) => Arc::new(client.clone()) as _,
            P2pClient::Paired(client) => Arc::new(client.clone()) as _,
        })
    }

    /// The peer of this gateway, if it has one.
    pub(super) fn peer(&self) -> Option<&IrohP2P> {
        self.p2p.as_ref().map(|p2p| &p2p.provider)
    }

    /// Who this gateway is to the host.
    pub(super) fn peer_id(&self) -> Option<PeerId> {
        self.p2p.as_ref().map(|p2p| p2p.provider.local_peer_id())
    }

    /// Whether the host is found through the tunnel server.
    pub(super) fn pairs(&self) -> bool {
        matches!(&self.p2p, Some(P2p { client: P2pClient::Paired(_), .. }))
    }

    /// The host with which this gateway is paired.
    pub(super) fn paired_host(&self) -> Option<PeerId> {
        match &self.p2p.as_ref()?.client {
            P2pClient::Ticket(_) => None,
            P2pClient::Paired(client) => client.host(),
        }
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
        if let Some(P2p { provider, client, .. }) = &self.p2p {
            match client {
                P2pClient::Ticket(client) => client.close(),
                P2pClient::Paired(client) => client.close(),
            }
            provider.close().await;
        }
    }
}
