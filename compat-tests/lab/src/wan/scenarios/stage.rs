//! Everything running, and what scenarios do with it.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::super::{
    cell::{Cell, Way},
    leg::{Controller, open},
    link::{Conditions, PromptThreads},
    peers::{self, Arguments, Peers},
    small::Target,
    transfer::{Transfer, transfer},
    world::World,
};
use crate::{
    http::Ending,
    process::{Event, Product},
    record::Record,
};

/// How long a request of a scenario may take that is not about waiting.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a scenario is played with.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) threads: PromptThreads,
    pub(crate) seed: u64,
    pub(crate) product: Product,
    pub(crate) arguments: Arguments,
    /// How long the scenario `mixed` lasts.
    pub(crate) minutes: f64,
}

/// Everything running. What is dropped first comes first.
pub(crate) struct Stage {
    pub(crate) peers: Peers,
    pub(crate) world: World,
    pub(crate) cell: Cell,
    pub(crate) record: Record,
}

impl Stage {
    /// With a gateway that has answered by a direct path.
    pub(crate) async fn open(setting: Setting, cell: Cell) -> Result<Self> {
        Self::with_gateways(setting, cell, 1).await
    }

    /// With so many.
    pub(crate) async fn with_gateways(setting: Setting, cell: Cell, gateways: u16) -> Result<Self> {
        Self::over(setting, cell, cell.conditions(), gateways).await
    }

    /// Over a link that the cell alone does not describe.
    pub(crate) async fn over(setting: Setting, cell: Cell, conditions: Conditions, gateways: u16) -> Result<Self> {
        let world = World::build(&setting.threads, conditions, setting.seed).await?;
        let peers = Peers::start(&world, setting.product, &setting.arguments, gateways).await?;
        Ok(Self { peers, world, cell, record: Record::default() })
    }

    /// Begins a download that lasts this long, however much comes.
    pub(crate) async fn download(&self, gateway: u16, lasting: Duration) -> Result<Running> {
        self.begin(p2p(gateway), u64::MAX >> 16, lasting).await
    }

    /// The same by kernel TCP; its service must have been started.
    pub(crate) async fn tcp_download(&self, controller: Controller, lasting: Duration) -> Result<Running> {
        self.begin(tcp(controller), u64::MAX >> 16, lasting).await
    }

    /// Begins to get this much, or as much as comes until then.
    pub(crate) async fn begin(&self, target: Target, bytes: u64, lasting: Duration) -> Result<Running> {
        let mut connection = open(&self.world.gateway, target).await?;
        let uploaded = self.world.uploaded.clone();
        let moving = self
            .world
            .gateway
            .spawn(async move |_| transfer(&mut connection, Way::Down, bytes, lasting, uploaded).await)?;
        Ok(Running { transfer: AbortOnDropHandle::new(moving) })
    }

    /// Starts the service for kernel TCP.
    pub(crate) async fn serve_tcp(&mut self, controller: Controller) -> Result<()> {
        self.world.serve(controller.address(), Some(controller.name())).await
    }

    /// How soon throughput must be back.
    pub(crate) fn recovery_max(&self) -> Duration {
        Duration::from_secs(3).max(self.cell.rtt() * 10)
    }

    /// Notes how often a gateway has lost the host and found it again.
    pub(crate) fn note_reconnects(&mut self, allowed: Option<usize>) {
        let count = self.peers.gateways.iter().map(|gateway| reconnects(&gateway.all_events())).sum();
        self.record.count("reconnects", count);
        if allowed.is_some_and(|allowed| count > allowed) {
            self.record.fail(format!("the gateway connected again {count} times"));
        }
    }

    /// Notes a transfer that must not have failed.
    pub(crate) fn note_transfer(&mut self, name: &str, transfer: &Transfer) {
        self.record.speed(name, transfer.bytes_per_second());
        if transfer.answer.ending != Ending::Complete {
            self.record.fail_answer(name, &transfer.answer);
        }
    }
}

/// A gateway, as an app asks it.
pub(crate) fn p2p(gateway: u16) -> Target {
    Target { address: peers::address(gateway), controller: None, patience: PATIENCE }
}

/// The service by kernel TCP.
pub(crate) fn tcp(controller: Controller) -> Target {
    let address: SocketAddr = controller.address();
    Target { address, controller: Some(controller.name()), patience: PATIENCE }
}

/// A transfer that goes on.
pub(crate) struct Running {
    transfer: AbortOnDropHandle<Transfer>,
}

impl Running {
    /// Waits for its end.
    pub(crate) async fn end(self) -> Result<Transfer> {
        self.transfer.await.context("a transfer panicked")
    }
}

/// Of a gateway's events: how often it was connected again after it was not.
fn reconnects(events: &[Event]) -> usize {
    let (mut connected, mut lost, mut count) = (false, false, 0);
    for event in events {
        match event.value["event"].as_str() {
            Some("connected") => {
                count += usize::from(lost);
                (connected, lost) = (true, false);
            }
            Some("connecting" | "down") => lost = connected,
            _ => {}
        }
    }
    count
}

/// From the moment until now, or nothing if it is still to come.
pub(crate) fn offset(from: Instant, moment: Instant) -> Duration {
    moment.saturating_duration_since(from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_of_path_is_no_reconnect() {
        let events = |names: &[&str]| -> Vec<Event> {
            names.iter().map(|name| Event { value: json!({ "event": name }) }).collect()
        };
        assert_eq!(reconnects(&events(&["ready", "connecting", "connected", "connected"])), 0);
        assert_eq!(reconnects(&events(&["connected", "down", "connecting", "connected", "down", "connected"])), 2);
        assert_eq!(reconnects(&events(&["connected", "down"])), 0);
    }
}
