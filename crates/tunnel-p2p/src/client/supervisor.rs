//! Keeps the client connected: one loop, one state.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use p2p_provider::{ConnectionConfig, NetworkChanges, P2PConnection, P2PError, P2PProvider};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tunnel_core::{Failure, FailureKind};

use super::{
    Shared,
    link::Link,
    schedule::{ATTEMPTS_MAX, Schedule},
    state::LinkState,
};
use crate::{
    config::{SOFTWARE, bulk_limits, client_main_limits},
    control::{Control, ControlEvent},
    failure,
    session::{Channel, Session},
    wire::{
        ALPN, CAPABILITIES, MINOR,
        control::{self, Hello, Role, Welcome},
        frame::FrameType,
    },
};

pub(super) struct Supervisor<P: P2PProvider> {
    shared: Arc<Shared<P>>,
    random: fastrand::Rng,
    network: NetworkChanges,
    /// Links whose host is shutting down, until their last request has ended.
    retired: JoinSet<()>,
}

impl<P: P2PProvider> Supervisor<P> {
    pub(super) fn new(shared: Arc<Shared<P>>) -> Self {
        let random = shared.config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let network = shared.provider.network_changes();
        Self { shared, random, network, retired: JoinSet::new() }
    }

    pub(super) async fn run(mut self) {
        let mut pause = self.shared.config.retry_min;
        while let Some((link, control, session)) = self.connect().await {
            if !self.shared.state.publish(LinkState::Up(Arc::clone(&link))) {
                return link.session.close(FailureKind::Aborted, "client closed");
            }
            let failure = self.hold(&link, control, session).await;
            if link.client_id().is_some() {
                tracing::info!("the connection to the host ended: {failure}");
                pause = self.shared.config.retry_min;
                // A host that said goodbye is not expected back at once: requests need not wait for it.
                let next = match failure.kind() {
                    FailureKind::ShuttingDown => LinkState::refused(failure),
                    _ => LinkState::Connecting,
                };
                if !self.shared.state.publish(next) {
                    return;
                }
                continue;
            }
            tracing::debug!("the host does not serve this client: {failure}");
            if !self.shared.state.publish(LinkState::refused(failure)) {
                return;
            }
            let hastened = self.pause(pause).await;
            pause = if hastened { self.shared.config.retry_min } else { (pause * 2).min(self.shared.config.retry_max) };
        }
    }

    /// Half to one and a half times `pause`; less if a request comes or the network changes, but never less than the
    /// shortest pause. Whether the network changed.
    async fn pause(&mut self, pause: Duration) -> bool {
        let jitter = 0.5 + self.random.f64();
        let shortest = self.shared.config.retry_min.min(pause).mul_f64(jitter);
        sleep(shortest).await;
        tokio::select! {
            biased;
            () = self.network.next() => true,
            () = self.shared.demand.rises() => false,
            () = sleep(pause.mul_f64(jitter).saturating_sub(shortest)) => false,
        }
    }

    /// Attempts to connect until one succeeds. `None` once the client is closed.
    async fn connect(&mut self) -> Option<(Arc<Link<P::Connection>>, Control<P::Connection>, u128)> {
        let mut attempts = FuturesUnordered::new();
        let mut schedule = Schedule::new(Instant::now(), self.shared.config.retry_min, self.shared.config.retry_max);
        loop {
            let due = schedule.due();
            let next = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let result = tokio::select! {
                biased;
                Some(result) = attempts.next(), if !attempts.is_empty() => result,
                () = self.network.next() => {
                    schedule.network_changed(Instant::now());
                    continue;
                }
                () = self.shared.demand.rises() => {
                    schedule.wanted(Instant::now());
                    continue;
                }
                () = next, if attempts.len() < ATTEMPTS_MAX => {
                    schedule.begun(Instant::now(), self.shared.demand.is_recent(), &mut self.random);
                    let shared = Arc::clone(&self.shared);
                    attempts.push(async move { shared.attempt().await });
                    continue;
                }
            };
            let failed = match result {
                Ok(connection) => {
                    // The host is to hear of the one that is used only.
                    attempts.clear();
                    match self.greet(connection).await {
                        Ok(link) => return Some(link),
                        Err(failure) => LinkState::refused(failure),
                    }
                }
                Err(error @ P2PError::ConnectTimeout { .. }) => {
                    LinkState::Down { failure: failure::connect(&error), silent: true }
                }
                Err(error) => LinkState::refused(failure::connect(&error)),
            };
            if let LinkState::Down { failure, .. } = &failed {
                tracing::debug!("no connection to the host: {failure}");
            }
            if !self.shared.state.publish(failed) {
                return None;
            }
            schedule.failed(Instant::now(), attempts.len(), self.shared.demand.is_recent(), &mut self.random);
        }
    }

    /// Says hello on a new connection.
    async fn greet(
        &mut self,
        connection: P::Connection,
    ) -> Result<(Arc<Link<P::Connection>>, Control<P::Connection>, u128), Failure> {
        let session_id = self.random.u128(..);
        let control = self.shared.hello(&connection, Role::Main, session_id).await?;
        connection.set_limits(client_main_limits());
        let session = Session::new(Channel::main(connection), self.shared.config.ws_message_bytes_max);
        Ok((Link::new(session, &self.shared.config), control, session_id))
    }

    /// Runs a link until it ends, or until its host wants no more requests on it.
    async fn hold(&mut self, link: &Arc<Link<P::Connection>>, control: Control<P::Connection>, id: u128) -> Failure {
        while self.retired.try_join_next().is_some() {}
        let mut drive: BoxFuture<'static, Failure> =
            Box::pin(drive(Arc::clone(&self.shared), Arc::clone(link), control, id, self.random.fork()));
        tokio::select! {
            biased;
            failure = &mut drive => failure,
            () = link.draining.cancelled() => {
                let link = Arc::clone(link);
                self.retired.spawn(async move {
                    tokio::select! {
                        biased;
                        _ = drive => {}
                        () = link.idle() => {}
                    }
                    link.session.close(FailureKind::Aborted, "drained");
                });
                Failure::new(FailureKind::ShuttingDown, "the host is shutting down")
            }
        }
    }
}

impl<P: P2PProvider> Shared<P> {
    /// One attempt to connect.
    async fn attempt(&self) -> Result<P::Connection, P2PError> {
        let config = ConnectionConfig::new(ALPN).connect_timeout(self.config.connect_timeout);
        self.provider.connect(&self.ticket.host, &config).await
    }

    /// Says hello. The host's answer is not waited for: requests follow at once.
    async fn hello(
        &self,
        connection: &P::Connection,
        role: Role,
        session: u128,
    ) -> Result<Control<P::Connection>, Failure> {
        let hello = Hello {
            minor: MINOR,
            capabilities: CAPABILITIES,
            role,
            session,
            credential: self.ticket.credential(),
            client_id: self.config.client_id.as_deref(),
            software: SOFTWARE,
        };
        timeout(self.config.connect_timeout, Control::open(connection, &hello))
            .await
            .map_err(|_| Failure::new(FailureKind::Timeout, "the host accepts no control stream"))?
    }
}

/// A link's own work: the control stream, and the bulk connection once the host has authorized us.
async fn drive<P: P2PProvider>(
    shared: Arc<Shared<P>>,
    link: Arc<Link<P::Connection>>,
    mut control: Control<P::Connection>,
    session_id: u128,
    random: fastrand::Rng,
) -> Failure {
    let on_event = |event| match event {
        ControlEvent::Welcome(payload) => {
            if let Err(failure) = link.set_welcome(&payload, &shared.config) {
                link.session.close(failure.kind(), failure.message());
            }
            // Wakes those who wait for the authorization.
            shared.state.touch();
        }
        ControlEvent::GoAway(reason) => {
            tracing::info!("the host takes no more requests: {reason}");
            link.draining.cancel();
        }
    };
    let main = Arc::clone(&link.session.main);
    let failure = tokio::select! {
        biased;
        failure = control.run(&main, CancellationToken::new(), on_event) => failure,
        never = follow_path(&shared, &link) => match never {},
        never = keep_bulk(&shared, &link, session_id, random) => match never {},
    };
    link.session.close(FailureKind::Aborted, "control stream ended");
    failure
}

/// Tells those who watch the client when its path changes.
async fn follow_path<P: P2PProvider>(shared: &Shared<P>, link: &Link<P::Connection>) -> Infallible {
    link.session.follow_path(|| shared.state.touch()).await;
    std::future::pending().await
}

/// Keeps the bulk connection up. Without it everything works, but large bodies delay small ones.
async fn keep_bulk<P: P2PProvider>(
    shared: &Shared<P>,
    link: &Link<P::Connection>,
    session_id: u128,
    mut random: fastrand::Rng,
) -> Infallible {
    link.welcomed().await;
    let mut pause = shared.config.retry_min;
    loop {
        match bulk(shared, link, session_id).await {
            // It was up for a while.
            Ok(failure) => {
                tracing::debug!("the bulk connection ended: {failure}");
                pause = shared.config.retry_min;
            }
            // The host does not know this session: it is another process than the one that the main connection still
            // believes in.
            Err(failure) if failure.kind() == FailureKind::Protocol => {
                link.session.close(FailureKind::Aborted, "the host was restarted");
            }
            Err(failure) => tracing::debug!("no bulk connection: {failure}"),
        }
        sleep(pause.mul_f64(0.5 + random.f64())).await;
        pause = (pause * 2).min(shared.config.retry_max);
    }
}

async fn bulk<P: P2PProvider>(
    shared: &Shared<P>,
    link: &Link<P::Connection>,
    session_id: u128,
) -> Result<Failure, Failure> {
    let connection = shared.attempt().await.map_err(|error| failure::connect(&error))?;
    let mut control = shared.hello(&connection, Role::Bulk, session_id).await?;
    connection.set_limits(bulk_limits());
    let welcome = timeout(shared.config.connect_timeout, control.welcome())
        .await
        .map_err(|_| Failure::new(FailureKind::Timeout, "the host does not answer on the bulk connection"))??;
    let welcome: Welcome<'_> = control::parse(FrameType::Welcome, &welcome).map_err(|error| failure::wire(&error))?;
    let channel = Channel::bulk(connection, welcome.capabilities);
    link.session.set_bulk(Arc::clone(&channel));
    let accept = Arc::clone(&link.session).accept_bulk(Arc::clone(&channel));
    tokio::select! {
        biased;
        failure = control.run(&channel, CancellationToken::new(), |_| {}) => Ok(failure),
        () = accept => Ok(Failure::new(FailureKind::ConnectionLost, "the connection is closed")),
    }
}
