//! A host of a case, behind the tunnel server.

use std::{sync::Arc, time::Duration};

use tunnel_core::Handler;

use super::{Account, Server};
use crate::backend::{
    HostSettings, RunningHost,
    world::{Machine, World},
};

/// A [`LegacyHost`] on a machine of its own.
pub struct LegacyRunningHost<W: World> {
    machine: W::Machine,
    account: Account,
    settings: HostSettings,
    server: Server<W>,
}

/// What is left of a [`LegacyRunningHost`].
pub struct DeadLegacyHost<W: World> {
    machine: W::Machine,
    account: Account,
    settings: HostSettings,
    server: Server<W>,
}

impl<W: World> LegacyRunningHost<W> {
    pub(super) async fn start(
        world: &W,
        server: &Server<W>,
        account: Account,
        handler: Arc<dyn Handler>,
        settings: HostSettings,
    ) -> Self {
        Self::on(world.machine("host"), server.clone(), account, handler, settings).await
    }

    pub(super) async fn revive(dead: DeadLegacyHost<W>, handler: Arc<dyn Handler>) -> Self {
        let DeadLegacyHost { machine, account, settings, server } = dead;
        machine.start();
        Self::on(machine, server, account, handler, settings).await
    }

    async fn on(
        machine: W::Machine,
        server: Server<W>,
        account: Account,
        _handler: Arc<dyn Handler>,
        settings: HostSettings,
    ) -> Self {
        Self { machine, account, settings, server }
    }

    /// What clients need.
    pub fn account(&self) -> &Account {
        &self.account
    }

    fn dead(self) -> DeadLegacyHost<W> {
        self.machine.crash();
        let Self { machine, account, settings, server } = self;
        DeadLegacyHost { machine, account, settings, server }
    }
}

impl<W: World> RunningHost for LegacyRunningHost<W> {
    type Dead = DeadLegacyHost<W>;

    async fn drain(self, _grace: Duration) -> (bool, DeadLegacyHost<W>) {
        (true, self.dead())
    }

    async fn stop(self) -> DeadLegacyHost<W> {
        self.dead()
    }

    async fn kill(self) -> DeadLegacyHost<W> {
        self.dead()
    }
}
