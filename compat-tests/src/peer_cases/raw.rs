//! A host of `tunnel_p2p`, a client of it that behaves, and a peer that writes the wire by hand.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bincode::{Decode, Encode};
use bytes::{Buf, Bytes, BytesMut};
use futures::stream;
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use p2p_provider::{CloseReason, ConnectionConfig, P2PConnection, P2PProvider, ReadError, RecvStream, SendStream};
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, RequestHead, Response, Transport, WsOpen, WsUpgrade};
use tunnel_p2p::{ALPN, Client, ClientConfig, Host, HostConfig, TicketSecret};

use super::{
    pair::{Receiving, Sending},
    patience::{soon, until},
};
use crate::backend::PeerBackend;

/// The kinds of streams.
pub(super) const CONTROL: u8 = 0;
pub(super) const HTTP: u8 = 1;
pub(super) const WEBSOCKET: u8 = 2;
pub(super) const BULK: u8 = 3;
pub(super) const BULK_PART: u8 = 5;

/// The types of frames.
pub(super) const HEAD: u8 = 0x01;
pub(super) const DATA: u8 = 0x02;
pub(super) const END: u8 = 0x03;
pub(super) const FAIL: u8 = 0x04;
pub(super) const MOVED: u8 = 0x05;
pub(super) const TUNNEL_HEAD: u8 = 0x06;
pub(super) const WS_TEXT: u8 = 0x10;
pub(super) const HELLO: u8 = 0x20;
pub(super) const WELCOME: u8 = 0x21;
pub(super) const PING: u8 = 0x22;
pub(super) const PONG: u8 = 0x23;
pub(super) const CREDIT: u8 = 0x25;

/// The roles of connections.
pub(super) const ROLE_MAIN: u32 = 0;
pub(super) const ROLE_BULK: u32 = 1;

/// The host that is put to the test, and those around it.
pub(super) struct Scene<P: P2PProvider> {
    pub(super) host: Host<P>,
    /// The peer that does not keep to the rules.
    pub(super) raw: P,
    pub(super) client: Client<P>,
    _client_peer: P,
}

impl<P: P2PProvider> Scene<P> {
    pub(super) async fn new<B: PeerBackend<Provider = P>>(backend: &B) -> Self {
        Self::with(backend, |_| {}).await
    }

    pub(super) async fn with<B: PeerBackend<Provider = P>>(
        backend: &B,
        settings: impl FnOnce(&mut HostConfig),
    ) -> Self {
        let peers = [soon(backend.peer()).await, soon(backend.peer()).await, soon(backend.peer()).await];
        Self::of(peers, settings).await
    }

    /// Of the peers of the host, the client and the one that does not keep to the rules.
    pub(super) async fn of([host, client_peer, raw]: [P; 3], settings: impl FnOnce(&mut HostConfig)) -> Self {
        let mut config = HostConfig::new(TicketSecret::generate());
        settings(&mut config);
        let host = soon(Host::start(host, Arc::new(Echo), config)).await.expect("nobody listens yet");
        let mut config = ClientConfig::default();
        config.seed = Some(1);
        let client = Client::start(client_peer.clone(), host.ticket(), config);
        soon(client.connected()).await.expect("the client connects");
        until(|| client_peer.connections().len() == 2).await;
        Self { host, raw, client, _client_peer: client_peer }
    }

    /// A connection of the raw peer, on which nothing is said yet.
    pub(super) async fn dial(&self) -> P::Connection {
        let config = ConnectionConfig::new(ALPN);
        soon(self.raw.connect(&self.host.ticket().host, &config)).await.expect("the host listens")
    }

    /// The frame by which an authorized client begins.
    pub(super) fn hello(&self, role: u32, session: u128) -> Vec<u8> {
        hello(0, 0, role, session, &self.host.ticket().secret.unwrap())
    }

    /// A connection of the raw peer that has been welcomed, with its control stream.
    pub(super) async fn welcomed(&self, role: u32, session: u128) -> (P::Connection, RawStream<P::Connection>) {
        let connection = self.dial().await;
        let mut control = RawStream::open(&connection, [&[CONTROL][..], &self.hello(role, session)].concat()).await;
        control.expect(WELCOME).await;
        (connection, control)
    }

    /// The other client of the same host has noticed nothing.
    pub(super) async fn others_still_work(&self) {
        for target in ["/", "/again"] {
            let (parts, ()) = http::Request::get(target).body(()).unwrap().into_parts();
            let response = soon(self.client.send(Request::http(1, parts, Body::empty()))).await.unwrap();
            let body = soon(response.body.collect()).await.unwrap().to_bytes();
            assert_eq!((response.status, body), (StatusCode::OK, Bytes::from_static(b"ok")));
        }
    }
}

/// Why a peer closed a connection.
pub(super) async fn closed(connection: &impl P2PConnection) -> FailureKind {
    match soon(connection.closed()).await {
        CloseReason::Peer { code, .. } => FailureKind::from_code(code).expect("a code of the protocol"),
        other => panic!("{other}"),
    }
}

/// Answers a `POST` with its own body, and a `GET` with `ok`. `/endless` has no end, `/large` is [`LARGE`], and `/unread`
/// reads nothing.
struct Echo;

/// Bytes of a response that moves to the bulk connection.
pub(super) const LARGE: usize = 3_000_000;

#[async_trait]
impl Handler for Echo {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let RequestHead::Http(parts) = &request.head else {
            return Err(Failure::new(FailureKind::BadRequest, "this service speaks HTTP"));
        };
        let body = match (&parts.method, parts.uri.path()) {
            (_, "/endless") => {
                let pieces = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[7; 100]))));
                Body::stream(StreamBody::new(pieces))
            }
            (_, "/large") => Body::full(vec![7; LARGE]),
            (_, "/unread") => std::future::pending().await,
            (&Method::POST, _) => request.body,
            _ => Body::full("ok"),
        };
        Ok(Response::new(StatusCode::OK, body))
    }

    async fn ws(&self, _open: WsOpen) -> Result<WsUpgrade, Failure> {
        std::future::pending().await
    }
}

/// Both directions of a stream of the raw peer. It must be kept while the stream is to live.
pub(super) struct RawStream<C: P2PConnection> {
    pub(super) send: Sending<C>,
    recv: Receiving<C>,
    buffer: BytesMut,
}

/// What came of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A whole response.
    Response(u16, Vec<u8>),
    /// A `FAIL` frame of this kind.
    Failed(FailureKind),
    /// The host reset the stream with this kind.
    Reset(FailureKind),
}

impl<C: P2PConnection> RawStream<C> {
    /// Opens a stream, of which the host learns with the first write.
    pub(super) async fn unwritten(connection: &C) -> Self {
        let (send, recv) = soon(connection.open_bi()).await.expect("the connection is open");
        Self { send, recv, buffer: BytesMut::new() }
    }

    /// Opens a stream and writes these bytes on it.
    pub(super) async fn open(connection: &C, bytes: impl Into<Bytes>) -> Self {
        let mut stream = Self::unwritten(connection).await;
        stream.write(bytes).await;
        stream
    }

    /// Writes as far as the host lets it.
    pub(super) async fn write(&mut self, bytes: impl Into<Bytes>) {
        soon(self.send.write_chunks(&mut [bytes.into()])).await.ok();
    }

    /// The next frame; `None` after the end. Cancel safe.
    pub(super) async fn frame(&mut self) -> Result<Option<(u8, Bytes)>, ReadError> {
        loop {
            if let Some(&[kind, a, b, c, d]) = self.buffer.first_chunk() {
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                if self.buffer.len() >= 5 + length {
                    self.buffer.advance(5);
                    return Ok(Some((kind, self.buffer.split_to(length).freeze())));
                }
            }
            let mut chunks = [const { Bytes::new() }; 16];
            let Some(count) = self.recv.read_chunks(&mut chunks).await? else {
                assert!(self.buffer.is_empty(), "the stream ends in the middle of a frame");
                return Ok(None);
            };
            chunks[..count].iter().for_each(|chunk| self.buffer.extend_from_slice(chunk));
        }
    }

    /// The next frame, which is there soon and of this type.
    pub(super) async fn expect(&mut self, kind: u8) -> Bytes {
        let (found, payload) = soon(self.frame()).await.unwrap().expect("the stream goes on");
        assert_eq!(found, kind);
        payload
    }

    /// On a control stream: asks for a sign of life, and gets it.
    pub(super) async fn ping(&mut self, number: u64) {
        self.write(frame(PING, encode((number,)))).await;
        self.pong(number).await;
    }

    /// On a control stream: a sign of life with this number comes next.
    pub(super) async fn pong(&mut self, number: u64) {
        assert_eq!(decode::<(u64,)>(&self.expect(PONG).await), (number,));
    }

    /// The rest of the exchange.
    pub(super) async fn answer(&mut self) -> Answer {
        match self.response().await {
            Ok(answer) => answer,
            Err(ReadError::Reset(code)) => Answer::Reset(FailureKind::from_code(code).expect("a code of the protocol")),
            Err(other) => panic!("{other}"),
        }
    }

    async fn response(&mut self) -> Result<Answer, ReadError> {
        let (kind, payload) = soon(self.frame()).await?.expect("the stream goes on");
        if kind == FAIL {
            let (code, _): (u16, String) = decode(&payload);
            assert_eq!(soon(self.frame()).await?, None);
            return Ok(Answer::Failed(FailureKind::from_code(code.into()).expect("a code of the protocol")));
        }
        assert_eq!(kind, HEAD);
        let (status, _headers, _body): (u16, Vec<(String, Vec<u8>)>, u32) = decode(&payload);
        let mut body = Vec::new();
        loop {
            match soon(self.frame()).await? {
                Some((DATA, payload)) => body.extend_from_slice(&payload),
                Some((END, _)) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(soon(self.frame()).await?, None);
        Ok(Answer::Response(status, body))
    }
}

impl<C: P2PConnection> fmt::Debug for RawStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawStream").field("id", &self.send.id()).finish_non_exhaustive()
    }
}

/// What a head says about its body.
#[derive(Clone, Copy, Debug, Encode)]
pub(super) enum Size {
    /// Nothing follows.
    None,
    /// That many bytes follow.
    Exact(u64),
    /// Some bytes follow.
    Unknown,
}

/// A frame: type, length, payload.
pub(super) fn frame(kind: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind][..], &length, payload].concat()
}

/// A `HELLO` frame.
pub(super) fn hello(minor: u16, capabilities: u64, role: u32, session: u128, secret: &TicketSecret) -> Vec<u8> {
    frame(HELLO, encode((minor, capabilities, role, session, secret.to_bytes().to_vec(), None::<String>, "raw")))
}

/// The `HEAD` frame of a request without headers.
pub(super) fn head(method: &str, target: &str, size: Size) -> Vec<u8> {
    frame(HEAD, encode((method, target, Vec::<(String, Vec<u8>)>::new(), size)))
}

/// The first bytes of an exchange.
pub(super) fn request(method: &str, target: &str, size: Size) -> Vec<u8> {
    [&[HTTP][..], &head(method, target, size)].concat()
}

/// An `END` frame without trailers.
pub(super) fn end() -> Vec<u8> {
    frame(END, encode(Vec::<(String, Vec<u8>)>::new()))
}

pub(super) fn encode(value: impl Encode) -> Vec<u8> {
    bincode::encode_to_vec(value, bincode::config::standard()).unwrap()
}

/// Decodes the fields that are asked for; further ones may follow.
pub(super) fn decode<T: Decode<()>>(bytes: &[u8]) -> T {
    bincode::decode_from_slice(bytes, bincode::config::standard()).expect("well formed").0
}
