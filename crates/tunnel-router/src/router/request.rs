//! What the router needs to know of a request.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use tunnel_core::{Body, Request, RequestHead, WsOpen};

use crate::policy;

/// What the policy looks at.
pub(super) struct Facts<'a> {
    pub(super) method: Cow<'a, Method>,
    pub(super) path: Cow<'a, str>,
    pub(super) client_id: Option<Cow<'a, str>>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        match &request.head {
            RequestHead::Http(parts) => Self {
                method: Cow::Borrowed(&parts.method),
                path: Cow::Borrowed(parts.uri.path()),
                client_id: parts.uri.query().and_then(policy::in_query),
            },
            RequestHead::Tunnel(tunnel) => Self {
                // A word of the tunnel that is no method of HTTP matches no rule that names methods.
                method: Cow::Owned(Method::from_bytes(tunnel.method.to_string().as_bytes()).unwrap_or_default()),
                path: Cow::Owned(format!("/{}", tunnel.path)),
                client_id: policy::in_value(tunnel),
            },
        }
    }

    pub(super) fn of_ws(open: &'a WsOpen) -> Self {
        Self {
            method: Cow::Owned(Method::GET),
            path: Cow::Borrowed(open.uri.path()),
            client_id: open.uri.query().and_then(policy::in_query),
        }
    }
}

/// What it takes to send a request again: its head, and its body, which is in memory.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    id: u64,
    pub(crate) head: RequestHead,
    body: Bytes,
}

impl Again {
    /// `None` if the body is a stream.
    pub(super) fn of(request: &Request) -> Option<Self> {
        Some(Self { id: request.id, head: request.head.clone(), body: request.body.as_bytes()?.clone() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    pub(super) fn is_get(&self) -> bool {
        match &self.head {
            RequestHead::Http(parts) => parts.method == Method::GET,
            RequestHead::Tunnel(request) => request.method.to_string() == "GET",
        }
    }

    pub(crate) fn request(&self) -> Request {
        Request { id: self.id, head: self.head.clone(), body: Body::full(self.body.clone()) }
    }
}
