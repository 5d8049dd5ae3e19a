//! What is sent: the same 64 KiB over and over, shared, so that making it costs nothing.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use async_trait::async_trait;
use axum::Router;
use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, RequestHead, Response, WsOpen, WsUpgrade};

/// Bytes per piece: what services and HTTP libraries commonly hand over at once.
const PIECE: usize = 64 << 10;

static BLOCK: [u8; PIECE] = [0x5a; PIECE];

/// A body of known length, in pieces of 64 KiB that are never copied.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    left: u64,
}

impl Pieces {
    /// That many bytes.
    pub(super) const fn new(bytes: u64) -> Self {
        Self { left: bytes }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        self.left -= length as u64;
        (length > 0).then(|| Bytes::from_static(&BLOCK[..length]))
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Poll::Ready(self.get_mut().next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body for the tunnel: small ones in memory, as a real request would have them.
pub(super) fn body(bytes: u64) -> Body {
    let mut pieces = Pieces::new(bytes);
    if bytes <= PIECE as u64 { Body::full(pieces.next().unwrap_or_default()) } else { Body::stream(pieces) }
}

/// Reads a body to its end and returns its length.
pub(super) async fn read<B>(mut body: B) -> Result<u64, B::Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, |piece| piece.len() as u64);
    }
    Ok(bytes)
}

/// Answers in memory: `/1024` reads the request to its end and answers with 1,024 bytes.
#[derive(Debug)]
pub(super) struct InMemory;

#[async_trait]
impl Handler for InMemory {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let wrong = || Failure::new(FailureKind::BadRequest, "the path is not a number of bytes");
        let RequestHead::Http(parts) = request.head else { return Err(wrong()) };
        let bytes = wanted(&parts.uri).ok_or_else(wrong)?;
        read(request.body).await?;
        Ok(Response::new(StatusCode::OK, body(bytes)))
    }

    async fn ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::BadRequest, "no WebSockets here"))
    }
}

/// The same over HTTP. Dropping the future stops it.
pub(super) async fn serve(listener: TcpListener) -> std::io::Result<()> {
    use axum::serve::ListenerExt;

    let listener = listener.tap_io(|stream| {
        // Small answers must not wait for the acknowledgement of the one before.
        _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().fallback(answer)).await
}

async fn answer(uri: Uri, request: axum::body::Body) -> Result<axum::body::Body, StatusCode> {
    let bytes = wanted(&uri).ok_or(StatusCode::BAD_REQUEST)?;
    read(request).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(axum::body::Body::new(Pieces::new(bytes)))
}

fn wanted(uri: &Uri) -> Option<u64> {
    uri.path().strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_their_length() {
        for bytes in [0, 1, 65_535, 65_536, 65_537, 1 << 20] {
            assert_eq!(Pieces::new(bytes).map(|piece| piece.len() as u64).sum::<u64>(), bytes);
        }
    }
}
