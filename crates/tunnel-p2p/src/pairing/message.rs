//! The question of a client that wants to pair, and the host's answer.

use std::borrow::Cow;

use http::StatusCode;
use p2p_provider::PeerId;
use serde::{Deserialize, Serialize};
use tunnel_core::RequestHead;

/// Where a host is asked, by POST, through its tunnel server.
pub const PAIRING_PATH: &str = "/.well-known/tunnel-p2p/pair";

/// The longest question, and the longest answer, in bytes. A ticket has at most 4,096 characters.
pub(super) const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// What a client says about itself. Fields of later versions are ignored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question<'a> {
    /// Its key, as 64 hex digits.
    pub(super) peer_id: Cow<'a, str>,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Cow<'a, str>>,
    /// Whom it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<Cow<'a, str>>,
}

/// What the host answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// The client's key is let in, at these addresses.
    Paired { ticket: String },
    /// It is not. No service answers with this field by accident.
    Refused { pairing_refused: Refusal, message: String },
}

/// Why a client is not paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// The question is not one.
    Invalid,
    /// The owner of the host has revoked the client's key.
    Revoked,
    /// The host serves another client id.
    ClientId,
    /// The host's list of peers is full.
    Full,
    /// The host cannot use its list of peers.
    Unavailable,
    /// Another reason, of a later version.
    #[serde(other)]
    Other,
}

impl Refusal {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Revoked | Self::Other => StatusCode::FORBIDDEN,
            Self::ClientId => StatusCode::CONFLICT,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The peer that a question is about.
pub(super) fn peer(text: &str) -> Option<PeerId> {
    text.parse().ok()
}

/// Whether a request asks a host to pair. A gateway that lets apps through to the tunnel server keeps such requests of
/// theirs back: they would let in a key that is not the gateway's.
#[must_use]
pub fn is_pairing_request(head: &RequestHead) -> bool {
    let path = match head {
        RequestHead::Http(parts) => parts.uri.path(),
        // The tunnel's form has the path without the first slash.
        RequestHead::Tunnel(request) => &request.path,
    };
    path.trim_start_matches('/') == PAIRING_PATH.trim_start_matches('/')
}
