//! Answers: those of the server itself, and those of hosts.

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep};
use tunnel_core::{Body, Failure, FailureKind};

use super::{exchange::Head, hub::InFlight};
use crate::reason;

/// An answer instead of the one that was asked for.
pub(super) type Refusal = Box<Response<Body>>;

/// Headers about the connection to the host, not about the response.
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) fn text(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Response<Body> {
    let message = match message.into() {
        Cow::Borrowed(message) => Bytes::from_static(message.as_bytes()),
        Cow::Owned(message) => Bytes::from(message),
    };
    with_type(status, "text/plain; charset=utf-8", message)
}

pub(super) fn refusal(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Refusal {
    Box::new(text(status, message))
}

/// What the app is told when there is no response: the sentence, with the status of its kind, and its name.
pub(super) fn failed(failure: &Failure) -> Refusal {
    let mut refusal = refusal(failure.kind().status(), failure.to_string());
    refusal.headers_mut().insert(reason::HEADER, HeaderValue::from_static(failure.kind().name()));
    refusal
}

pub(super) fn json(value: &Value) -> Response<Body> {
    with_type(StatusCode::OK, "application/json", Bytes::from(value.to_string()))
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Status and headers that a host has sent, as those of a response. A status or header that HTTP does not allow is a
/// 500, as at the published server; an informational status, which cannot end a request, is a 502.
pub(super) fn head(head: Head) -> Result<(StatusCode, HeaderMap), Refusal> {
    let status = StatusCode::from_u16(head.status).map_err(|_| {
        refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("Received invalid status code {}", head.status))
    })?;
    if status.is_informational() {
        return Err(failed(&Failure::new(
            FailureKind::Protocol,
            format!("the host answered with {status}, which ends no request"),
        )));
    }
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 1);
    for (name, value) in head.headers {
        let invalid = || refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("Received invalid header {name:?}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
        if name == header::CONTENT_LENGTH && !is_length(&value) {
            return Err(invalid());
        }
        if !HOP_BY_HOP.contains(&name) {
            headers.insert(name, value);
        }
    }
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
    Ok((status, headers))
}

fn is_length(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok())
}

/// How long the reader of a body waits; zero means for ever.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For the next piece.
    pub(super) idle: Duration,
    /// For a packet that is due while later ones are there.
    pub(super) gap: Duration,
}

/// The body of a response, as its packets come. Dropping it before its end aborts the request.
pub(super) struct ResponseBody {
    request: InFlight,
    patience: Patience,
    sleep: Option<Pin<Box<Sleep>>>,
    /// When the reader began to wait for what is due.
    waiting_since: Option<Instant>,
    /// The bytes that are still to come, if the head says how many.
    left: Option<u64>,
    /// Told after what is written has been flushed.
    failure: Option<Failure>,
    ended: bool,
}

impl ResponseBody {
    /// The body of a response that says that it has `length` bytes, or says nothing.
    pub(super) const fn new(request: InFlight, patience: Patience, length: Option<u64>) -> Self {
        Self { request, patience, sleep: None, waiting_since: None, left: length, failure: None, ended: false }
    }

    /// A response of another length than it says would look complete.
    fn count(&mut self, bytes: usize) -> Result<(), Failure> {
        if let Some(left) = self.left {
            self.left = Some(left.checked_sub(bytes as u64).ok_or_else(|| wrong_length("longer"))?);
        }
        Ok(())
    }

    /// Ready with the failure of having waited for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let gap = self.request.exchange.has_gap();
        let patience = if gap { self.patience.gap } else { self.patience.idle };
        if patience.is_zero() {
            return Poll::Pending;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(patience)));
        let deadline = since + patience;
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Failure::new(FailureKind::Timeout, format!("nothing more of the response came for {patience:?}")))
    }
}

fn wrong_length(than: &str) -> Failure {
    Failure::new(FailureKind::Protocol, format!("the response is {than} than its content-length says"))
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        let failure = match this.request.exchange.poll_piece(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                this.waiting_since = None;
                match this.count(piece.len()) {
                    Ok(()) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                    Err(failure) => failure,
                }
            }
            Poll::Ready(None) if this.left.is_some_and(|left| left > 0) => wrong_length("shorter"),
            Poll::Ready(None) => {
                this.ended = true;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(failure))) => failure,
            Poll::Pending => ready!(this.poll_patience(cx)),
        };
        // The HTTP library throws away what it has not flushed when a body fails, and flushes when one pauses.
        this.ended = true;
        this.failure = Some(failure);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none()
            && (self.ended || self.left.is_none_or(|left| left == 0) && self.request.exchange.is_at_end())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
