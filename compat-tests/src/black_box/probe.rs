//! What one check asks with: plain HTTP/1.1 over TCP, as any app would speak it.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::future::try_join_all;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};

use super::{
    Seen, Target,
    answer::Answer,
    difference::{Context, Difference, ensure},
    keep_alive::KeepAlive,
    raw::Raw,
    socket::Socket,
};

/// A request body.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// Nothing to send.
pub(super) fn nothing() -> Outgoing {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// One piece to send, its length declared.
pub(super) fn piece(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Asks a target, and notes what comes back.
#[derive(Debug)]
pub(super) struct Probe {
    target: Target,
    seen: Mutex<Seen>,
}

impl Probe {
    pub(super) fn new(target: Target) -> Self {
        Self { target, seen: Mutex::default() }
    }

    pub(super) fn into_seen(self) -> Seen {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom it asks.
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// How long anything may stand still.
    pub(super) const fn timeout(&self) -> Duration {
        self.target.timeout()
    }

    /// Notes that this many bytes of content were moved and compared.
    pub(super) fn bytes(&self, bytes: u64) {
        self.lock().bytes += bytes;
    }

    /// A request, with what the target wants in it.
    pub(super) fn request(&self, method: &str, target: &str) -> Result<http::request::Builder, Difference> {
        let mut request =
            Request::builder().method(Method::from_bytes(method.as_bytes())?).uri(self.target.sent(target));
        if let Some(headers) = request.headers_mut() {
            headers.insert(header::HOST, HeaderValue::try_from(self.target.authority())?);
            if let Some(authorization) = self.target.authorization() {
                headers.insert(header::AUTHORIZATION, authorization.clone());
            }
        }
        Ok(request)
    }

    /// Sends a request over a connection of its own. Dropping the answer closes the connection.
    pub(super) async fn send(&self, request: Request<Outgoing>) -> Result<Answer, Difference> {
        let mut connection = self.keep_alive().await?;
        let answer = connection.send(request).await?;
        Ok(answer.owning(connection))
    }

    /// A GET.
    pub(super) async fn get(&self, target: &str) -> Result<Answer, Difference> {
        self.send(self.request("GET", target)?.body(nothing())?).await
    }

    /// A GET with these headers.
    pub(super) async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Result<Answer, Difference> {
        self.send_with("GET", target, headers, nothing()).await
    }

    /// Any request with these headers.
    pub(super) async fn send_with(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Outgoing,
    ) -> Result<Answer, Difference> {
        let request = self.request(method, target)?;
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request.body(body)?).await
    }

    /// A connection for many requests, one after the other.
    pub(super) async fn keep_alive(&self) -> Result<KeepAlive<'_>, Difference> {
        KeepAlive::new(self, self.connect().await?).await
    }

    /// A connection on which every byte is seen.
    pub(super) async fn raw(&self) -> Result<Raw<'_>, Difference> {
        Ok(Raw::new(self, self.connect().await?))
    }

    /// Opens a WebSocket; returns it and the headers of the 101.
    pub(super) async fn web_socket(
        &self,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Socket, HeaderMap), Difference> {
        let url = format!("ws://{}{}", self.target.authority(), self.target.sent_for_web_socket(target));
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes())?;
            request.headers_mut().append(name, HeaderValue::from_str(value)?);
        }
        if let Some(authorization) = self.target.authorization() {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        let handshake = tokio_tungstenite::client_async(request, self.connect().await?);
        let handshake = timeout(self.timeout(), handshake).await;
        match handshake.map_err(|_| self.stalled("no answer to the WebSocket handshake"))? {
            Ok((socket, response)) => {
                let headers = response.into_parts().0.headers;
                self.lock().status = Some(101);
                Ok((Socket::new(socket, self.timeout()), headers))
            }
            Err(tungstenite::Error::Http(response)) => {
                self.note(response.status(), response.headers());
                let status = response.status().as_u16();
                Err(Difference::new(format!("the WebSocket was refused with {status}, expected 101")))
            }
            Err(error) => Err(error).context("the WebSocket handshake failed"),
        }
    }

    /// An open WebSocket to the echo.
    pub(super) async fn echo_socket(&self, target: &str) -> Result<Socket, Difference> {
        Ok(self.web_socket(target, &[]).await?.0)
    }

    /// Waits until the service counts this many requests of `kind` with this tag.
    pub(super) async fn active(&self, kind: &str, tag: &str, expected: u64) -> Result<(), Difference> {
        let start = Instant::now();
        loop {
            let active: Value = self.get(&format!("/active?tag={tag}")).await?.expecting(200).await?.json().await?;
            let count = active[kind].as_u64().context("the service does not count")?;
            if count == expected {
                return Ok(());
            }
            let waited = start.elapsed();
            ensure!(waited < self.timeout(), "after {waited:.1?} the service has {count} {kind}, expected {expected}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Makes the same kind of request several times at once.
    pub(super) async fn at_once<F>(&self, count: usize, request: impl Fn(usize) -> F) -> Result<(), Difference>
    where
        F: Future<Output = Result<(), Difference>>,
    {
        let requests = (0..count).map(|number| {
            let request = request(number);
            async move { request.await.context(format!("request {number} of {count}")) }
        });
        try_join_all(requests).await.map(drop)
    }

    /// Notes status and transport of a response.
    pub(super) fn note(&self, status: StatusCode, headers: &HeaderMap) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let mut seen = self.lock();
        seen.status = Some(status.as_u16());
        seen.transport = text("x-tunnel-transport");
        seen.path = text("x-tunnel-path");
        let transport = seen.transport.clone().unwrap_or_default();
        seen.transports.insert(transport);
    }

    /// That nothing came for as long as the target may take.
    pub(super) fn stalled(&self, what: &str) -> Difference {
        Difference::new(format!("{what} within {:?}", self.timeout()))
    }

    async fn connect(&self) -> Result<TcpStream, Difference> {
        let address = self.target.authority();
        let stream = timeout(self.timeout(), TcpStream::connect(&address)).await;
        let stream = stream.map_err(|_| self.stalled("no connection"))?;
        let stream = stream.context(format!("{address} accepts no connection"))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
