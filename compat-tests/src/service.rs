//! Services that live in memory.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc, future::BoxFuture};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::oneshot;
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, RequestHead, Response, WsMessage, WsOpen, WsSession, WsUpgrade,
    convert::to_http,
};
use tunnel_http::query;

use crate::request::parts;

type HttpFn = dyn Fn(Request) -> BoxFuture<'static, Result<Response, Failure>> + Send + Sync;
type WsFn = dyn Fn(WsOpen) -> BoxFuture<'static, Result<WsUpgrade, Failure>> + Send + Sync;

/// A service made of two functions.
pub struct Service {
    http: Box<HttpFn>,
    ws: Box<WsFn>,
}

impl Service {
    /// A service that has no WebSockets, and speaks HTTP: what arrives in the tunnel's own form is turned into it before,
    /// as the far edge does.
    pub fn http<F>(http: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response, Failure>> + Send + 'static,
    {
        Self::any_form(move |request| {
            let answering = as_http(request).map(&http);
            async move { answering?.await }
        })
    }

    /// A service that has no WebSockets and takes requests in the form in which they arrive.
    pub fn any_form<F>(http: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response, Failure>> + Send + 'static,
    {
        let no = || Failure::new(FailureKind::BadRequest, "no WebSockets here");
        Self {
            http: Box::new(move |request| Box::pin(http(request))),
            ws: Box::new(move |_| Box::pin(async move { Err(no()) })),
        }
    }

    /// A service that answers every request with `ok`.
    pub fn ws<F>(ws: impl Fn(WsOpen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<WsUpgrade, Failure>> + Send + 'static,
    {
        Self { ws: Box::new(move |open| Box::pin(ws(open))), ..Self::hello() }
    }

    /// Answers `ok`.
    pub fn hello() -> Self {
        Self::http(|_| async { Ok(ok("ok")) })
    }

    /// Answers with headers and body of the request; method and target go into headers.
    pub fn echo() -> Self {
        Self::http(|request| async move {
            let parts = parts(&request).clone();
            let mut response = Response::new(StatusCode::OK, request.body);
            response.headers = parts.headers;
            response.headers.insert("x-method", HeaderValue::from_str(parts.method.as_str()).expect("a token"));
            response.headers.insert("x-target", HeaderValue::try_from(parts.uri.to_string()).expect("a URI"));
            Ok(response)
        })
    }

    /// Accepts every WebSocket and sends its messages back, pings and closes included.
    pub fn ws_echo() -> Self {
        Self::ws(|_| async { Ok(ws_echo()) })
    }

    /// Must not be asked.
    pub fn never() -> Self {
        Self {
            http: Box::new(|_| panic!("the handler must not be called")),
            ws: Box::new(|_| panic!("the handler must not be called")),
        }
    }
}

#[async_trait]
impl Handler for Service {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        (self.http)(request).await
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        (self.ws)(open).await
    }
}

/// The request in the form of HTTP, without what is for the tunnel server.
fn as_http(request: Request) -> Result<Request, Failure> {
    match request.head {
        RequestHead::Http(_) => Ok(request),
        RequestHead::Tunnel(tunnel) => {
            let (mut parts, body) = to_http(*tunnel)?;
            let bad = |_| Failure::new(FailureKind::BadRequest, "the target is not one");
            parts.uri = query::without(&parts.uri, &["clientId", "signature"]).map_err(bad)?;
            Ok(Request::http(request.id, parts, body))
        }
    }
}

/// 200 with this body.
pub fn ok(body: impl Into<Bytes>) -> Response {
    Response::new(StatusCode::OK, Body::full(body))
}

/// A WebSocket that sends every message back.
pub fn ws_echo() -> WsUpgrade {
    let (sender, receiver) = mpsc::channel(4);
    let sink = Box::pin(sender.sink_map_err(|_| Failure::new(FailureKind::ServiceFailed, "gone")));
    accept(WsSession { sink, stream: Box::pin(receiver.map(Ok)) })
}

/// A WebSocket whose service side is in the hands of the case: what the client says, and a sender to it.
///
/// The session is over for the client when the sender is dropped without a close.
pub fn ws_by_hand() -> (WsUpgrade, mpsc::Receiver<WsMessage>, mpsc::Sender<WsMessage>) {
    let (to_service, from_client) = mpsc::channel(0);
    let (to_client, from_service) = mpsc::channel(0);
    let sink = Box::pin(to_service.sink_map_err(|_| Failure::new(FailureKind::ServiceFailed, "gone")));
    (accept(WsSession { sink, stream: Box::pin(from_service.map(Ok)) }), from_client, to_client)
}

/// 101 without headers.
pub fn accept(session: WsSession) -> WsUpgrade {
    WsUpgrade::Accepted { headers: HeaderMap::new(), session, via: None }
}

/// Something for the only call of a function that could be called more often.
pub struct Once<T>(Arc<Mutex<Option<T>>>);

impl<T> Once<T> {
    /// Keeps it for the call.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(Some(value))))
    }

    /// Takes it; panics the second time.
    pub fn take(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().expect("asked once")
    }
}

/// Tells when it is dropped.
pub struct Guard(Option<oneshot::Sender<()>>);

impl Guard {
    /// The guard, and what resolves when it is dropped.
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.send(()).ok();
        }
    }
}
