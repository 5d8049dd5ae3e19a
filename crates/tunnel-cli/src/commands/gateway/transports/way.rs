//! How the peer-to-peer way is found: by a ticket, or by pairing.

use std::sync::Arc;

use p2p_provider::{SecretKey, iroh::IrohConfig};
use tunnel_legacy::LegacyConfig;
use tunnel_p2p::{
    ClientConfig, Ticket,
    pairing::{KnownHosts, PairingConfig},
};

use crate::{
    config::{GatewayOptions, set},
    error::CliError,
    p2p,
    state::{GatewayIdentity, StateDir},
};

pub(super) struct P2pSettings {
    pub(super) way: Way,
    pub(super) peer: IrohConfig,
    pub(super) client: ClientConfig,
    /// Absent if the gateway is a stranger to itself at its next start.
    pub(super) identity: Option<GatewayIdentity>,
}

pub(super) enum Way {
    Ticket(Ticket),
    Pair { hosts: Arc<KnownHosts>, config: Box<PairingConfig> },
}

impl P2pSettings {
    pub(super) fn by_ticket(
        ticket: Ticket,
        options: &GatewayOptions,
        notes: &mut Vec<String>,
    ) -> Result<Self, CliError> {
        let identity = StateDir::new(options.pairing.state_dir.clone()).and_then(|state| state.gateway_identity());
        let identity = match identity {
            Ok(identity) => Some(identity),
            // The secret lets in any key, also where nothing can be written.
            Err(error) if ticket.secret.is_some() => {
                notes.push(format!("This gateway is a new peer to the host, since it has no key to keep: {error}"));
                None
            }
            Err(error) => return Err(error),
        };
        Self::new(Way::Ticket(ticket), identity, options)
    }

    /// `None` if there is nobody to ask for, or nothing to ask with.
    pub(super) fn by_pairing(
        tunnel: &LegacyConfig,
        options: &GatewayOptions,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, CliError> {
        if options.pairing.no_pairing.unwrap_or_default() {
            return Ok(None);
        }
        let (Some(client_id), Some(_)) = (&tunnel.client_id, &tunnel.token) else {
            notes.push(
                "To find the host and go peer to peer, give --client-id ID and --tunnel-token-file FILE.".to_owned(),
            );
            return Ok(None);
        };
        let state = StateDir::new(options.pairing.state_dir.clone())?;
        let identity = state.gateway_identity()?;
        let hosts = KnownHosts::new(state.hosts());
        // Better now than in the background.
        hosts.list().map_err(|error| CliError::start("the hosts that this gateway knows").because(error))?;
        let mut config = PairingConfig::new(client_id, tunnel.url.to_string());
        config.name = options.pairing.name.clone().or_else(machine);
        let way = Way::Pair { hosts: Arc::new(hosts), config: Box::new(config) };
        Self::new(way, Some(identity), options).map(Some)
    }

    fn new(way: Way, identity: Option<GatewayIdentity>, options: &GatewayOptions) -> Result<Self, CliError> {
        let key = identity.as_ref().map_or_else(SecretKey::generate, |identity| identity.key.clone());
        let congestion = options.congestion.unwrap_or_default().into();
        let listen = p2p::Listen { bind: options.bind, port: 0 };
        let peer = p2p::client_config(key, listen, options.network.network(), congestion)?;
        let mut client = ClientConfig::default();
        client.client_id.clone_from(&options.client_id);
        set(options.connect_timeout, &mut client.connect_timeout);
        set(options.head_timeout, &mut client.head_timeout);
        set(options.body_idle_timeout, &mut client.body_idle_timeout);
        Ok(Self { way, peer, client, identity })
    }
}

/// The machine's name, if it has one of its own.
fn machine() -> Option<String> {
    let name = gethostname::gethostname().into_string().ok()?;
    (!name.is_empty() && name != "localhost").then_some(name)
}
