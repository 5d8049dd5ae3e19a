//! A connection, as its user holds it.

use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
};

use futures::{Stream, StreamExt, stream};
use tokio::sync::SetOnce;

use super::{
    shared::Shared,
    stream::{SimRecvStream, SimSendStream},
    world::{SideId, StreamDirection},
};
use crate::{CloseReason, ConnectionLimits, P2PConnection, Path, PeerId, PeerInfo};

/// A connection to another simulated peer.
#[derive(Clone)]
pub struct SimConnection(Arc<Handle>);

/// What keeps a side of a connection open: its connection and its streams hold it.
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) side: SideId,
    id: u64,
    peer: PeerId,
    closed: Option<Arc<SetOnce<CloseReason>>>,
}

impl SimConnection {
    /// The number by which the trace calls this connection; equal on both sides.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.side.connection
    }

    pub(super) fn new(shared: &Arc<Shared>, side: SideId, id: u64) -> Self {
        let (peer, closed) = shared.with(|world| (world.peer_id_of(side), world.closed(side)));
        let peer = peer.unwrap_or(PeerId([0; 32]));
        Self(Arc::new(Handle { shared: Arc::clone(shared), side, id, peer, closed }))
    }

    pub(super) fn dialled(shared: &Arc<Shared>, side: SideId) -> Self {
        let id = shared.with(|world| world.take_dialled(side));
        Self::new(shared, side, id)
    }

    async fn open(&self, direction: StreamDirection) -> Result<u64, CloseReason> {
        poll_fn(|cx| self.0.shared.with(|world| world.poll_open(self.0.side, direction, cx.waker()))).await
    }

    async fn accept(&self, direction: StreamDirection) -> Result<u64, CloseReason> {
        poll_fn(|cx| self.0.shared.with(|world| world.poll_accept_stream(self.0.side, direction, cx.waker()))).await
    }

    fn halves(&self, stream: u64) -> (SimSendStream, SimRecvStream) {
        (SimSendStream::new(&self.0, stream), SimRecvStream::new(&self.0, stream))
    }
}

impl P2PConnection for SimConnection {
    type SendStream = SimSendStream;
    type RecvStream = SimRecvStream;

    async fn open_bi(&self) -> Result<(SimSendStream, SimRecvStream), CloseReason> {
        Ok(self.halves(self.open(StreamDirection::Bi).await?))
    }

    async fn accept_bi(&self) -> Result<(SimSendStream, SimRecvStream), CloseReason> {
        Ok(self.halves(self.accept(StreamDirection::Bi).await?))
    }

    async fn open_uni(&self) -> Result<SimSendStream, CloseReason> {
        Ok(SimSendStream::new(&self.0, self.open(StreamDirection::Uni).await?))
    }

    async fn accept_uni(&self) -> Result<SimRecvStream, CloseReason> {
        Ok(SimRecvStream::new(&self.0, self.accept(StreamDirection::Uni).await?))
    }

    fn id(&self) -> u64 {
        self.0.id
    }

    fn peer_info(&self) -> PeerInfo {
        PeerInfo { id: self.0.peer }
    }

    fn path(&self) -> Path {
        self.0.shared.with(|world| world.path(self.0.side))
    }

    fn path_changes(&self) -> impl Stream<Item = Path> + Send + Unpin + 'static {
        let (shared, side) = (Arc::clone(&self.0.shared), self.0.side);
        let news = shared.with(|world| world.path_changes(side));
        let state = news.map(|news| (news.count(), news));
        stream::unfold(state, move |state| {
            let shared = Arc::clone(&shared);
            async move {
                let (seen, news) = state?;
                let seen = news.after(seen).await?;
                Some((shared.with(|world| world.path(side)), Some((seen, news))))
            }
        })
        .boxed()
    }

    fn set_limits(&self, limits: ConnectionLimits) {
        self.0.shared.with(|world| world.set_limits(self.0.side, limits));
    }

    fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let closed = self.0.closed.clone();
        async move {
            match closed {
                Some(closed) => closed.wait().await.clone(),
                None => CloseReason::Local,
            }
        }
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.0.closed.as_ref().map_or(Some(CloseReason::Local), |closed| closed.get().cloned())
    }

    fn close(&self, code: u64, reason: &str) {
        self.0.shared.with(|world| world.close(self.0.side, code, reason));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.with(|world| world.let_go(self.side));
    }
}

impl fmt::Debug for SimConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimConnection({:?})", self.0.side)
    }
}
