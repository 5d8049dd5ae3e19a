//! Who may come in.

use std::sync::Arc;

use p2p_provider::PeerId;
use tokio::task::spawn_blocking;
use tunnel_core::{Failure, FailureKind};

use crate::{
    HostConfig,
    pairing::{AuthorizeError, AuthorizedPeers, Verdict},
};

/// A client that was let in, and whether it has presented the ticket's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) peer: PeerId,
    secret: bool,
}

/// Decides about a client that says hello.
pub(super) async fn admit(
    config: &HostConfig,
    peer: PeerId,
    credential: &[u8],
    client_id: Option<&str>,
) -> Result<Admitted, Failure> {
    let secret = config.secret.matches(credential);
    let verdict = match &config.peers {
        None if secret => Verdict::Admitted,
        None => Verdict::Unknown,
        Some(peers) => {
            let (peers, client_id) = (Arc::clone(peers), client_id.map(str::to_owned));
            let asked = spawn_blocking(move || peers.admit(peer, secret, client_id.as_deref())).await;
            let stopping = || Failure::new(FailureKind::ShuttingDown, "the host is stopping");
            asked.map_err(|_| stopping())?.map_err(|error| unusable(&error))?
        }
    };
    match verdict {
        Verdict::Admitted => Ok(Admitted { peer, secret }),
        Verdict::Revoked => Err(revoked(peer)),
        Verdict::Unknown if credential.is_empty() => Err(Failure::new(
            FailureKind::Unauthorized,
            "this device is not paired with the host; pair it through the tunnel server, or use the host's ticket",
        )),
        Verdict::Unknown => {
            Err(Failure::new(FailureKind::Unauthorized, "the ticket is not valid for this host; get a fresh one"))
        }
    }
}

impl Admitted {
    /// Whether the client would not be let in any more with what it has presented, by the list as it was last looked at.
    pub(super) fn expelled(self, peers: &AuthorizedPeers) -> Result<(), Failure> {
        match peers.verdict(self.peer, self.secret) {
            Verdict::Admitted => Ok(()),
            Verdict::Revoked => Err(revoked(self.peer)),
            Verdict::Unknown => {
                Err(Failure::new(FailureKind::Unauthorized, "this device is not in the host's list of peers any more"))
            }
        }
    }
}

/// In one packet: what does not fit is cut off.
fn revoked(peer: PeerId) -> Failure {
    let peer = peer.short();
    Failure::new(
        FailureKind::Unauthorized,
        format!("this device has been revoked at the host; there `tunnel-p2p peers allow {peer}` lets it in again"),
    )
}

fn unusable(error: &AuthorizeError) -> Failure {
    tracing::error!("nobody new comes in: {error}");
    match error {
        AuthorizeError::Full { .. } => {
            Failure::new(FailureKind::Unauthorized, "the host's list of peers is full; its owner has to remove some")
        }
        _ => Failure::new(
            FailureKind::Unauthorized,
            "the host cannot use its list of peers, so nobody new comes in; its log says why",
        ),
    }
}
