//! The tunnel server fails.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::{Instant, sleep};

use super::{Cast, carried};
use crate::{Caller, Stage, body::Pace, plan::Plan, together};

pub(in crate::scenarios) async fn tunnel_faults(stage: Stage) {
    let mut random = stage.random(0);
    let conditions = Conditions::new(Duration::from_millis(15)).jitter(Duration::from_millis(10));
    let cast = Cast::connected(stage.clone(), conditions, |_| {}).await;
    for round in 0..4 {
        // Every other time there is nothing but the tunnel server.
        let parted = (round % 2 == 1).then(|| cast.part());
        if parted.is_some() {
            cast.given_up().await;
        }
        let end = Instant::now() + Duration::from_secs(15);
        let asking = (0..4).map(|_| -> LocalBoxFuture<'static, ()> {
            let (client, mut random, well) = (cast.client.clone(), random.fork(), parted.is_none());
            Box::pin(async move {
                while Instant::now() < end {
                    let size = random.u64(..400_000);
                    let gap = Duration::from_millis(random.u64(..200));
                    let long = Plan { gap, ..Plan::file(0, size) };
                    let plan = if random.bool() { long } else { carried(&mut random) };
                    if well {
                        client.must(plan, Pace::Fast).await;
                    } else {
                        client.request(plan, Pace::Fast).await;
                    }
                    sleep(Duration::from_millis(random.u64(..500))).await;
                }
            })
        });
        let asking = together(asking.collect::<Vec<_>>());
        let trouble = async {
            sleep(Duration::from_millis(random.u64(..3000))).await;
            let fault = cast.harm_tunnel(&mut random);
            sleep(Duration::from_millis(random.u64(100..12_000))).await;
            drop(fault);
            cast.heal().await;
        };
        tokio::join!(biased; asking, trouble);
        drop(parted);
        cast.enrolled().await;
        cast.returned().await;
    }
    cast.settle().await;
}
