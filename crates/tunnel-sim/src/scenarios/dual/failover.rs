//! Responses whose transport dies in the middle of their body.

use std::time::Duration;

use p2p_provider::simulator::{Conditions, Fault};
use tokio::time::{Instant, sleep};
use tunnel_core::TransportKind;
use tunnel_router::Router;

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

/// A response that lasts so long behind its cut has waited for a probe.
const NOTICED: Duration = Duration::from_secs(5);

/// A body of a tunnel server that p2p cannot continue waits for this long, and a little.
const IDLE_LIMIT: Duration = Duration::from_secs(31);

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
        let fault = cut.play(&cast).await;
        drop(fault);
        cast.heal().await;
        // What the fault has killed without a word is known to be dead by then.
        sleep(HOST_LOST_LIMIT).await;
        cast.enrolled().await;
        cast.returned().await;
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
        let short = from == TransportKind::P2p || slow;
        let pieces = if short { random.u64(1..60) } else { 900 };
        let plan = Plan {
            file,
            from: if file.ranges && random.u8(..) < 60 { random.u64(..size - 10_000) } else { 0 },
            piece: size.div_ceil(pieces),
            // Long enough that p2p comes back, unless it is there all the time.
            gap: Duration::from_millis(if short { random.u64(5..=100) } else { random.u64(80..=100) }),
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
                if stage.oracle.ending(self.plan.id).is_some() {
                    return (begun, None);
                }
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
            let is_open = stage.oracle.ending(self.plan.id).is_none();
            (self.happen(cast).await, is_open.then(Instant::now))
        };
        let asking = async {
            let ending = client.pursue(&self.plan, Pace::Fast).await;
            (ending, Instant::now())
        };
        let ((ending, end), (fault, at)) = tokio::join!(biased; asking, cutting);
        let lasted = at.map(|at| end - at);
        self.judge(cast, ending, lasted);
        // It cannot have lasted so long without somebody noticing that nothing moves.
        let is_dead = self.from == TransportKind::P2p && self.end != End::Closed;
        if is_dead && lasted.is_some_and(|lasted| lasted > NOTICED) && cast.uses_p2p() {
            stage.oracle.violate(format!("p2p is used, which has just died under {self:?}"));
        }
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

    /// `lasted`: from the cut to the end of the response, if that was the order.
    fn judge(&self, cast: &Cast, ending: Ending, lasted: Option<Duration>) {
        let (oracle, plan) = (&cast.stage.oracle, &self.plan);
        let Some(first) = oracle.answered_by(plan.id) else {
            return oracle.violate(format!("{self:?} was not answered, though both transports worked"));
        };
        let began_over =
            usize::try_from(first).ok().and_then(|first| oracle.executions(plan.id).get(first - 1).copied());
        if began_over != Some(Some(self.from)) {
            oracle.violate(format!("{self:?} began over {began_over:?}"));
        }
        let is_strong = plan.file.validator.is_strong();
        let mut continuations = oracle.continuations(plan.id, plan.first_down());
        if is_strong && plan.first_down() > 0 && oracle.position(plan.id) == 0 {
            // Before the first byte a continuation asks for what the request has asked for: it is the last one.
            continuations.extend(u32::try_from(oracle.executions(plan.id).len()).ok().filter(|&last| last != first));
        }
        let decisions = cast.client.router().map(Router::decisions).unwrap_or_default();
        let continued = decisions.iter().any(|decision| decision.id == plan.id && decision.failovers > 0);
        let same = continuations.iter().all(|&number| plan.file.version(number) == plan.file.version(first));
        let end = plan.first_down() + plan.expected_down();
        // With the last byte before the cut nothing but the end was missing, and without a length nobody knew that.
        let at_the_end = !plan.declared && oracle.position(plan.id) == end;
        let right = match (ending, is_strong) {
            (Ending::Complete, true) => !continued || same,
            (Ending::Complete, false) => !continued && continuations.is_empty(),
            // Only what has changed, or has nothing to tell it, breaks off.
            (_, true) => at_the_end || !continuations.is_empty() && !same,
            (_, false) => continuations.is_empty() && lasted.is_some(),
        };
        if !right {
            let executions = oracle.executions(plan.id);
            oracle
                .violate(format!("{self:?} ended as {ending:?} after {executions:?}, continued by {continuations:?}"));
        }
        self.judge_time(cast, ending, lasted);
        if lasted.is_some() {
            oracle.count("cut mid-body");
            oracle.count(match (is_strong, ending == Ending::Complete, continued) {
                (_, true, true) => "continued",
                (_, true, false) => "whole without a continuation",
                (true, false, _) => "broken off, changed or only without its end",
                (false, false, _) => "broken off without a strong validator",
            });
        }
        if continued {
            oracle.count(match self.from {
                TransportKind::P2p => "continued from p2p to legacy",
                _ => "continued from legacy to p2p",
            });
        }
    }

    fn judge_time(&self, cast: &Cast, ending: Ending, lasted: Option<Duration>) {
        let (oracle, plan) = (&cast.stage.oracle, &self.plan);
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
        // Nobody watches what nobody continues.
        let is_watched = self.from == TransportKind::P2p || plan.file.validator.is_strong();
        let limit = if self.end == End::Closed || is_watched { limit } else { IDLE_LIMIT };
        if let Some(lasted) = lasted.filter(|&lasted| ending != Ending::Complete && lasted > limit) {
            oracle.violate(format!("{self:?} broke off {lasted:?} after its transport"));
        }
    }
}
