//! Bodies made to order, and what bodies held.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tunnel_core::{Body, Failure, FailureKind};

use crate::{patience::soon, service::Guard};

/// A body of these pieces, of unknown length, without trailers.
pub fn pieces(pieces: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static) -> Body {
    Body::stream(StreamBody::new(Box::pin(pieces.map(|piece| piece.map(Frame::data)))))
}

/// A body of these frames, of unknown length.
pub fn frames(frames: impl Stream<Item = Result<Frame<Bytes>, Failure>> + Send + 'static) -> Body {
    Body::stream(StreamBody::new(Box::pin(frames)))
}

/// A body whose pieces the case sends one by one. It ends with the sender.
pub fn by_hand() -> (mpsc::Sender<Result<Bytes, Failure>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let taking = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    (sender, pieces(taking))
}

/// The body as it is, but declared to have this length.
pub fn declared(bytes: u64, body: Body) -> Body {
    Body::stream(Declared { bytes, body })
}

struct Declared {
    bytes: u64,
    body: Body,
}

impl http_body::Body for Declared {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}

/// `total` bytes of a pattern that shows a lost or moved piece, in pieces of `piece` bytes.
pub fn pattern(total: usize, piece: usize) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    stream::iter((0..total).step_by(piece)).map(move |start| Ok(pattern_piece(start, piece.min(total - start))))
}

/// The bytes of the pattern from `start`.
pub fn pattern_piece(start: usize, length: usize) -> Bytes {
    (start..start + length).map(pattern_byte).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a byte of a pattern")]
fn pattern_byte(position: usize) -> u8 {
    (position ^ (position >> 8) ^ (position >> 16)) as u8
}

/// Endless pieces; `pulled` counts the bytes taken, and the guard goes with the stream.
pub fn endless(
    piece: usize,
    pulled: Arc<AtomicU64>,
    guard: Option<Guard>,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    let bytes = Bytes::from(vec![7; piece]);
    stream::repeat_with(move || {
        let _kept = &guard;
        pulled.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.clone())
    })
}

/// Nothing, for ever; the guard goes with it.
pub fn silence(guard: Guard) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    stream::once(async move {
        let _kept = guard;
        std::future::pending().await
    })
}

/// A failure in place of a piece.
pub fn failing(kind: FailureKind) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    stream::iter([Err(Failure::new(kind, "made to fail"))])
}

/// What a body held.
pub struct Read {
    /// Its length.
    pub bytes: usize,
    /// Its SHA-256.
    pub hash: Vec<u8>,
    /// Its trailers; empty if there were none.
    pub trailers: HeaderMap,
}

/// Reads a body to its end, keeping only its hash.
pub async fn digest(mut body: Body) -> Result<Read, Failure> {
    let (mut bytes, mut hash, mut trailers) = (0, Sha256::new(), HeaderMap::new());
    while let Some(frame) = soon("the next piece of a body", body.frame()).await {
        match frame?.into_data() {
            Ok(data) => {
                bytes += data.len();
                hash.update(&data);
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(Read { bytes, hash: hash.finalize().to_vec(), trailers })
}

/// The hash of the pattern's first `total` bytes.
pub fn pattern_hash(total: usize) -> Vec<u8> {
    let mut hash = Sha256::new();
    for start in (0..total).step_by(1 << 16) {
        hash.update(pattern_piece(start, (1 << 16).min(total - start)));
    }
    hash.finalize().to_vec()
}

/// Reads a small body.
pub async fn bytes(body: Body) -> Result<Bytes, Failure> {
    Ok(soon("a small body", body.collect()).await?.to_bytes())
}

/// Reads a small body of text.
pub async fn text(body: Body) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&bytes(body).await?).into_owned())
}

/// The next piece, which must be there soon.
pub async fn piece(body: &mut Body) -> Bytes {
    let frame = soon("the next piece of a body", body.frame()).await.expect("the body goes on").expect("no failure");
    frame.into_data().expect("no trailers yet")
}

/// Waits until these bytes have arrived, in however many pieces.
pub async fn arrives(body: &mut Body, expected: impl AsRef<[u8]>) {
    let (expected, mut received) = (expected.as_ref(), Vec::new());
    while received.len() < expected.len() {
        received.extend_from_slice(&piece(body).await);
    }
    assert!(received == expected, "{} bytes arrived that are not the {} expected", received.len(), expected.len());
}

/// Reads until the body fails, and whether it stays over; panics when it ends well.
pub async fn body_error(mut body: Body) -> Failure {
    loop {
        match soon("the error of the body", body.frame()).await {
            Some(Ok(_)) => {}
            Some(Err(failure)) => {
                let after = soon("the end of the body", body.frame()).await;
                assert!(after.is_none(), "a body that failed goes on");
                return failure;
            }
            None => panic!("the body ended well"),
        }
    }
}
