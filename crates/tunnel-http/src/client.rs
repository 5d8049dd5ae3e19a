//! The client of one HTTP/1.1 server.

mod dial;
mod error;
mod pool;
mod reply;
mod upload;

use std::{io, sync::Arc, time::Duration};

use futures::StreamExt;
use http::{HeaderValue, Method, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::tungstenite::protocol::Role;
use tunnel_core::{Body, Failure, FailureKind, Response, WsSession, WsUpgrade};

pub use error::HttpError;

use self::{
    dial::Dialer,
    pool::{Lease, Pool},
    reply::ReplyBody,
    upload::Upload,
};
use crate::{
    fields, handshake,
    ws::{WsLimits, WsPeer, WsSocket},
};

/// The settings of an [`HttpClient`].
#[derive(Clone, Debug)]
pub struct HttpClientConfig {
    /// Who is at the other end.
    pub peer: HttpPeer,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// How long the server may neither answer nor take more of the request body.
    pub head_timeout: Duration,
    /// How long a body may stand still while somebody waits for it; zero means for ever.
    pub body_idle_timeout: Duration,
    /// How many idle connections are kept.
    pub pool_idle_max: usize,
    /// How long an idle connection is kept.
    pub pool_idle_timeout: Duration,
    /// Whether a connection is kept after a 204 or a 304, which have no body. Some servers send the end of a chunked body
    /// there all the same (`actix-web` behind its compression), and the next response would begin with it.
    pub keep_after_bodiless: bool,
    /// The largest response head, in bytes; at least 8192.
    pub header_bytes_max: usize,
    /// The limits of WebSockets.
    pub ws: WsLimits,
}

/// Who is at the other end, for messages, and what its failures are called.
#[derive(Clone, Debug)]
pub struct HttpPeer {
    /// Its name within a sentence, as in `the service at http://127.0.0.1:8000`.
    pub name: String,
    /// The kind of failure when it does not accept a connection.
    pub unreachable: FailureKind,
    /// The kind of failure when it does not answer, or stops answering, in time.
    pub silent: FailureKind,
    /// The kind of failure when it breaks off, or does not speak HTTP/1.1.
    pub broke_off: FailureKind,
}

/// Sends requests to one server.
///
/// Connections are kept alive and reused. Dropping the future of a call, or the body of its response, closes the
/// connection that carried it, so that the server stops working on it.
pub struct HttpClient {
    config: Arc<HttpClientConfig>,
    dialer: Dialer,
    pool: Pool,
}

impl HttpClient {
    /// A client over whatever byte streams `connect` opens: one call, one new connection, of which the pool takes care.
    /// Connects only when a request comes.
    ///
    /// `connect` has the [connect timeout](HttpClientConfig::connect_timeout); its future is dropped when that is over,
    /// or the request is given up.
    pub fn new<F, S>(config: HttpClientConfig, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let dialer = Dialer::new(config.header_bytes_max, connect);
        let pool = Pool::new(config.pool_idle_max, config.pool_idle_timeout);
        Self { config: Arc::new(config), dialer, pool }
    }

    /// Sends a request as it is and waits for the head of the response, as long as somebody makes progress. `Host` is the
    /// caller's to set; the length is framed here, as declared, as known, or chunked.
    ///
    /// The response comes without its hop-by-hop headers. A failure says whether the request may have reached the server.
    pub async fn send(&self, mut parts: Parts, body: Body) -> Result<Response, HttpError> {
        parts.version = Version::HTTP_11;
        // Said by name, because the HTTP library leaves out the body of a GET of unknown length otherwise.
        if !parts.headers.contains_key(header::CONTENT_LENGTH) && !body.is_end_stream() && !body.is_buffered() {
            parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let (response, lease) = self.exchange(parts, body).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let peer = &self.config.peer;
            return Err(HttpError::unknown(Failure::new(
                peer.broke_off,
                format!("{} switched protocols without being asked to", peer.name),
            )));
        }
        Ok(self.response(response, lease))
    }

    /// Opens a WebSocket: a GET with these headers, to which those of the handshake are added. The answer may also be a
    /// refusal in plain HTTP.
    ///
    /// Dropping the future closes the connection.
    pub async fn open_ws(&self, mut parts: Parts) -> Result<WsUpgrade, HttpError> {
        parts.version = Version::HTTP_11;
        parts.method = Method::GET;
        let offer = handshake::Offer::new();
        offer.write(&mut parts.headers).map_err(HttpError::unknown)?;
        let (response, lease) = self.exchange(parts, Body::empty()).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(WsUpgrade::Rejected(self.response(response, lease)));
        }
        let HttpClientConfig { peer, head_timeout, ws, .. } = &*self.config;
        let broken = |what: &str| {
            let message = format!("{} broke the WebSocket handshake: {what}", peer.name);
            HttpError::unknown(Failure::new(peer.broke_off, message))
        };
        offer.check(response.headers()).map_err(broken)?;
        let mut headers = response.headers().clone();
        let upgraded = timeout(*head_timeout, upgrade::on(response))
            .await
            .map_err(|_| broken("it did not switch in time"))?
            .map_err(|_| broken("it closed the connection"))?;
        // The connection now belongs to the WebSocket: its driver has ended.
        drop(lease);

        fields::strip_hop_by_hop(&mut headers);
        headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        let peer = WsPeer { name: peer.name.clone(), broke_off: peer.broke_off, silent: peer.silent };
        let (sink, stream) = WsSocket::new(TokioIo::new(upgraded), Role::Client, *ws, peer).await.split();
        let session = WsSession { sink: Box::pin(sink), stream: Box::pin(stream) };
        Ok(WsUpgrade::Accepted { headers, session, via: None })
    }

    /// Sends the request and waits for the response head. A kept connection that turns out to be dead is replaced as long
    /// as nothing of the request was written.
    async fn exchange(&self, parts: Parts, body: Body) -> Result<(http::Response<Incoming>, Lease), HttpError> {
        let HttpClientConfig { peer, head_timeout, body_idle_timeout, .. } = &*self.config;
        let (upload, progress) = Upload::new(body);
        let mut request = http::Request::from_parts(parts, upload);
        loop {
            let kept = self.pool.take();
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => match self.dialer.dial(&self.config).await {
                    Ok(connection) => connection,
                    Err(failure) => return Err(HttpError::unsent(failure, request)),
                },
            };
            progress.start();
            let answer = tokio::select! {
                biased;
                answer = connection.sender.try_send_request(request) => answer,
                () = progress.client_stalled(*body_idle_timeout) => {
                    let message = format!("the client sent nothing of its request body for {body_idle_timeout:?}");
                    return Err(HttpError::unknown(Failure::new(FailureKind::Timeout, message)));
                }
                () = progress.server_stalled(*head_timeout) => {
                    let message = format!("{} did not answer for {head_timeout:?}", peer.name);
                    return Err(HttpError::unknown(Failure::new(peer.silent, message)));
                }
            };
            match answer {
                Ok(response) => return Ok((response, self.pool.lease(connection, progress))),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    Some(unsent) => return Err(HttpError::unsent(error::failure(&error.into_error(), peer), unsent)),
                    None => return Err(HttpError::unknown(error::failure(&error.into_error(), peer))),
                },
            }
        }
    }

    fn response(&self, response: http::Response<Incoming>, lease: Lease) -> Response {
        let (mut parts, incoming) = response.into_parts();
        fields::strip_hop_by_hop(&mut parts.headers);
        let bodiless = matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = if incoming.is_end_stream() {
            if self.config.keep_after_bodiless || !bodiless {
                lease.release();
            }
            Body::empty()
        } else {
            Body::stream(ReplyBody::new(incoming, lease, &self.config))
        };
        Response { status: parts.status, headers: parts.headers, body, via: None }
    }
}
