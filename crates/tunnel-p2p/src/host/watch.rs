//! Looks at the list of peers while the host runs.

use std::{sync::Arc, time::Duration};

use p2p_provider::P2PProvider;
use tokio::{task::spawn_blocking, time::sleep};
use tunnel_core::FailureKind;

use super::Shared;
use crate::pairing::AuthorizedPeers;

/// How often the file is looked at. A look is one question to the system about a file, and what a person has revoked in
/// another process holds before they have read its answer.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Closes the sessions of clients that are not let in any more. Never ends.
pub(super) async fn watch<P: P2PProvider>(shared: Arc<Shared<P>>, peers: Arc<AuthorizedPeers>) {
    let mut told: Option<String> = None;
    loop {
        tokio::select! {
            biased;
            () = peers.changed() => {}
            () = sleep(LOOK_INTERVAL) => {}
        }
        let looking = Arc::clone(&peers);
        let trouble = match spawn_blocking(move || looking.refresh()).await {
            Ok(looked) => looked.err().map(|error| error.to_string()),
            Err(_) => return,
        };
        if let Some(trouble) = trouble.as_ref().filter(|trouble| told.as_ref() != Some(*trouble)) {
            tracing::error!("the list of peers counts as it was before: {trouble}");
        }
        told = trouble;
        for (admitted, session) in shared.sessions.all() {
            if let Err(failure) = admitted.expelled(&peers) {
                tracing::warn!(peer = %admitted.peer.short(), "closed a session: {failure}");
                // Not as unauthorized, which would say that no request of it was carried out. Told at its next hello.
                session.close(FailureKind::Aborted, failure.message());
            }
        }
    }
}
