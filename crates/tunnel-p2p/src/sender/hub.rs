//! Between the transports and the server's message loop.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use http_body::{Body as _, Frame};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, RequestHead, Response, WsOpen, WsUpgrade,
    convert::{LossPolicy, PAYLOAD_BYTES_MAX, PROFILE_HEADER, to_tunnel},
    moosicbox_tunnel::TunnelHttpRequest,
};

use super::{
    ids::Ids,
    message::{TunnelMessage, http_text},
    queue::Queue,
    requests::{Asked, Requests},
    websockets::WebSockets,
    ws_session,
};
use crate::{
    task,
    ws_protocol::{WS_PATH, WS_PROTOCOL, is_offered},
};

/// Requests that may be under way, from the first look at them to the end of their responses.
const REQUESTS_MAX: usize = 4096;

/// How long the loop may take to begin an answer. Longer than the service may take, so that its more exact failure arrives.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(70);

/// What transports ask, and the loop answers.
pub(super) struct Hub {
    pub(super) requests: Arc<Requests>,
    pub(super) websockets: Arc<WebSockets>,
    /// Cancelled when there will be no more messages.
    pub(super) closed: CancellationToken,
    ids: Arc<Ids>,
    exact: bool,
    losses: LossPolicy,
    /// To the loop.
    queue: Arc<Queue>,
    passing_on: Mutex<Option<AbortOnDropHandle<()>>>,
    places: Arc<Semaphore>,
    #[cfg(feature = "moosicbox-ws")]
    player_actions: Mutex<Vec<(u64, moosicbox_ws::PlayerAction)>>,
}

impl Hub {
    pub(super) fn new(seed: Option<u64>, exact: bool) -> Self {
        let ids = Arc::new(Ids::new(seed));
        Self {
            requests: Arc::default(),
            websockets: Arc::new(WebSockets::new(Arc::clone(&ids))),
            closed: CancellationToken::new(),
            ids,
            exact,
            losses: LossPolicy::default(),
            queue: Arc::default(),
            passing_on: Mutex::new(None),
            places: Arc::new(Semaphore::new(REQUESTS_MAX)),
            #[cfg(feature = "moosicbox-ws")]
            player_actions: Mutex::default(),
        }
    }

    #[cfg(feature = "moosicbox-ws")]
    pub(super) fn player_actions(&self) -> Vec<(u64, moosicbox_ws::PlayerAction)> {
        self.player_actions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(feature = "moosicbox-ws")]
    pub(super) fn add_player_action(&self, id: u64, action: moosicbox_ws::PlayerAction) {
        self.player_actions.lock().unwrap_or_else(PoisonError::into_inner).push((id, action));
    }

    /// A number that nobody else has.
    pub(super) fn number(&self) -> u64 {
        self.ids.free(None, |_| false)
    }

    /// The messages for a loop, which takes the place of any before it.
    pub(super) fn start(&self) -> mpsc::Receiver<TunnelMessage> {
        // What waits, waits in the queue, from which it can be taken back.
        let (to_loop, receiver) = mpsc::channel(1);
        if let Some(number) = self.queue.start() {
            let passing_on = task::spawn(Arc::clone(&self.queue).pass_on(number, to_loop));
            *self.passing_on.lock().unwrap_or_else(PoisonError::into_inner) = Some(passing_on);
        }
        receiver
    }

    /// Takes nothing new; what is under way may end. The loop's receiver ends with the last of it.
    pub(super) fn close(&self) {
        self.closed.cancel();
        self.queue.close();
        self.websockets.close();
    }

    /// What the loop can be told of the request.
    async fn say(&self, head: RequestHead, body: Body) -> Result<(Option<u64>, Asked), Failure> {
        let parts = match head {
            RequestHead::Tunnel(said) => return Ok((Some(said.request_id), Asked { said: *said, born: None })),
            RequestHead::Http(parts) => *parts,
        };
        let body = collected(body).await?;
        let (said, losses) = to_tunnel(&parts, body.as_bytes(), 0);
        if !self.exact {
            self.losses.check(&parts.method, &losses)?;
        }
        Ok((None, Asked { said, born: Some((parts, body)) }))
    }
}

#[async_trait]
impl Handler for Hub {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let late = |_| {
            Failure::new(
                FailureKind::ServiceTimeout,
                format!("the server's message loop did not begin an answer within {ANSWER_TIMEOUT:?}"),
            )
        };
        let user = self.queue.enter()?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place =
            place.map_err(|_| Failure::new(FailureKind::Overloaded, "the server has too many requests in flight"))?;
        let end = Instant::now() + ANSWER_TIMEOUT;
        let (wanted, asked) = timeout_at(end, self.say(request.head, request.body)).await.map_err(late)??;
        let mut text = String::new();
        let asked = |id| {
            let said = TunnelHttpRequest { request_id: id, ..asked.said };
            text = http_text(said.clone());
            Asked { said, born: asked.born }
        };
        let mut waiting = self.requests.insert(wanted, &self.ids, asked, place);
        let room = timeout_at(end, user.room(text.len())).await.map_err(late)?;
        waiting.told(user.ask(text, room), user);
        tracing::trace!(request = waiting.id(), "asks the server's message loop");
        timeout_at(end, waiting.answer()).await.map_err(late)?
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let user = self.queue.enter()?;
        if open.uri.path() != WS_PATH {
            let body = Body::full(format!("WebSockets are at {WS_PATH}.\n"));
            return Ok(WsUpgrade::Rejected(Response::new(StatusCode::NOT_FOUND, body)));
        }
        let many = is_offered(&open.headers);
        let mut headers = HeaderMap::new();
        if many {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(WS_PROTOCOL));
        }
        let profile = profile(&open);
        let session = ws_session::open(Arc::clone(&self.websockets), many, profile, user);
        Ok(WsUpgrade::Accepted { headers, session, via: None })
    }
}

/// The body in memory, if it says that it is short enough for the tunnel's form; else as it is.
async fn collected(mut body: Body) -> Result<Body, Failure> {
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length <= PAYLOAD_BYTES_MAX && !body.is_buffered()) else {
        return Ok(body);
    };
    let mut bytes = BytesMut::with_capacity(length);
    let mut trailers = None;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
        if bytes.len() > length {
            return Err(Failure::new(FailureKind::BadRequest, "the request body is longer than it was said to be"));
        }
    }
    if bytes.len() < length {
        return Err(Failure::new(FailureKind::BadRequest, "the request body is shorter than it was said to be"));
    }
    let bytes = bytes.freeze();
    Ok(if trailers.is_some() { Body::stream(Trailed { bytes, trailers }) } else { Body::full(bytes) })
}

/// A short body with trailers, for which a body in memory has no place.
struct Trailed {
    bytes: Bytes,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Trailed {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if !self.bytes.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

/// The profile of a WebSocket client, by the rules for requests.
fn profile(open: &WsOpen) -> Option<String> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.uri.clone_from(&open.uri);
    if let Some(profile) = open.headers.get(PROFILE_HEADER) {
        parts.headers.insert(PROFILE_HEADER, profile.clone());
    }
    to_tunnel(&parts, Some(&Bytes::new()), 0).0.profile
}
