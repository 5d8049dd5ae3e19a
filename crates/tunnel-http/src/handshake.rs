//! The opening handshake of a WebSocket (RFC 6455 §4), both sides.

use http::{HeaderMap, HeaderValue, Method, Version, header, request::Parts};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tunnel_core::{Failure, FailureKind};

use crate::fields;

/// Whether a request asks for a WebSocket (RFC 6455 §4.2.1).
#[must_use]
pub fn is_asked_for(parts: &Parts) -> bool {
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && fields::has_token(&parts.headers, &header::CONNECTION, "upgrade")
        && fields::has_token(&parts.headers, &header::UPGRADE, "websocket")
}

/// Checks what the client says of itself, and returns the headers of the 101 that switches.
pub fn accept(request: &HeaderMap) -> Result<HeaderMap, HandshakeError> {
    if request.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(HandshakeError::Version);
    }
    let key = request.get(header::SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    // Base64 is always a header value.
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| HandshakeError::Key)?;
    Ok(HeaderMap::from_iter([
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ]))
}

/// Why a client's handshake cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The answer is 426 with `sec-websocket-version: 13`.
    #[error("Only WebSocket version 13 is spoken here.")]
    Version,
    /// The answer is 400.
    #[error("The Sec-WebSocket-Key header is missing.")]
    Key,
}

/// A client's side: what it offers, and whether the answer fits. No extensions: each hop would have to speak them.
pub(crate) struct Offer {
    key: String,
}

impl Offer {
    pub(crate) fn new() -> Self {
        Self { key: generate_key() }
    }

    /// Writes the fields of the offer (RFC 6455 §4.1).
    pub(crate) fn write(&self, headers: &mut HeaderMap) -> Result<(), Failure> {
        let key = HeaderValue::try_from(&self.key)
            .map_err(|_| Failure::new(FailureKind::Internal, "the WebSocket key is not a header value"))?;
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TE);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
        Ok(())
    }

    /// Checks the headers of a 101.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        if !fields::has_token(headers, &header::UPGRADE, "websocket") {
            return Err("it switched to another protocol");
        }
        let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
        if accept.is_none_or(|accept| accept.as_bytes() != derive_accept_key(self.key.as_bytes()).as_bytes()) {
            return Err("its accept key is wrong");
        }
        if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
            return Err("it chose an extension that was not offered");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_fits_its_own_answer_only() {
        let offer = Offer::new();
        let mut asked = HeaderMap::new();
        offer.write(&mut asked).unwrap();
        let mut answer = accept(&asked).unwrap();
        assert_eq!(offer.check(&answer), Ok(()));
        assert!(Offer::new().check(&answer).is_err());
        answer.insert(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static("permessage-deflate"));
        assert!(offer.check(&answer).is_err());
    }

    #[test]
    fn answers_only_version_13_with_a_key() {
        let mut asked = HeaderMap::new();
        Offer::new().write(&mut asked).unwrap();
        asked.remove(header::SEC_WEBSOCKET_KEY);
        assert_eq!(accept(&asked), Err(HandshakeError::Key));
        asked.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        assert_eq!(accept(&asked), Err(HandshakeError::Version));
    }
}
