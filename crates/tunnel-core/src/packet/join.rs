//! Packets, joined into a response.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use moosicbox_tunnel::TunnelResponse;

use super::Sequence;
use crate::{Body, Failure, FailureKind, Response};

/// Waits for packet 1 and returns the response; its body reads the other packets as it is read.
///
/// Packets may come in any order within the limits of [`Sequence`]. The body ends with success only after the packet
/// that says `last`; an end of `packets` before it is [`FailureKind::ConnectionLost`], or [`FailureKind::Protocol`] if
/// the last packet came but one before it did not. After the last packet, and after a failure, `packets` is dropped.
///
/// A status outside 200 to 999 and a header that HTTP does not allow are [`FailureKind::Protocol`].
///
/// Waits as long as `packets` does: put a time limit around it. Dropping the future, or the body, drops `packets`.
pub async fn response_from_packets<S>(request_id: u64, packets: S) -> Result<Response, Failure>
where
    S: Stream<Item = Result<TunnelResponse, Failure>> + Send + 'static,
{
    let mut ordered = Ordered { sequence: Sequence::new(request_id), packets: Some(Box::pin(packets)) };
    let Some(first) = poll_fn(|cx| ordered.poll_next(cx)).await.transpose()? else {
        return Err(Failure::new(FailureKind::Internal, "a response ended before its first packet"));
    };
    let status = status(first.status.unwrap_or_default())?;
    let headers = header_map(first.headers.unwrap_or_default())?;
    let body =
        if first.last { Body::full(first.bytes) } else { Body::stream(PacketBody { first: first.bytes, ordered }) };
    Ok(Response { status, headers, body, via: None })
}

fn status(status: u16) -> Result<StatusCode, Failure> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.as_u16() >= 200)
        .ok_or_else(|| Failure::new(FailureKind::Protocol, format!("{status} is not the status of a response")))
}

fn header_map(headers: BTreeMap<String, String>) -> Result<HeaderMap, Failure> {
    headers
        .into_iter()
        .map(|(name, value)| match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            _ => Err(Failure::new(FailureKind::Protocol, format!("the response header {name:?} is not valid HTTP"))),
        })
        .collect()
}

struct PacketBody {
    /// The piece that came with the head, until it is read.
    first: Bytes,
    ordered: Ordered,
}

impl http_body::Body for PacketBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        loop {
            match ready!(self.ordered.poll_next(cx)) {
                Some(Ok(packet)) if packet.bytes.is_empty() => {}
                Some(Ok(packet)) => return Poll::Ready(Some(Ok(Frame::data(packet.bytes)))),
                Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.ordered.sequence.is_complete()
    }
}

/// The packets in order; `None` after the last one or after a failure.
struct Ordered {
    sequence: Sequence,
    packets: Option<BoxStream<'static, Result<TunnelResponse, Failure>>>,
}

impl Ordered {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<TunnelResponse, Failure>>> {
        loop {
            let Some(packets) = &mut self.packets else { return Poll::Ready(None) };
            if let Some(packet) = self.sequence.pop() {
                if self.sequence.is_complete() {
                    self.packets = None;
                }
                return Poll::Ready(Some(Ok(packet)));
            }
            let outcome = match ready!(packets.as_mut().poll_next(cx)) {
                Some(packet) => packet.and_then(|packet| self.sequence.push(packet)),
                None => self.sequence.finish(),
            };
            if let Err(failure) = outcome {
                self.packets = None;
                return Poll::Ready(Some(Err(failure)));
            }
        }
    }
}
