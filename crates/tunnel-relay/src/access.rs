//! Who may use a relay.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use iroh_base::EndpointId;
use iroh_relay::server::{self, AccessControl, ClientRequest, ConnectionId};
use subtle::{Choice, ConstantTimeEq};
use tracing::info;

use crate::RelayError;

/// Who may use a relay.
///
/// It decides over what is relayed. QUIC address discovery and the probes over HTTPS answer everybody: a client that is
/// refused still learns its own address.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Access {
    /// Whoever reaches it; a relay with this starts on loopback only.
    #[default]
    LoopbackOnly,
    /// Whoever reaches it, anywhere.
    Open,
    /// Who has one of these tokens or is one of these peers.
    Listed {
        /// Tokens, of printable ASCII. They are compared in constant time.
        tokens: Vec<String>,
        /// Peer ids, 64 hex digits each. That a client is the peer it says it is has been proven by its key.
        peers: Vec<String>,
    },
}

impl Access {
    /// For who has one of these tokens or is one of these peers.
    pub fn listed(tokens: impl IntoIterator<Item = String>, peers: impl IntoIterator<Item = String>) -> Self {
        Self::Listed { tokens: tokens.into_iter().collect(), peers: peers.into_iter().collect() }
    }
}

impl fmt::Debug for Access {
    /// Without the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoopbackOnly => f.write_str("LoopbackOnly"),
            Self::Open => f.write_str("Open"),
            Self::Listed { tokens, peers } => {
                f.debug_struct("Listed").field("tokens", &tokens.len()).field("peers", peers).finish()
            }
        }
    }
}

/// The access of a relay that runs.
pub(crate) struct Guard(Mutex<State>);

struct State {
    rules: Rules,
    /// Who is in, and with which token.
    admitted: BTreeMap<EndpointId, Vec<(ConnectionId, Option<String>)>>,
}

impl Guard {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self(Mutex::new(State { rules, admitted: BTreeMap::new() }))
    }

    /// Whether everybody comes in.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().rules.open
    }

    /// Decides by other rules from now on, and says who came in and would not come in now.
    pub(crate) fn replace(&self, rules: Rules) -> Vec<(EndpointId, ConnectionId)> {
        let mut state = self.lock();
        state.rules = rules;
        let connections = state.admitted.iter().flat_map(|(peer, all)| all.iter().map(move |one| (*peer, one)));
        connections
            .filter(|(peer, (_, token))| state.rules.refusal(*peer, token.as_deref()).is_some())
            .map(|(peer, (connection, _))| (peer, *connection))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Guard {
    /// Without the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl AccessControl for Guard {
    async fn on_connect(&self, request: &ClientRequest) -> server::Access {
        let (peer, token) = (request.endpoint_id(), request.auth_token());
        let mut state = self.lock();
        if let Some(reason) = state.rules.refusal(peer, token.as_deref()) {
            info!(%peer, reason, "a client was refused");
            return server::Access::Deny { reason: Some(reason) };
        }
        state.admitted.entry(peer).or_default().push((request.connection_id(), token));
        server::Access::Allow
    }

    fn on_disconnect(&self, peer: EndpointId, connection: ConnectionId) {
        let mut state = self.lock();
        if let Some(connections) = state.admitted.get_mut(&peer) {
            connections.retain(|(known, _)| *known != connection);
            if connections.is_empty() {
                state.admitted.remove(&peer);
            }
        }
    }
}

/// Access whose tokens and peer ids have been checked.
pub(crate) struct Rules {
    open: bool,
    tokens: Vec<String>,
    peers: BTreeSet<EndpointId>,
}

impl Rules {
    /// Checks tokens and peer ids.
    pub(crate) fn new(access: Access) -> Result<Self, RelayError> {
        let Access::Listed { tokens, peers } = access else {
            return Ok(Self { open: true, tokens: Vec::new(), peers: BTreeSet::new() });
        };
        let wrong = |field, message| RelayError::Config { field, message };
        if tokens.is_empty() && peers.is_empty() {
            let message = "there is neither a token nor a peer, so that nobody could use the relay".to_owned();
            return Err(wrong("access", message));
        }
        // The token itself stays out of the message.
        if tokens.iter().any(|token| token.is_empty() || !token.bytes().all(|byte| (b' '..=b'~').contains(&byte))) {
            let message = "a token is empty or has other characters than printable ASCII, which clients cannot send";
            return Err(wrong("access-token", message.to_owned()));
        }
        if tokens.iter().any(|token| token.trim() != token) {
            let message = "a token begins or ends with a space, which clients cannot send".to_owned();
            return Err(wrong("access-token", message));
        }
        let peers = peers.iter().map(|peer| {
            let id = peer.trim().parse().ok().filter(|_| peer.trim().len() == ID_DIGITS);
            id.ok_or_else(|| wrong("allow-peer", format!("{peer:?} is not a peer id of 64 hex digits")))
        });
        Ok(Self { open: false, tokens, peers: peers.collect::<Result<_, _>>()? })
    }

    /// Why this client may not come in.
    fn refusal(&self, peer: EndpointId, token: Option<&str>) -> Option<String> {
        if self.open || self.peers.contains(&peer) {
            return None;
        }
        // All of them are looked at, whichever matches.
        let given = token.map(|given| {
            let matches = |token: &String| token.as_bytes().ct_eq(given.as_bytes());
            bool::from(self.tokens.iter().map(matches).fold(Choice::from(0), |any, one| any | one))
        });
        let reason = match (given, self.tokens.is_empty(), self.peers.is_empty()) {
            (Some(true), ..) => return None,
            (_, true, _) => format!("peer {peer} is not on the allow list of this relay"),
            (None, false, true) => "this relay wants its access token, and none was sent".to_owned(),
            (None, false, false) => {
                format!("this relay wants its access token, none was sent, and peer {peer} is not on its allow list")
            }
            (Some(false), false, true) => "the access token is not one of this relay".to_owned(),
            (Some(false), false, false) => {
                format!("the access token is not one of this relay, and peer {peer} is not on its allow list")
            }
        };
        Some(reason)
    }
}

/// 32 bytes.
const ID_DIGITS: usize = 64;
