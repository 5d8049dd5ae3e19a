//! The client's side: asks a host, through its tunnel server, to let its key in.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use p2p_provider::PeerId;
use tokio::time::timeout;
use tunnel_core::{Body, Failure, FailureKind, Request, Transport};

use super::{
    handler,
    message::{Answer, MESSAGE_BYTES_MAX, PAIRING_PATH, Question, Refusal},
};
use crate::{ParseTicketError, Ticket};

/// The longest wait for the whole answer: a host that is there answers at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks the host behind `transport`, which has to go through its tunnel server, to let in the key `peer`; the ticket that
/// it answers with has no secret, and is good for that key only.
///
/// Whoever runs the tunnel server can answer in the host's place. Compare the ticket's peer id with what is known of the
/// host ([`KnownHosts`](super::KnownHosts) does), or with what `tunnel-p2p id` shows there.
///
/// Dropping the future abandons the question, which the host may have answered by then.
pub async fn pair(
    transport: &dyn Transport,
    client_id: &str,
    peer: PeerId,
    name: Option<&str>,
) -> Result<Ticket, PairError> {
    let question =
        Question { peer_id: peer.to_string().into(), name: name.map(Into::into), client_id: Some(client_id.into()) };
    let question = serde_json::to_vec(&question).unwrap_or_default();
    let (mut parts, ()) = http::Request::post(PAIRING_PATH).body(()).unwrap_or_default().into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request::http(0, parts, Body::full(Bytes::from(question)));
    let asked = timeout(ANSWER_TIMEOUT, async {
        let response = transport.send(request).await.map_err(|error| error.failure().clone())?;
        let mut body = Vec::new();
        match handler::read(response.body, MESSAGE_BYTES_MAX, &mut body).await {
            // Some page of a service.
            Err(failure) if failure.kind() == FailureKind::TooLarge => body.clear(),
            read => read?,
        }
        Ok((response.status, body))
    });
    let late = || Failure::new(FailureKind::Timeout, format!("no answer within {ANSWER_TIMEOUT:?}"));
    let (status, body) = asked.await.unwrap_or_else(|_| Err(late()))?;
    match serde_json::from_slice(&body) {
        Ok(Answer::Paired { ticket }) => Ok(ticket.parse()?),
        Ok(Answer::Refused { pairing_refused, message }) => {
            Err(PairError::Refused { refusal: pairing_refused, message })
        }
        // Answers of a tunnel server that has no host now are failures of the transport, so this is the service's.
        Err(_) => Err(PairError::Unsupported { status }),
    }
}

/// A client has not been paired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// Network: the host was not reached through the tunnel server.
    #[error("the host is not reached through the tunnel server: {0}")]
    Transport(#[from] Failure),
    /// Peer: it has said no.
    #[error("the host refuses: {message}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// Why, in the host's words.
        message: String,
    },
    /// Peer: the host passed the question to its service, so it does not know it.
    #[error(
        "the host does not pair (its service answered {status}): it is older than this, without a peer-to-peer way, or \
         runs with --no-pairing"
    )]
    Unsupported {
        /// What the service answered.
        status: StatusCode,
    },
    /// Peer: what it answered is no ticket.
    #[error("the host answered with a ticket that is none: {0}")]
    Ticket(#[from] ParseTicketError),
}
