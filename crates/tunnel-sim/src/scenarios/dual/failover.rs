//! Responses whose transport dies in the middle of their body.

use std::time::Duration;

use p2p_provider::simulator::{Conditions, Fault};
use tokio::time::{Instant, sleep};
use tunnel_core::TransportKind;

use super::Cast;
use crate::{
    Caller, Stage,
    body::Pace,
    oracle::Ending,
    plan::{File, Plan, Validator},
};

/// From the last byte over the one transport to the first one over the other, if the first has been closed.
const CLOSED_LIMIT: Duration = Duration::from_secs(1);

/// The same, if it stands still.
const STALLED_LIMIT: Duration = Duration::from_millis(6500);

/// The same, if only the tunnel server can see that it does: it gives up a silent host after 10 to 15 s.
const HOST_LOST_LIMIT: Duration = Duration::from_secs(16);

/// How many responses are cut in a run.
const CUTS: usize = 8;

/// One response, and how its transport dies.
#[derive(Clone, Copy, Debug)]
struct Cut {
    plan: Plan,
    /// The transport over which it begins.
    from: TransportKind,
    /// How a response begins over legacy: because p2p is slow, or because it is down.
    slow: bool,
    end: End,
    /// The tunnel server loses the host, not the client.
    far: bool,
    /// When, as a share of the time that the body takes.
    moment: f64,
}

/// How a transport dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everybody is told.
    Closed,
    /// Nothing moves any more.
    Stalled,
    /// Nothing passes any more.
    Parted,
}

pub(in crate::scenarios) async fn failover(stage: Stage) {
    let mut random = stage.random(0);
    let latency = Duration::from_millis(random.u64(1..40));
    // So that p2p is always slow enough to be hedged when its link is.
    let hedged = |config: &mut tunnel_router::RouterConfig| config.hedge_after_max = config.hedge_after_min;
    let cast = Cast::connected(stage.clone(), Conditions::new(latency), hedged).await;
    for _ in 0..CUTS {
        let cut = Cut::random(&mut random);
        stage.note(&format!("{cut:?}"));
        cast.returned().await;
        cast.enrolled().await;
        let fault = cut.play(&cast).await;
        drop(fault);
        cast.heal().await;
    }
    cast.settle().await;
}

impl Cut {
    fn random(random: &mut fastrand::Rng) -> Self {
        let from = [TransportKind::P2p, TransportKind::Legacy][random.usize(..2)];
        let slow = random.u8(..) < 200;
        let validator = if random.bool() { Validator::Strong } else { Validator::ALL[random.usize(..5)].1 };
        let file = File { validator, ranges: random.u8(..) < 200, changes: [0, 0, 2, 3][random.usize(..4)] };
        let size = random.u64(20_000..600_000);
        // Long enough that p2p comes back.
        let pieces = if from == TransportKind::P2p || slow { random.u64(1..60) } else { 900 };
        let plan = Plan {
            file,
            from: if file.ranges && random.u8(..) < 60 { random.u64(..size - 10_000) } else { 0 },
            piece: size.div_ceil(pieces),
            gap: Duration::from_millis(random.u64(5..=100)),
            declared: random.u8(..) < 200,
            ..Plan::download(0, size)
        };
        let end = [End::Closed, End::Stalled, End::Parted][random.usize(..3)];
        Self { plan, from, slow, end, far: random.bool(), moment: random.f64() }
    }

    /// Returns the fault that is then in force.
    async fn play(mut self, cast: &Cast) -> Option<Fault> {
        let (stage, client) = (&cast.stage, &cast.client);
        self.plan = client.begin(self.plan);
        let begun = match self.from {
            TransportKind::P2p => None,
            _ if self.slow => {
                let slow = Conditions::new(Duration::from_millis(300));
                Some(stage.network.degrade(&[&client.node], &[&cast.host.node], slow))
            }
            _ => {
                let parted = cast.part();
                cast.given_up().await;
                Some(parted)
            }
        };
        let cutting = async {
            while stage.oracle.answered_by(self.plan.id).is_none() {
                sleep(Duration::from_millis(5)).await;
            }
            drop(begun);
            if self.from != TransportKind::P2p {
                client.router().inspect(|router| router.network_changed());
                cast.returned().await;
            }
            let rest = self.plan.expected_down() + self.plan.first_down() - stage.oracle.position(self.plan.id);
            let pieces = u32::try_from(rest.div_ceil(self.plan.piece)).unwrap_or(u32::MAX);
            sleep((self.plan.gap * pieces).mul_f64(self.moment)).await;
            let position = stage.oracle.position(self.plan.id);
            (self.happen(cast).await, Instant::now(), position)
        };
        let (ending, (fault, at, position)) = tokio::join!(biased; client.pursue(&self.plan, Pace::Fast), cutting);
        self.judge(cast, ending, at, position);
        fault
    }

    async fn happen(&self, cast: &Cast) -> Option<Fault> {
        let (client, host, tunnel) = (&cast.client.node, &cast.host.node, &cast.tunnel.node);
        let network = &cast.stage.network;
        let (one, other) = match (self.from, self.far) {
            (TransportKind::P2p, _) => (client, host),
            (_, true) => (tunnel, host),
            (_, false) => (tunnel, client),
        };
        match (self.end, self.from) {
            (End::Stalled, _) => return Some(network.stall(&[one], &[other])),
            (End::Parted, _) => return Some(network.partition(&[one], &[other])),
            (End::Closed, TransportKind::P2p) => cast.host.close_p2p().await,
            (End::Closed, _) if self.far => cast.host.close_legacy(),
            (End::Closed, _) => cast.tunnel.crash(),
        }
        None
    }

    fn judge(&self, cast: &Cast, ending: Ending, _at: Instant, position: u64) {
        let (oracle, plan) = (&cast.stage.oracle, &self.plan);
        let executions = oracle.executions(plan.id);
        let last = u32::try_from(executions.len()).unwrap_or(u32::MAX);
        let first = oracle.answered_by(plan.id).unwrap_or_default();
        let same = plan.file.version(first) == plan.file.version(last);
        let end = plan.first_down() + plan.expected_down();
        // With the last byte before the cut nothing but the end was missing, and without a length nobody knew that.
        let at_the_end = !plan.declared && oracle.position(plan.id) == end;
        let may_continue = plan.file.validator.is_strong() && same;
        let continued = last > first && oracle.position(plan.id) > position;
        let right = match ending {
            Ending::Complete => !continued || may_continue,
            _ => !may_continue || at_the_end,
        };
        if !right {
            oracle.violate(format!("{self:?} ended as {ending:?} after {executions:?}"));
        }
        let limit = match (self.end, self.from) {
            (End::Closed, _) => CLOSED_LIMIT,
            (_, TransportKind::Legacy) if self.far => HOST_LOST_LIMIT,
            _ => STALLED_LIMIT,
        };
        // Who sends no parts sends all of it again, at its own pace.
        let skipped = if plan.file.ranges { 0 } else { oracle.position(plan.id).div_ceil(plan.piece) };
        let skipping = plan.gap * u32::try_from(skipped).unwrap_or(u32::MAX);
        let pause = oracle.longest_pause(plan.id);
        if pause > limit + skipping {
            oracle.violate(format!("{self:?} stood still for {pause:?}"));
        }
    }
}
