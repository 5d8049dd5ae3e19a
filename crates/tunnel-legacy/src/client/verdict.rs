//! Answers that the tunnel server gives by itself.

use http::{StatusCode, header};
use tunnel_core::{Body, Failure, FailureKind, Response};

use crate::{
    TunnelUrl,
    peek::{Peeked, peek},
    reason,
};

/// Its texts. A service may answer with the same status, but hardly with these bytes.
const UNAUTHORIZED: &[u8] = b"Unauthorized";
const NOT_CONNECTED: &[u8] = b"Client with ID is not connected";

/// Whose answer it is.
pub(super) enum Verdict {
    /// The service's.
    Answer(Response),
    /// The tunnel server's: nothing of the request reached the home server.
    Refused(Failure),
    /// The host's, instead of the service's, which may have been asked.
    Failed(Failure),
    /// The host's, instead of the service's, which has not been asked.
    NotExecuted(Failure),
}

/// The longest sentence of a host about a failure, in bytes.
const SENTENCE_BYTES_MAX: usize = 4096;

/// What the request asked with, for messages.
#[derive(Clone, Copy)]
pub(super) enum Credential {
    /// The configured token, or the app's.
    Token { configured: bool },
    /// The configured signature, or the app's.
    Signature { configured: bool },
}

impl Credential {
    pub(super) const fn is_configured(self) -> bool {
        match self {
            Self::Token { configured } | Self::Signature { configured } => configured,
        }
    }
}

/// Tells the tunnel server's refusals, and failures of a host of ours, from the service's answers. An error is a body that
/// broke off under the eyes.
pub(super) async fn judge(mut response: Response, url: &TunnelUrl, credential: Credential) -> Result<Verdict, Failure> {
    if let Some(kind) = reason::of(&response) {
        return host_failure(response, kind).await;
    }
    let words = match response.status {
        StatusCode::UNAUTHORIZED => UNAUTHORIZED,
        StatusCode::FAILED_DEPENDENCY => NOT_CONNECTED,
        _ => return Ok(Verdict::Answer(response)),
    };
    if !may_be(&response, words) {
        return Ok(Verdict::Answer(response));
    }
    let bytes = match peek(std::mem::take(&mut response.body), words.len()).await? {
        Peeked::Whole(bytes) => bytes,
        Peeked::Longer(body) => return Ok(Verdict::Answer(Response { body, ..response })),
    };
    if bytes != words {
        return Ok(Verdict::Answer(Response { body: Body::full(bytes), ..response }));
    }
    Ok(Verdict::Refused(if response.status == StatusCode::UNAUTHORIZED {
        unauthorized(url, credential)
    } else {
        Failure::new(
            FailureKind::Unreachable,
            format!("the home server is not connected to the tunnel server at {url}: is its host running there?"),
        )
    }))
}

async fn host_failure(mut response: Response, kind: FailureKind) -> Result<Verdict, Failure> {
    Ok(match peek(std::mem::take(&mut response.body), SENTENCE_BYTES_MAX).await? {
        Peeked::Whole(bytes) => {
            let failure = Failure::new(kind, String::from_utf8_lossy(&bytes).trim().to_owned());
            if kind.is_not_executed() { Verdict::NotExecuted(failure) } else { Verdict::Failed(failure) }
        }
        Peeked::Longer(body) => Verdict::Answer(Response { body, ..response }),
    })
}

fn may_be(response: &Response, words: &[u8]) -> bool {
    let headers = &response.headers;
    let is_text = headers.get(header::CONTENT_TYPE).is_some_and(|given| given.as_bytes().starts_with(b"text/plain"));
    let fits = headers
        .get(header::CONTENT_LENGTH)
        .is_none_or(|length| length.to_str().is_ok_and(|length| length.parse() == Ok(words.len())));
    is_text && fits
}

fn unauthorized(url: &TunnelUrl, credential: Credential) -> Failure {
    let next = match credential {
        Credential::Token { configured: true } => {
            "it wants `authorization: Bearer TOKEN` with a client access token of the request's clientId, which was sent \
             as configured: check token and client_id"
        }
        Credential::Token { configured: false } => {
            "it wants `authorization: Bearer TOKEN` with a client access token of the request's clientId: configure \
             token, or let the app send one"
        }
        Credential::Signature { configured: true } => {
            "it wants a signature token of the request's clientId in the query, which was sent as configured: it may \
             have expired (14 days), so get a new one, and check client_id"
        }
        Credential::Signature { configured: false } => {
            "it wants a signature token of the request's clientId in the query: configure signature, or let the app \
             send a new one"
        }
    };
    Failure::new(FailureKind::Unauthorized, format!("the tunnel server at {url} refuses the request (401): {next}"))
}
