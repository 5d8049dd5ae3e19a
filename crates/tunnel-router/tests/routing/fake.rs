//! A transport that does what its script says, and remembers what it was asked.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::time::sleep;
use tunnel_core::{
    Body, Failure, FailureKind, Health, PathDetails, PathKind, Request, RequestHead, Response, SendError, Transport,
    TransportKind, Via, WsOpen, WsUpgrade,
};

/// What a transport was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a transport does with a request.
pub(crate) enum Act {
    /// Executes it and answers.
    Respond(Response),
    /// ... after a while.
    Late(Duration, Box<Act>),
    /// Fails without having delivered anything; the request comes back.
    Undelivered(FailureKind),
    /// Fails after delivery: it may have been executed.
    Unknown(FailureKind),
    /// Never answers.
    Hang,
}

type Script = Box<dyn FnMut(&Seen) -> Act + Send>;
type WsScript = Box<dyn FnMut(&WsOpen) -> Result<WsUpgrade, Failure> + Send>;

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Fake {
    kind: TransportKind,
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    pub(crate) health: Health,
    /// The round-trip time of its path.
    pub(crate) rtt: Option<Duration>,
    /// What a probe does after a while; `None`: it never ends.
    pub(crate) probe: Option<(Duration, Result<(), Failure>)>,
    pub(crate) probes: usize,
    pub(crate) script: Script,
    pub(crate) ws: WsScript,
    pub(crate) ws_hangs: bool,
    pub(crate) seen: Vec<Seen>,
    /// Requests that were executed, by id and method.
    pub(crate) executed: Vec<(u64, Method)>,
    /// Answers that nobody waited for.
    pub(crate) dropped: usize,
    pub(crate) body_bytes_max: Option<usize>,
    pub(crate) refuses: Option<Failure>,
    pub(crate) drops_if_range: bool,
}

pub(crate) fn healthy() -> Health {
    Health::Healthy { path: PathKind::Direct, client_id: None }
}

pub(crate) fn down() -> Health {
    Health::Down(Failure::new(FailureKind::Unreachable, "no way to the peer"))
}

pub(crate) fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, format!("scripted {}", kind.name()))
}

pub(crate) fn text(body: &'static str) -> Response {
    Response::new(StatusCode::OK, Body::full(body))
}

impl Fake {
    fn new(kind: TransportKind) -> Self {
        let name = kind.name();
        let state = State {
            health: healthy(),
            rtt: None,
            probe: Some((Duration::from_millis(5), Ok(()))),
            probes: 0,
            script: Box::new(move |_| Act::Respond(text(name))),
            ws: Box::new(|_| Err(failure(FailureKind::Unsupported))),
            ws_hangs: false,
            seen: Vec::new(),
            executed: Vec::new(),
            dropped: 0,
            body_bytes_max: (kind == TransportKind::Legacy).then_some(1000),
            refuses: None,
            drops_if_range: false,
        };
        Self { kind, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn p2p() -> Self {
        Self::new(TransportKind::P2p)
    }

    pub(crate) fn legacy() -> Self {
        Self::new(TransportKind::Legacy)
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().expect("no test panics with the lock"))
    }

    /// Does this with every request.
    pub(crate) fn on(&self, script: impl FnMut(&Seen) -> Act + Send + 'static) -> &Self {
        self.with(|state| state.script = Box::new(script));
        self
    }

    pub(crate) fn is(&self, health: Health) -> &Self {
        self.with(|state| state.health = health);
        self
    }

    pub(crate) fn probes(&self, result: Result<(), FailureKind>) -> &Self {
        self.with(|state| state.probe = Some((Duration::from_millis(5), result.map_err(failure))));
        self
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.with(|state| state.seen.clone())
    }

    pub(crate) fn arc(&self) -> Arc<dyn Transport> {
        Arc::new(self.clone())
    }

    fn act(
        &self,
        act: Act,
        id: u64,
        method: Method,
        body: Bytes,
        head: RequestHead,
    ) -> BoxFuture<'_, Result<Response, SendError>> {
        async move {
            match act {
                Act::Respond(mut response) => {
                    self.with(|state| state.executed.push((id, method)));
                    response.via = Some(Via { transport: self.kind, path: PathKind::Direct, reason: None });
                    Ok(response)
                }
                Act::Late(after, act) => {
                    let pending = Pending(self.clone());
                    sleep(after).await;
                    std::mem::forget(pending);
                    self.act(*act, id, method, body, head).await
                }
                Act::Undelivered(kind) => {
                    Err(SendError::undelivered(failure(kind), Request { id, head, body: Body::full(body) }))
                }
                Act::Unknown(kind) => {
                    self.with(|state| state.executed.push((id, method)));
                    Err(SendError::unknown(failure(kind)))
                }
                Act::Hang => {
                    self.with(|state| state.executed.push((id, method)));
                    let _pending = Pending(self.clone());
                    std::future::pending().await
                }
            }
        }
        .boxed()
    }
}

struct Pending(Fake);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.with(|state| state.dropped += 1);
    }
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let Request { id, head, body } = request;
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(failure) => return Err(SendError::unknown(failure)),
        };
        let seen = seen(id, &head, &body);
        let act = self.with(|state| {
            state.seen.push(seen.clone());
            (state.script)(&seen)
        });
        self.act(act, id, seen.method, body, head).await
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        if self.with(|state| state.ws_hangs) {
            std::future::pending::<()>().await;
        }
        self.with(|state| (state.ws)(&open))
    }

    fn health(&self) -> Health {
        self.with(|state| state.health.clone())
    }

    fn path(&self) -> Option<PathDetails> {
        let rtt = self.with(|state| state.rtt)?;
        Some(PathDetails { kind: PathKind::Direct, remote: None, rtt: Some(rtt), age: Duration::ZERO })
    }

    fn can_carry(&self, request: &Request) -> Result<(), Failure> {
        let (refused, drops_if_range) = self.with(|state| (state.refuses.clone(), state.drops_if_range));
        if let (RequestHead::Http(parts), true) = (&request.head, drops_if_range)
            && parts.headers.contains_key(http::header::IF_RANGE)
        {
            return Err(failure(FailureKind::Unsupported));
        }
        match (refused, self.kind, request.body.as_bytes()) {
            (Some(refusal), ..) => Err(refusal),
            (None, TransportKind::Legacy, None) => Err(failure(FailureKind::Unsupported)),
            _ => Ok(()),
        }
    }

    fn can_carry_ws(&self, _: &WsOpen) -> Result<(), Failure> {
        self.with(|state| state.refuses.clone()).map_or(Ok(()), Err)
    }

    fn body_bytes_max(&self) -> Option<usize> {
        self.with(|state| state.body_bytes_max)
    }

    async fn probe(&self) -> Result<(), Failure> {
        let probe = self.with(|state| {
            state.probes += 1;
            state.probe.clone()
        });
        let Some((after, result)) = probe else { std::future::pending().await };
        sleep(after).await;
        result
    }
}

fn seen(id: u64, head: &RequestHead, body: &Bytes) -> Seen {
    let RequestHead::Http(parts) = head else { panic!("the tests send HTTP") };
    Seen {
        id,
        method: parts.method.clone(),
        target: parts.uri.to_string(),
        headers: parts.headers.clone(),
        body: body.clone(),
    }
}

/// One step of a body.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    Pause(Duration),
    Fail(FailureKind),
    /// Nothing more, for ever.
    Silence,
}

/// A body that arrives piece by piece, without a known length.
pub(crate) fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Body {
    Body::stream(Pieces { rest: pieces.into_iter().collect::<Vec<_>>().into_iter(), pause: None, length: None })
}

/// ... with a known length.
pub(crate) fn sized(length: u64, pieces: impl IntoIterator<Item = Piece>) -> Body {
    let rest = pieces.into_iter().collect::<Vec<_>>().into_iter();
    Body::stream(Pieces { rest, pause: None, length: Some(length) })
}

struct Pieces {
    rest: std::vec::IntoIter<Piece>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    length: Option<u64>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.rest.next() {
                None => return Poll::Ready(None),
                Some(Piece::Data(bytes)) => {
                    if let Some(length) = &mut self.length {
                        *length -= bytes.len() as u64;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Piece::Pause(pause)) => self.pause = Some(Box::pin(sleep(pause))),
                Some(Piece::Fail(kind)) => {
                    self.rest = Vec::new().into_iter();
                    return Poll::Ready(Some(Err(failure(kind))));
                }
                Some(Piece::Silence) => {
                    self.rest = vec![Piece::Silence].into_iter();
                    return Poll::Pending;
                }
            }
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.length.map_or_else(http_body::SizeHint::default, http_body::SizeHint::with_exact)
    }
}

pub(crate) fn request(id: u64, method: Method, target: &str, body: Body) -> Request {
    let request = http::Request::builder().method(method).uri(target).body(()).expect("the target is valid");
    Request::http(id, request.into_parts().0, body)
}

pub(crate) fn get(target: &str) -> Request {
    request(1, Method::GET, target, Body::empty())
}

pub(crate) fn post(body: &'static str) -> Request {
    request(1, Method::POST, "/post", Body::full(body))
}

/// How a response came, and its body or how it broke off.
pub(crate) struct Got {
    pub(crate) transport: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) body: Bytes,
    pub(crate) error: Option<Failure>,
}

pub(crate) async fn read(response: Response) -> Got {
    let via = response.via.expect("the router says how it went");
    let mut body = response.body;
    let (mut bytes, mut error) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..])),
            Err(failure) => error = Some(failure),
        }
    }
    Got { transport: via.transport.name(), reason: via.reason.expect("the router says why"), body: bytes.into(), error }
}
