//! Whole messages over one stream per direction: a length (u32, big endian), then the bytes.

use bytes::{Buf, Bytes, BytesMut};

use crate::{CloseReason, P2PConnection, ReadError, RecvStream, SendStream, WriteError};

/// The largest message, in bytes (1 MiB): what one side makes the other hold in memory at once.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Whole messages in order. See [`P2PConnection::messages`].
pub struct Messages<C: P2PConnection> {
    connection: C,
    outgoing: Option<C::SendStream>,
    incoming: Option<Incoming<C::RecvStream>>,
    broken: bool,
}

struct Incoming<R> {
    stream: R,
    buffer: BytesMut,
}

impl<C: P2PConnection> Messages<C> {
    pub(crate) const fn new(connection: C) -> Self {
        Self { connection, outgoing: None, incoming: None, broken: false }
    }

    /// Sends one message. Waits while the peer does not read.
    ///
    /// Not cancel safe: after a drop in the middle, the channel refuses further messages rather than garble them.
    pub async fn send(&mut self, message: Bytes) -> Result<(), MessageError> {
        let length = u32::try_from(message.len()).ok().filter(|_| message.len() <= MESSAGE_BYTES_MAX);
        let length = length.ok_or(MessageError::TooLarge { bytes: message.len() as u64 })?;
        if std::mem::replace(&mut self.broken, true) {
            return Err(MessageError::Write(WriteError::Closed));
        }
        let stream = self.outgoing().await?;
        let mut chunks = [Bytes::copy_from_slice(&length.to_be_bytes()), message];
        stream.write_chunks(&mut chunks).await.map_err(MessageError::Write)?;
        self.broken = false;
        Ok(())
    }

    /// No more messages will be sent; the peer's [`recv`](Self::recv) returns `None` after the last one. Cancel safe.
    pub async fn finish(&mut self) -> Result<(), MessageError> {
        if self.broken {
            return Err(MessageError::Write(WriteError::Closed));
        }
        self.outgoing().await?.finish();
        self.broken = true;
        Ok(())
    }

    /// The next message; `None` after the peer has finished. Cancel safe.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, MessageError> {
        let incoming = match &mut self.incoming {
            Some(incoming) => incoming,
            none => {
                let stream = self.connection.accept_uni().await.map_err(MessageError::ConnectionLost)?;
                none.insert(Incoming { stream, buffer: BytesMut::new() })
            }
        };
        loop {
            if let Some(message) = incoming.take()? {
                return Ok(Some(message));
            }
            let mut chunks = [const { Bytes::new() }; 8];
            match incoming.stream.read_chunks(&mut chunks).await.map_err(MessageError::Read)? {
                Some(count) => chunks[..count].iter().for_each(|chunk| incoming.buffer.extend_from_slice(chunk)),
                None if incoming.buffer.is_empty() => return Ok(None),
                None => return Err(MessageError::Truncated),
            }
        }
    }
}

impl<C: P2PConnection> Messages<C> {
    async fn outgoing(&mut self) -> Result<&mut C::SendStream, MessageError> {
        Ok(match &mut self.outgoing {
            Some(stream) => stream,
            none => none.insert(self.connection.open_uni().await.map_err(MessageError::ConnectionLost)?),
        })
    }
}

impl<R> Incoming<R> {
    fn take(&mut self) -> Result<Option<Bytes>, MessageError> {
        let Some(head) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLarge { bytes: length as u64 });
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// A message cannot be sent or received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Local or peer: larger than [`MESSAGE_BYTES_MAX`].
    #[error("a message of {bytes} bytes is over the limit of {MESSAGE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// Peer: its stream ended inside a message.
    #[error("the peer's stream ended inside a message")]
    Truncated,
    /// The stream cannot be written.
    #[error("cannot send a message: {0}")]
    Write(#[source] WriteError),
    /// The stream cannot be read.
    #[error("cannot receive a message: {0}")]
    Read(#[source] ReadError),
    /// The connection is gone.
    #[error("connection lost: {0}")]
    ConnectionLost(#[source] CloseReason),
}
