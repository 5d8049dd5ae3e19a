//! p2p goes and comes: it is used again soon, and not given up all the time.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::{Instant, sleep};
use tunnel_core::TransportKind;
use tunnel_router::RETURN_WITHIN;

use super::{Cast, carried};
use crate::{Caller, SimClient, Stage, body::Pace, oracle::Ending, plan::Plan, together};

/// Requests that must succeed, one after the other, until the time is over.
async fn ask_until(client: SimClient, end: Instant, part: u64, pause: u64) {
    let mut random = client.stage().random(part);
    while Instant::now() < end {
        let plan = client.begin(carried(&mut random));
        let ending = client.pursue(&plan, Pace::Fast).await;
        // What may have been executed and must not be so again fails with its transport; a body without a validator
        // breaks off with it.
        let may_fail = plan.up > 0 || !plan.file.validator.is_strong();
        if ending != Ending::Complete && !(may_fail && ending == Ending::Failed) {
            client.stage().oracle.violate(format!("{plan:?} ended as {ending:?} though one transport works"));
        }
        sleep(Duration::from_millis(random.u64(..pause))).await;
    }
}

pub(in crate::scenarios) async fn coming_back(stage: Stage) {
    let mut random = stage.random(0);
    let cast = Cast::connected(stage.clone(), Conditions::new(Duration::from_millis(20)), |_| {}).await;
    for _ in 0..3 {
        let fault = cast.harm_p2p(&mut random).await;
        let lasts = Duration::from_secs(random.u64(1..120));
        ask_until(cast.client.clone(), Instant::now() + lasts, random.u64(..), 4000).await;
        drop(fault);
        cast.host.open_again().await;
        cast.client.connected().await;
        // Requests that begin a minute later must use p2p: the oracle sees to it.
        let asking: Vec<LocalBoxFuture<'static, ()>> = (0..2)
            .map(|_| {
                Box::pin(ask_until(cast.client.clone(), Instant::now() + 2 * RETURN_WITHIN, random.u64(..), 4000)) as _
            })
            .collect();
        together(asking).await;
        let plan = cast.client.begin(Plan::download(0, 1000));
        cast.client.pursue(&plan, Pace::Fast).await;
        if cast.ways(plan.id) != [TransportKind::P2p] {
            stage.oracle.violate(format!("p2p works again, but {:?} is used", cast.ways(plan.id)));
        }
    }
    cast.settle().await;
}

pub(in crate::scenarios) async fn flapping(stage: Stage) {
    let mut random = stage.random(0);
    let cast = Cast::connected(stage.clone(), Conditions::new(Duration::from_millis(20)), |_| {}).await;
    let end = Instant::now() + Duration::from_mins(70);
    let up_max = [3000, 20_000, 60_000][random.usize(..3)];
    let flapping = async {
        while Instant::now() < end {
            let fault = cast.harm_p2p(&mut random).await;
            sleep(Duration::from_millis(random.u64(100..12_000))).await;
            drop(fault);
            cast.host.open_again().await;
            sleep(Duration::from_millis(random.u64(100..up_max))).await;
        }
    };
    let asking = ask_until(cast.client.clone(), end, 1, 12_000);
    tokio::join!(biased; asking, flapping);
    cast.settle().await;
}
