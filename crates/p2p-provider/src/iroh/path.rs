//! Which way packets go.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use iroh::{
    TransportAddr,
    endpoint::{Connection, PathEventStream, WeakConnectionHandle},
};

use crate::{Path, PathKind};

/// The selected path. For an instant while paths change there may be none.
pub(super) fn current(connection: &Connection) -> Path {
    let paths = connection.paths();
    let Some(path) = paths.iter().find(iroh::endpoint::Path::is_selected) else {
        return Path { kind: PathKind::Unknown, remote: None, rtt: None };
    };
    let remote = match path.remote_addr() {
        TransportAddr::Ip(address) => Some(address.to_string()),
        TransportAddr::Relay(url) => Some(url.to_string()),
        _ => None,
    };
    Path { kind: kind_of(&path), remote, rtt: Some(path.rtt()) }
}

/// The kind of the selected path.
pub(super) fn kind(connection: &Connection) -> PathKind {
    let paths = connection.paths();
    paths.iter().find(iroh::endpoint::Path::is_selected).map_or(PathKind::Unknown, |path| kind_of(&path))
}

/// The round-trip time of the selected path.
pub(super) fn rtt(connection: &Connection) -> Option<Duration> {
    let paths = connection.paths();
    paths.iter().find(iroh::endpoint::Path::is_selected).map(|path| path.rtt())
}

fn kind_of(path: &iroh::endpoint::Path<'_>) -> PathKind {
    if path.is_ip() {
        PathKind::Direct
    } else if path.is_relay() {
        PathKind::Relayed
    } else {
        PathKind::Unknown
    }
}

/// The path after each event. Events only wake it: what it yields is always read afresh, so a missed event costs
/// nothing.
pub(super) struct PathChanges {
    connection: WeakConnectionHandle,
    events: PathEventStream,
}

impl PathChanges {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { connection: connection.weak_handle(), events: connection.path_events() }
    }
}

impl Stream for PathChanges {
    type Item = Path;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Path>> {
        if ready!(Pin::new(&mut self.events).poll_next(cx)).is_none() {
            return Poll::Ready(None);
        }
        Poll::Ready(self.connection.upgrade().map(|connection| current(&connection)))
    }
}
