//! A host of a case, behind the tunnel server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tunnel_core::Handler;
use tunnel_legacy::{LegacyHost, LegacyHostConfig, LegacyHostState};

use super::{Account, Server, server::url};
use crate::{
    backend::{
        HostSettings, RunningHost,
        world::{Machine, World},
    },
    patience::soon,
};

/// A [`LegacyHost`] on a machine of its own.
pub struct LegacyRunningHost<W: World> {
    host: LegacyHost,
    rest: DeadLegacyHost<W>,
}

/// What is left of a [`LegacyRunningHost`].
pub struct DeadLegacyHost<W: World> {
    machine: W::Machine,
    server: SocketAddr,
    account: Account,
    settings: HostSettings,
}

impl<W: World> LegacyRunningHost<W> {
    /// Starts a host of the tunnel server at this address.
    pub fn at(
        world: &W,
        server: SocketAddr,
        account: Account,
        handler: Arc<dyn Handler>,
        settings: HostSettings,
    ) -> Self {
        Self::on(DeadLegacyHost { machine: world.machine("host"), server, account, settings }, handler)
    }

    pub(super) async fn start(
        world: &W,
        server: &Server<W>,
        account: Account,
        handler: Arc<dyn Handler>,
        settings: HostSettings,
    ) -> Self {
        Self::at(world, server.address(), account, handler, settings).connected().await
    }

    pub(super) async fn revive(dead: DeadLegacyHost<W>, handler: Arc<dyn Handler>) -> Self {
        dead.machine.start();
        Self::on(dead, handler).connected().await
    }

    fn on(rest: DeadLegacyHost<W>, handler: Arc<dyn Handler>) -> Self {
        let DeadLegacyHost { machine, server, account, settings } = &rest;
        let mut config = LegacyHostConfig::new(url(*server), &account.client_id, &account.token);
        config.max_requests = settings.max_requests as usize;
        config.max_websockets = settings.max_websockets as usize;
        // The same in every run.
        config.seed = Some(1);
        let (machine, server) = (machine.clone(), *server);
        let host = LegacyHost::with_connector(config, handler, move || machine.connect(server));
        Self { host: host.expect("the settings are right"), rest }
    }

    /// Once the tunnel server has it.
    async fn connected(self) -> Self {
        let connecting = async {
            let mut state = self.host.state();
            while !matches!(state, LegacyHostState::Connected { .. }) {
                state = self.host.changed_from(&state).await;
            }
        };
        soon("the host's connection", connecting).await;
        self
    }

    /// What clients need.
    pub fn account(&self) -> &Account {
        &self.rest.account
    }
}

impl<W: World> RunningHost for LegacyRunningHost<W> {
    type Dead = DeadLegacyHost<W>;

    async fn drain(self, grace: Duration) -> (bool, DeadLegacyHost<W>) {
        let ended = self.host.drain(grace).await;
        self.rest.machine.crash();
        (ended, self.rest)
    }

    async fn stop(self) -> DeadLegacyHost<W> {
        drop(self.host);
        self.rest.machine.crash();
        self.rest
    }

    async fn kill(self) -> DeadLegacyHost<W> {
        // First the machine, so that nobody is left to pass on what the host says when it is dropped.
        self.rest.machine.crash();
        drop(self.host);
        self.rest
    }
}
