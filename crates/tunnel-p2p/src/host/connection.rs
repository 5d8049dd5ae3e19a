//! One connection of a client.

use std::sync::Arc;

use p2p_provider::{P2PConnection, P2PProvider, PeerId, SendStream};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tunnel_core::{Failure, FailureKind};

use super::{
    Shared,
    admission::{self, Admitted},
    exchange::{self, Places},
};
use crate::{
    config::{SOFTWARE, bulk_limits, main_limits},
    control::Control,
    failure,
    session::{Channel, Session},
    wire::{
        CAPABILITIES, MINOR,
        control::{self, Hello, Role, Welcome},
        frame::FrameType,
    },
};

/// Serves a connection until it ends, or until the host drains and the client has nothing left in flight.
pub(super) async fn serve<P: P2PProvider>(shared: Arc<Shared<P>>, connection: P::Connection) {
    let peer = connection.peer_info().id;
    // Kept until the connection is closed: a reset of the control stream that overtakes the close hides the reason.
    let mut accepted = None;
    let result = match timeout(shared.config.hello_timeout, Control::accept(&connection)).await {
        Ok(Ok((control, hello))) => admit(&shared, &connection, peer, accepted.insert(control), &hello).await,
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(Failure::new(FailureKind::Timeout, "no hello in time")),
    };
    match result {
        Ok(()) => connection.close(FailureKind::Aborted.code().into(), "done"),
        Err(failure) => {
            tracing::warn!(peer = %peer.short(), "refused a connection: {failure}");
            connection.close(failure.kind().code().into(), failure.message());
        }
    }
}

/// Decides whether the client may come in; if so, serves it to the end.
async fn admit<P: P2PProvider>(
    shared: &Arc<Shared<P>>,
    connection: &P::Connection,
    peer: PeerId,
    control: &mut Control<P::Connection>,
    hello: &[u8],
) -> Result<(), Failure> {
    let hello: Hello<'_> = control::parse(FrameType::Hello, hello).map_err(|error| failure::wire(&error))?;
    let admitted = admission::admit(&shared.config, peer, hello.credential, hello.client_id).await?;
    if let (Some(wanted), Some(ours)) = (hello.client_id, &shared.config.client_id)
        && wanted != ours
    {
        return Err(Failure::new(FailureKind::Unauthorized, "this host serves another client id"));
    }
    tracing::debug!(peer = %peer.short(), role = ?hello.role, software = hello.software, "client authorized");
    match hello.role {
        Role::Main => serve_main(shared, connection, admitted, hello.session, control).await,
        Role::Bulk => serve_bulk(shared, connection, (peer, hello.session), hello.capabilities, control).await,
    }
}

async fn serve_main<P: P2PProvider>(
    shared: &Arc<Shared<P>>,
    connection: &P::Connection,
    admitted: Admitted,
    number: u128,
    control: &mut Control<P::Connection>,
) -> Result<(), Failure> {
    connection.set_limits(main_limits(&shared.config));
    let session = Session::new(Channel::main(connection.clone()), shared.config.ws_message_bytes_max);
    let peers = shared.config.peers.as_deref();
    let _entry = shared.sessions.enter(admitted, number, &session, peers)?;
    // It may have been revoked between the look at the list and the moment from which the watch finds this session.
    peers.map_or(Ok(()), |peers| admitted.expelled(peers))?;
    control.send(FrameType::Welcome, &welcome(shared)).await?;

    let main = Arc::clone(&session.main);
    let failure = tokio::select! {
        biased;
        failure = control.run(&main, shared.drain.clone(), |_| {}) => failure,
        failure = accept_streams(shared, &session) => failure,
        () = session.follow_path(|| {}) => Failure::new(FailureKind::ConnectionLost, "the connection is closed"),
    };
    session.close(FailureKind::Aborted, "main connection ended");
    tracing::debug!(peer = %admitted.peer.short(), "client gone: {failure}");
    Ok(())
}

async fn serve_bulk<P: P2PProvider>(
    shared: &Arc<Shared<P>>,
    connection: &P::Connection,
    key: (PeerId, u128),
    capabilities: u64,
    control: &mut Control<P::Connection>,
) -> Result<(), Failure> {
    let session = shared.sessions.find(key);
    let session =
        session.ok_or_else(|| Failure::new(FailureKind::Protocol, "there is no main connection of this session"))?;
    connection.set_limits(bulk_limits());
    control.send(FrameType::Welcome, &welcome(shared)).await?;
    let channel = Channel::bulk(connection.clone(), capabilities);
    session.set_bulk(Arc::clone(&channel));
    if session.main.connection.close_reason().is_some() {
        // Whoever closed the session did not find this connection.
        session.close(FailureKind::Aborted, "the main connection is closed");
    }
    let accept = session.accept_bulk(Arc::clone(&channel));
    // The main connection drains; this one ends with it.
    tokio::select! {
        biased;
        _ = control.run(&channel, CancellationToken::new(), |_| {}) => {}
        () = accept => {}
    }
    Ok(())
}

fn welcome<P: P2PProvider>(shared: &Shared<P>) -> Welcome<'_> {
    Welcome {
        minor: MINOR,
        capabilities: CAPABILITIES,
        max_requests: shared.config.max_requests,
        max_websockets: shared.config.max_websockets,
        client_id: shared.config.client_id.as_deref(),
        software: SOFTWARE,
    }
}

/// Serves every stream in a task of its own. After the host has begun to drain, new streams are refused.
async fn accept_streams<P: P2PProvider>(shared: &Arc<Shared<P>>, session: &Arc<Session<P::Connection>>) -> Failure {
    let places = Arc::new(Places {
        requests: Semaphore::new(shared.config.max_requests as usize),
        websockets: Semaphore::new(shared.config.max_websockets as usize),
    });
    let mut streams = JoinSet::new();
    loop {
        let (send, recv) = tokio::select! {
            biased;
            accepted = session.main.connection.accept_bi() => match accepted {
                Ok(streams) => streams,
                Err(reason) => return failure::lost(&reason),
            },
            Some(_) = streams.join_next(), if !streams.is_empty() => continue,
        };
        // At once: the body may already be arriving on the bulk connection.
        let expectation = session.expect(send.id());
        if shared.drain.is_cancelled() {
            exchange::refuse::<P::Connection>(send, recv, FailureKind::Refused);
            continue;
        }
        let exchange = exchange::Exchange {
            handler: Arc::clone(&shared.handler),
            session: Arc::clone(session),
            places: Arc::clone(&places),
            request_head_timeout: shared.config.request_head_timeout,
            body_idle_timeout: shared.config.body_idle_timeout,
        };
        streams.spawn(exchange.serve(send, recv, expectation));
    }
}
