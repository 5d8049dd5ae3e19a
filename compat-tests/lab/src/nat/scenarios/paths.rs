//! The direct path goes, or changes.

use std::time::Duration;

use anyhow::Result;

use super::stage::{Plan, Stage};
use crate::{
    nat::topology::{
        conntrack,
        firewall::{self, Forbidden},
    },
    process::Product,
    record::Record,
};

/// How long a download may stand still when its path dies: 3 s until that is noticed, and a second to go on.
const STALL_MAX: Duration = Duration::from_secs(4);

/// How long downloads last.
const DOWNLOAD: Duration = Duration::from_secs(8);

/// How long the return of the direct path is waited for.
const RETURN: Duration = Duration::from_secs(5);

/// The port that a router takes after it has forgotten its flows. Any that nobody has.
const OTHER_PORT: u16 = 41_234;

/// Which router.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Host,
    Gateway,
}

/// UDP between the two stops.
pub(crate) async fn direct_blocked(product: Product) -> Result<Record> {
    let mut stage = Stage::open_direct(product, Plan::HOMES).await?;
    let download = stage.download(DOWNLOAD)?;
    download.under_way().await?;
    let router = stage.world.gateway.outermost()?.clone();
    firewall::forbid(&router, Forbidden::PeerUdp)?;
    let answer = download.must_be_whole("download", &mut stage.record).await?;
    stage.record.time_within("failover", Some(answer.stall), STALL_MAX);
    let relayed = stage.ask().await?;
    if !relayed.is_complete() || relayed.path != "relayed" {
        stage.record.fail_answer("a request after it", &relayed);
    }
    firewall::allow(&router)?;
    stage.note_direct_again(RETURN).await?;
    Ok(stage.record)
}

/// A router forgets its flows and takes another port.
pub(crate) async fn rebound(product: Product, side: Side) -> Result<Record> {
    let mut stage = Stage::open_direct(product, Plan::HOMES).await?;
    let download = stage.download(DOWNLOAD)?;
    download.under_way().await?;
    let router = match side {
        Side::Host => stage.world.host.outermost()?,
        Side::Gateway => stage.world.gateway.outermost()?,
    };
    firewall::map_to(router, OTHER_PORT)?;
    conntrack::forget_flows(router)?;
    let answer = download.must_be_whole("download", &mut stage.record).await?;
    stage.record.time_within("failover", Some(answer.stall), STALL_MAX);
    let after = stage.ask().await?;
    if !after.is_complete() {
        stage.record.fail_answer("a request after it", &after);
    }
    stage.note_direct_again(RETURN).await?;
    Ok(stage.record)
}
