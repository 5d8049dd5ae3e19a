//! A request in the form in which it was born.

use http::request::Parts;
use moosicbox_tunnel::TunnelHttpRequest;

use crate::Body;

/// One HTTP request on its way to a host.
#[derive(Debug)]
pub struct Request {
    /// Names the request in logs; unique within the process that made it.
    pub id: u64,
    /// Method, target and headers.
    pub head: RequestHead,
    /// The body. Always empty for [`RequestHead::Tunnel`], whose payload is part of the head.
    pub body: Body,
}

impl Request {
    /// A request born as HTTP.
    #[must_use]
    pub fn http(id: u64, parts: Parts, body: Body) -> Self {
        Self { id, head: RequestHead::Http(Box::new(parts)), body }
    }

    /// A request born in the tunnel's own form.
    #[must_use]
    pub fn tunnel(request: TunnelHttpRequest) -> Self {
        Self { id: request.request_id, head: RequestHead::Tunnel(Box::new(request)), body: Body::empty() }
    }
}

/// The head of a [`Request`]. It is never converted on the way; the far edge converts where it must.
#[derive(Debug, Clone)]
pub enum RequestHead {
    /// Exact HTTP. The target is in origin form (`/path?query`) or `*`.
    Http(Box<Parts>),
    /// The JSON form of today's tunnel.
    Tunnel(Box<TunnelHttpRequest>),
}

impl RequestHead {
    /// Whether repeating the request is harmless by its method (RFC 9110 §9.2.1, without TRACE).
    #[must_use]
    pub fn is_safe(&self) -> bool {
        match self {
            Self::Http(parts) => {
                matches!(parts.method, http::Method::GET | http::Method::HEAD | http::Method::OPTIONS)
            }
            Self::Tunnel(request) => matches!(request.method.to_string().as_str(), "GET" | "HEAD" | "OPTIONS"),
        }
    }
}
