//! The sending side of a body.

use std::{pin::Pin, sync::Arc, task::Poll};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::Body as _;
use p2p_provider::{P2PConnection, SendStream, WriteError};
use tokio::sync::OwnedSemaphorePermit;
use tunnel_core::{Body, Failure};

use super::body_streams;
use crate::{
    credit::SendCredit,
    failure,
    session::{Channel, Session},
    wire::{
        continuation::Continuation,
        frame::{FrameType, data_header, put_header},
        head::put_end,
    },
};

/// A body that is declared longer, or has grown longer, continues on the bulk connection: 256 KiB take 0.5 ms at
/// 500 MB/s, about the delay that one such body may cause to small exchanges.
const MOVE_BYTES: u64 = 256 << 10;

/// What is ready at once is sent as one frame up to this size. Larger pieces are cut: a body that is spread needs about
/// as much of each window.
const BATCH_BYTES: usize = 64 << 10;

/// ... and up to this number of pieces.
const BATCH_PIECES: usize = 32;

/// Why a body was not sent to its end.
#[derive(Debug)]
pub(crate) enum SendBodyError {
    /// The reader stopped it, with this code.
    Stopped(u64),
    /// The body's own source failed.
    Source(Failure),
    /// The connection is gone, or the trailers are too long.
    Failed(Failure),
}

/// Sends `head` (already encoded) and then the body, ends the stream, and returns once all is handed to the transport.
///
/// Small messages leave in one write. On an error the stream is reset. Dropping the future resets it, too.
pub(crate) async fn send_message<C: P2PConnection>(
    session: &Arc<Session<C>>,
    stream: C::SendStream,
    head: Bytes,
    body: Body,
) -> Result<(), SendBodyError> {
    let number = stream.id();
    let mut writer = Writer::<C> {
        outputs: vec![Output::new(&session.main, stream, None)],
        turn: 0,
        session,
        number,
        left: None,
        bytes: None,
        sent: 0,
        next_move: MOVE_BYTES,
        batch: vec![head],
    };
    let result = writer.run(body).await;
    if let Err(error) = &result {
        let code = match error {
            SendBodyError::Stopped(code) => *code,
            SendBodyError::Source(failure) | SendBodyError::Failed(failure) => failure::body_code(failure),
        };
        writer.outputs.iter_mut().chain(&mut writer.left).for_each(|output| output.stream.reset(code));
    }
    result
}

struct Writer<'a, C: P2PConnection> {
    /// The streams on which frames are sent, each in turn.
    outputs: Vec<Output<C>>,
    turn: usize,
    session: &'a Arc<Session<C>>,
    /// The exchange's stream on the main connection.
    number: u64,
    /// That stream, once the body has left it. It ends with the body, or is reset with it: a reset of the new stream
    /// alone may overtake the preface by which the reader would know it.
    left: Option<Output<C>>,
    /// The length of the body, if it is known.
    bytes: Option<u64>,
    sent: u64,
    next_move: u64,
    batch: Vec<Bytes>,
}

/// A stream, the right to send frames on it, and the news that its reader has stopped.
struct Output<C: P2PConnection> {
    stream: C::SendStream,
    credit: SendCredit,
    stopped: BoxFuture<'static, Option<u64>>,
    /// The place of a second or further stream of a body.
    _place: Option<OwnedSemaphorePermit>,
}

impl<C: P2PConnection> Output<C> {
    fn new(channel: &Channel<C>, stream: C::SendStream, place: Option<OwnedSemaphorePermit>) -> Self {
        let stopped = Box::pin(stream.stopped());
        Self { credit: channel.send_credit(stream.id()), stream, stopped, _place: place }
    }
}

/// What the source of a body had ready.
enum Gathered {
    Data,
    End(HeaderMap),
}

impl<C: P2PConnection> Writer<'_, C> {
    async fn run(&mut self, mut body: Body) -> Result<(), SendBodyError> {
        if body.is_end_stream() {
            self.flush().await?;
            self.finish();
            return Ok(());
        }
        let size = body.size_hint();
        self.bytes = size.exact();
        if size.lower() >= MOVE_BYTES {
            self.try_move().await?;
        }
        let mut leftover = None;
        loop {
            let mut pieces = Vec::new();
            let gathered = self.gather(&mut body, &mut pieces, &mut leftover).await?;
            let bytes: usize = pieces.iter().map(Bytes::len).sum();
            if bytes > 0 {
                if self.sent >= self.next_move && self.left.is_none() {
                    self.next_move = self.sent + MOVE_BYTES;
                    self.try_move().await?;
                }
                self.take_credit().await?;
                self.batch.push(data_header(bytes));
                self.batch.append(&mut pieces);
                self.sent += bytes as u64;
                if self.outputs.len() > 1 {
                    self.flush().await?;
                    self.turn = (self.turn + 1) % self.outputs.len();
                }
            }
            if let Gathered::End(trailers) = gathered {
                let mut end = BytesMut::new();
                put_end(&mut end, &trailers).map_err(|error| SendBodyError::Failed(failure::head_too_long(error)))?;
                self.batch.push(end.freeze());
                self.flush().await?;
                self.finish();
                return Ok(());
            }
            self.flush().await?;
        }
    }

    fn finish(&mut self) {
        self.outputs.iter_mut().chain(&mut self.left).for_each(|output| output.stream.finish());
    }

    /// Waits for the first piece (unless a head is waiting to be sent), then takes what else is ready.
    async fn gather(
        &mut self,
        body: &mut Body,
        pieces: &mut Vec<Bytes>,
        leftover: &mut Option<Bytes>,
    ) -> Result<Gathered, SendBodyError> {
        let mut bytes = 0;
        if let Some(piece) = leftover.take() {
            bytes += keep(piece, pieces, leftover);
        }
        while bytes < BATCH_BYTES && pieces.len() < BATCH_PIECES && leftover.is_none() {
            let may_wait = bytes == 0 && self.batch.is_empty();
            let stopped = &mut self.outputs[self.turn].stopped;
            let frame = std::future::poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(Some(frame))),
                Poll::Pending if !may_wait => Poll::Ready(Ok(None)),
                Poll::Pending => stopped.as_mut().poll(cx).map(Err),
            });
            match frame.await {
                Ok(Some(Some(Ok(frame)))) => match frame.into_data() {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => bytes += keep(piece, pieces, leftover),
                    Err(frame) => return Ok(Gathered::End(frame.into_trailers().unwrap_or_default())),
                },
                Ok(Some(Some(Err(error)))) => return Err(SendBodyError::Source(error)),
                Ok(Some(None)) => return Ok(Gathered::End(HeaderMap::new())),
                Ok(None) => return Ok(Gathered::Data),
                Err(code) => return Err(SendBodyError::Stopped(code.unwrap_or_default())),
            }
        }
        Ok(Gathered::Data)
    }

    async fn take_credit(&mut self) -> Result<(), SendBodyError> {
        // What is already encoded must not wait behind a slow reader.
        if !self.batch.is_empty() {
            let ready = {
                let mut credit = std::pin::pin!(self.outputs[self.turn].credit.take());
                futures::poll!(credit.as_mut()).is_ready()
            };
            if ready {
                return Ok(());
            }
            self.flush().await?;
        }
        let Output { credit, stopped, .. } = &mut self.outputs[self.turn];
        tokio::select! {
            biased;
            () = credit.take() => Ok(()),
            code = stopped => Err(SendBodyError::Stopped(code.unwrap_or_default())),
        }
    }

    /// Continues on the bulk connection, if there is one with a free stream.
    async fn try_move(&mut self) -> Result<(), SendBodyError> {
        let Some(bulk) = self.session.bulk() else { return Ok(()) };
        let outputs = open_free(&bulk, self.bytes).await;
        let Ok(count @ 1..) = u8::try_from(outputs.len()) else { return Ok(()) };
        let mut moved = BytesMut::new();
        put_header(&mut moved, FrameType::Moved, 0);
        self.batch.push(moved.freeze());
        self.flush().await?;
        self.left = std::mem::replace(&mut self.outputs, outputs).pop();
        // At once: the reader waits for all of them.
        for index in 0..count {
            self.turn = index.into();
            self.batch.push(Continuation { exchange: self.number, index, count }.preface());
            self.flush().await?;
        }
        self.turn = 0;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SendBodyError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let written = self.outputs[self.turn].stream.write_chunks(&mut self.batch).await;
        self.batch.clear();
        written.map_err(|error| match error {
            WriteError::Stopped(code) => SendBodyError::Stopped(code),
            other => SendBodyError::Failed(failure::write(&other)),
        })
    }
}

/// Opens as many streams as a body of this length takes on this path, or as there are free ones. Does not wait.
async fn open_free<C: P2PConnection>(bulk: &Channel<C>, bytes: Option<u64>) -> Vec<Output<C>> {
    let mut outputs = Vec::new();
    for index in 0..body_streams(bulk.connection.rtt().unwrap_or_default(), bytes) {
        let place = (index > 0).then(|| Arc::clone(&bulk.spread).try_acquire_owned()).transpose();
        let Ok(place) = place else { break };
        let opened = {
            let mut open = std::pin::pin!(bulk.connection.open_uni());
            futures::poll!(open.as_mut())
        };
        let Poll::Ready(Ok(stream)) = opened else { break };
        outputs.push(Output::new(bulk, stream, place));
    }
    outputs
}

/// Adds a piece; what goes beyond a frame stays for the next one.
fn keep(mut piece: Bytes, pieces: &mut Vec<Bytes>, leftover: &mut Option<Bytes>) -> usize {
    if piece.len() > BATCH_BYTES {
        *leftover = Some(piece.split_off(BATCH_BYTES));
    }
    let bytes = piece.len();
    pieces.push(piece);
    bytes
}
