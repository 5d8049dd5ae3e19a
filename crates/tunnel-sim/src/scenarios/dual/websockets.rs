//! WebSockets live and die with their transport; whoever opens a new one gets it over the other.

use std::time::Duration;

use futures::future::{LocalBoxFuture, join_all};
use p2p_provider::simulator::Conditions;
use tokio::time::{Instant, sleep};

use super::Cast;
use crate::{Caller, Stage, Talk, oracle::Ending};

/// A WebSocket whose transport has died ends within this: silence of 15 s, and a step of the check for it.
const END_LIMIT: Duration = Duration::from_secs(21);

pub(in crate::scenarios) async fn websockets(stage: Stage) {
    let mut random = stage.random(0);
    let cast = Cast::connected(stage.clone(), Conditions::new(Duration::from_millis(20)), |_| {}).await;
    for _ in 0..4 {
        // Over p2p, anything.
        must(&cast, Talk { ahead: 5, ..Talk::of(random.u32(1..40)) }).await;
        must(&cast, Talk::carried(random.u32(1..40))).await;
        let fault = dies(&cast, async { cast.harm_p2p(&mut random).await }).await;
        cast.given_up().await;
        // Through the tunnel server, JSON.
        must(&cast, Talk { ahead: random.u32(1..10), ..Talk::carried(random.u32(1..100)) }).await;
        let start = Instant::now();
        if cast.client.talk(Talk::of(3)).await != Ending::Failed || start.elapsed() > Duration::from_secs(11) {
            stage.oracle.violate(format!("a WebSocket that nobody carries took {:?}", start.elapsed()));
        }
        dies(&cast, async { cast.tunnel.crash() }).await;
        cast.heal().await;
        drop(fault);
        cast.enrolled().await;
        cast.returned().await;
    }
    cast.settle().await;
}

async fn must(cast: &Cast, talk: Talk) {
    let ending = cast.client.talk(talk).await;
    if ending != Ending::Complete {
        cast.stage.oracle.violate(format!("{talk:?} ended as {ending:?} over a transport that works"));
    }
}

/// Conversations that would take long end soon after their transport does.
async fn dies<T>(cast: &Cast, killing: impl Future<Output = T>) -> T {
    let talking: Vec<LocalBoxFuture<'static, Instant>> = (0..3)
        .map(|_| {
            let client = cast.client.clone();
            Box::pin(async move {
                let talk = Talk { pause: Duration::from_millis(500), ..Talk::carried(400) };
                if client.talk(talk).await != Ending::Failed {
                    client.stage().oracle.violate("a WebSocket outlived its transport");
                }
                Instant::now()
            }) as _
        })
        .collect();
    let killing = async {
        sleep(Duration::from_secs(2)).await;
        (Instant::now(), killing.await)
    };
    let (ends, (at, fault)) = tokio::join!(biased; join_all(talking), killing);
    if let Some(late) = ends.iter().max().filter(|end| **end > at + END_LIMIT) {
        cast.stage.oracle.violate(format!("a WebSocket ended {:?} after its transport", *late - at));
    }
    fault
}
