//! A response, cut into packets.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use http_body::Body as _;
use moosicbox_tunnel::TunnelResponse;

use super::{PACKET_BYTES_MAX, encode_head};
use crate::{Body, Failure, FailureKind, Response};

/// The bytes before the body of every packet but the first.
const PLAIN_HEAD_BYTES: usize = 13;

/// The packets of one response, in order, each at most [`PACKET_BYTES_MAX`] bytes in its binary form.
///
/// A piece of the body goes out as soon as the body yields it: long pieces are cut, short ones are not collected. The
/// first packet waits for nothing but takes the first piece along if it is already there. The body is shared, never
/// copied. A failure of the body comes out as it is, a body of another length than it has declared is a
/// [`FailureKind::Protocol`], and no packet says `last` then.
///
/// Lost on the way, for packets have no place for it: trailers, and what [`single_valued`] loses of the headers.
///
/// Dropping the packets before their end drops the body, and so aborts the exchange.
#[derive(Debug)]
pub struct Packets {
    request_id: u64,
    /// Status and headers, until packet 1 is out.
    head: Option<(u16, BTreeMap<String, String>)>,
    head_bytes: usize,
    body: Option<Body>,
    /// What a cut piece has left.
    rest: Bytes,
    /// What the body still owes, if it said how long it is.
    due: Option<u64>,
    sent: u32,
}

impl Packets {
    /// Cuts `response`, the response to this request.
    ///
    /// Headers that do not fit into one packet as JSON are a [`FailureKind::TooLarge`]; the body is dropped then.
    pub fn new(request_id: u64, response: Response) -> Result<Self, Failure> {
        let status = response.status.as_u16();
        let headers = Some(single_valued(&response.headers));
        let mut first = TunnelResponse {
            request_id,
            packet_id: 1,
            last: false,
            bytes: Bytes::new(),
            status: Some(status),
            headers,
        };
        let head_bytes = encode_head(&first).map_or(usize::MAX, |head| head.len());
        if head_bytes > PACKET_BYTES_MAX {
            return Err(Failure::new(
                FailureKind::TooLarge,
                format!("the response headers do not fit into a packet of {PACKET_BYTES_MAX} bytes"),
            ));
        }
        let head = Some((status, first.headers.take().unwrap_or_default()));
        let due = response.body.size_hint().exact();
        Ok(Self { request_id, head, head_bytes, body: Some(response.body), rest: Bytes::new(), due, sent: 0 })
    }

    /// The most body bytes that the next packet can carry.
    fn room(&self) -> usize {
        PACKET_BYTES_MAX - if self.head.is_some() { self.head_bytes } else { PLAIN_HEAD_BYTES }
    }

    /// The next packet with as much of `rest` as fits.
    fn cut(&mut self) -> Result<TunnelResponse, Failure> {
        let bytes = self.rest.split_to(self.rest.len().min(self.room()));
        // A body that owes something has not ended, whatever it says: it is asked for more.
        let complete = self.rest.is_empty() && self.due.is_none_or(|due| due == 0);
        let last = complete && self.body.as_ref().is_none_or(http_body::Body::is_end_stream);
        if last {
            self.body = None;
        }
        let Some(packet_id) = self.sent.checked_add(1) else {
            self.body = None;
            return Err(Failure::new(FailureKind::TooLarge, "the response has more packets than 32 bits can number"));
        };
        self.sent = packet_id;
        let (status, headers) = self.head.take().unzip();
        Ok(TunnelResponse { request_id: self.request_id, packet_id, last, bytes, status, headers })
    }
}

impl Packets {
    /// The service did not keep its word, and a part must not pass for the whole.
    fn wrong_length(&mut self, how: &str) -> Failure {
        self.body = None;
        self.rest = Bytes::new();
        Failure::new(FailureKind::Protocol, format!("the body of the response is {how} than it was said to be"))
    }
}

impl Stream for Packets {
    type Item = Result<TunnelResponse, Failure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            // A head that fills its packet leaves no room: it goes alone.
            let ends = body.is_end_stream() && this.due.is_none_or(|due| due == 0);
            if !this.rest.is_empty() || (this.head.is_some() && ends) {
                return Poll::Ready(Some(this.cut()));
            }
            match Pin::new(body).poll_frame(cx) {
                // Empty pieces and trailers have no packet.
                Poll::Ready(Some(Ok(frame))) => {
                    this.rest = frame.into_data().unwrap_or_default();
                    if let Some(due) = &mut this.due {
                        match due.checked_sub(this.rest.len() as u64) {
                            Some(left) => *due = left,
                            None => return Poll::Ready(Some(Err(this.wrong_length("longer")))),
                        }
                    }
                }
                Poll::Ready(Some(Err(failure))) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(failure)));
                }
                Poll::Ready(None) if this.due.is_some_and(|due| due > 0) => {
                    return Poll::Ready(Some(Err(this.wrong_length("shorter"))));
                }
                Poll::Ready(None) => {
                    // An empty packet, which says `last` because the body is gone.
                    let packet = {
                        this.body = None;
                        this.cut()
                    };
                    return Poll::Ready(Some(packet));
                }
                Poll::Pending if this.head.is_some() => return Poll::Ready(Some(this.cut())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The headers as packets carry them: one value for each name.
///
/// Lost: of a repeated header all values but the last (a second `set-cookie`, say), values that are not UTF-8, and the
/// order of different names.
#[must_use]
pub fn single_valued(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
