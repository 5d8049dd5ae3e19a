//! A QUIC connection of Iroh.

use std::{future::Future, sync::Arc, time::Duration};

use futures::Stream;
use iroh::endpoint::{Connection, ConnectionError, VarInt};

use super::{
    path::{self, PathChanges},
    stream::{IrohRecvStream, IrohSendStream},
};
use crate::{CloseReason, ConnectionLimits, P2PConnection, Path, PathKind, PeerId, PeerInfo};

/// A connection to another Iroh peer.
#[derive(Clone, Debug)]
pub struct IrohConnection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: u64,
    connection: Connection,
}

impl IrohConnection {
    pub(super) fn new(id: u64, connection: Connection) -> Self {
        Self(Arc::new(Inner { id, connection }))
    }
}

impl P2PConnection for IrohConnection {
    type SendStream = IrohSendStream;
    type RecvStream = IrohRecvStream;

    async fn open_bi(&self) -> Result<(IrohSendStream, IrohRecvStream), CloseReason> {
        let (send, recv) = self.0.connection.open_bi().await.map_err(|error| close_reason(&error))?;
        Ok((IrohSendStream::new(send), IrohRecvStream::new(recv)))
    }

    async fn accept_bi(&self) -> Result<(IrohSendStream, IrohRecvStream), CloseReason> {
        let (send, recv) = self.0.connection.accept_bi().await.map_err(|error| close_reason(&error))?;
        Ok((IrohSendStream::new(send), IrohRecvStream::new(recv)))
    }

    async fn open_uni(&self) -> Result<IrohSendStream, CloseReason> {
        self.0.connection.open_uni().await.map(IrohSendStream::new).map_err(|error| close_reason(&error))
    }

    async fn accept_uni(&self) -> Result<IrohRecvStream, CloseReason> {
        self.0.connection.accept_uni().await.map(IrohRecvStream::new).map_err(|error| close_reason(&error))
    }

    fn id(&self) -> u64 {
        self.0.id
    }

    fn peer_info(&self) -> PeerInfo {
        PeerInfo { id: PeerId(*self.0.connection.remote_id().as_bytes()) }
    }

    fn path(&self) -> Path {
        path::current(&self.0.connection)
    }

    fn path_kind(&self) -> PathKind {
        path::kind(&self.0.connection)
    }

    fn rtt(&self) -> Option<Duration> {
        path::rtt(&self.0.connection)
    }

    fn path_changes(&self) -> impl Stream<Item = Path> + Send + Unpin + 'static {
        PathChanges::new(&self.0.connection)
    }

    fn set_limits(&self, limits: ConnectionLimits) {
        let connection = &self.0.connection;
        connection.set_max_concurrent_bi_streams(limits.bidi_streams.into());
        connection.set_max_concurrent_uni_streams(limits.uni_streams.into());
        connection.set_receive_window(VarInt::from_u64(limits.receive_window).unwrap_or(VarInt::MAX));
    }

    fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let connection = self.0.connection.weak_handle();
        async move { connection.closed().await.map_or(CloseReason::Local, |closed| close_reason(&closed.reason)) }
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.0.connection.close_reason().map(|error| close_reason(&error))
    }

    fn close(&self, code: u64, reason: &str) {
        // noq forgets why a connection ended when it is closed once more.
        if self.0.connection.close_reason().is_none() {
            self.0.connection.close(varint(code), reason.as_bytes());
        }
    }
}

/// A code for the wire; QUIC has 62 bits for it.
pub(super) fn varint(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

pub(super) fn close_reason(error: &ConnectionError) -> CloseReason {
    match error {
        ConnectionError::LocallyClosed => CloseReason::Local,
        ConnectionError::ApplicationClosed(close) => CloseReason::Peer {
            code: close.error_code.into_inner(),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        ConnectionError::TimedOut => CloseReason::TimedOut,
        other => CloseReason::Transport(other.to_string()),
    }
}
