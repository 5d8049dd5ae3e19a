//! Whatever fails, in whatever order: nothing that may not be repeated is executed twice, every failure says what is
//! known, and the counters tell what happened.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use proptest::{collection::vec, prelude::*};
use tokio::time::{Instant, sleep, timeout};
use tunnel_core::{Body, FailureKind, Health, Transport};
use tunnel_router::{Mode, Outcome, Router, RouterConfig};

use super::{
    fake::{self, Act, Fake, failure, request},
    over,
};

/// Longer than any transport waits for a head, twice, and the way between.
const END_WITHIN: Duration = Duration::from_secs(200);

#[derive(Clone, Copy, Debug)]
enum Deed {
    Respond,
    Undelivered(FailureKind),
    Unknown(FailureKind),
    /// Silence, until the transport's own timeout.
    Hang,
}

impl Deed {
    fn act(self, name: &'static str) -> Act {
        match self {
            Self::Respond => Act::Respond(fake::text(name)),
            Self::Undelivered(kind) => Act::Undelivered(kind),
            Self::Unknown(kind) => Act::Unknown(kind),
            Self::Hang => Act::Late(Duration::from_secs(75), Box::new(Act::Unknown(FailureKind::Timeout))),
        }
    }
}

#[derive(Clone, Debug)]
struct Call {
    start: Duration,
    method: Method,
    /// The caller gives up after this.
    patience: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Event {
    Health(u8),
    Probes(bool),
    Mode(Option<Mode>),
    KillSwitch(bool),
    LegacyRefuses(bool),
}

#[derive(Clone, Debug)]
struct Schedule {
    seed: u64,
    calls: Vec<Call>,
    p2p: Vec<(Duration, Deed)>,
    legacy: Vec<(Duration, Deed)>,
    events: Vec<(Duration, Event)>,
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn kind() -> impl Strategy<Value = FailureKind> {
    prop::sample::select(FailureKind::ALL.to_vec())
}

fn deeds() -> impl Strategy<Value = Vec<(Duration, Deed)>> {
    let deed = prop_oneof![
        4 => Just(Deed::Respond),
        3 => kind().prop_map(Deed::Undelivered),
        3 => kind().prop_map(Deed::Unknown),
        1 => Just(Deed::Hang),
    ];
    vec((prop_oneof![millis(0..10), millis(0..3_000)], deed), 1..12)
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::POST, Method::PUT, Method::DELETE];
    let call =
        (millis(0..60_000), prop::sample::select(methods.to_vec()), prop::option::weighted(0.2, millis(0..9_000)))
            .prop_map(|(start, method, patience)| Call { start, method, patience });
    let mode = prop::option::of(prop::sample::select(vec![Mode::Legacy, Mode::P2pFirst, Mode::P2pOnly]));
    let event = prop_oneof![
        4 => (0u8..4).prop_map(Event::Health),
        2 => any::<bool>().prop_map(Event::Probes),
        1 => mode.prop_map(Event::Mode),
        1 => any::<bool>().prop_map(Event::KillSwitch),
        1 => any::<bool>().prop_map(Event::LegacyRefuses),
    ];
    (any::<u64>(), vec(call, 1..25), deeds(), deeds(), vec((millis(0..60_000), event), 0..8))
        .prop_map(|(seed, calls, p2p, legacy, events)| Schedule { seed, calls, p2p, legacy, events })
}

/// How a call ended, as its caller saw it.
#[derive(Debug)]
enum End {
    Answered { transport: &'static str, reason: &'static str },
    Failed { delivered: bool, returned: bool },
    GivenUp,
}

fn play(schedule: &Schedule) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
        for (fake, deeds, name) in [(&p2p, &schedule.p2p, "p2p"), (&legacy, &schedule.legacy, "legacy")] {
            let mut deeds = deeds.clone().into_iter().cycle();
            fake.on(move |_| {
                let (after, deed) = deeds.next().expect("a cycle has no end");
                Act::Late(after, Box::new(deed.act(name)))
            });
        }
        let config = RouterConfig { seed: schedule.seed, ..RouterConfig::default() };
        let router = over(&p2p, &legacy, config).await;
        let calls = schedule.calls.iter().enumerate().map(|(id, call)| one(&router, id as u64, call));
        let events = async {
            let mut events = schedule.events.clone();
            events.sort_by_key(|(at, _)| *at);
            let begun = Instant::now();
            for (at, event) in events {
                sleep(at.saturating_sub(begun.elapsed())).await;
                happen(&event, &p2p, &legacy, &router);
            }
        };
        let (ends, ()) = futures::join!(futures::future::join_all(calls), events);
        check(schedule, &ends, &p2p, &legacy, &router);
    });
}

async fn one(router: &Router, id: u64, call: &Call) -> End {
    sleep(call.start).await;
    let body = if call.method == Method::GET { Body::empty() } else { Body::full("{}") };
    let sending = router.send(request(id, call.method.clone(), "/a", body));
    let Ok(result) = timeout(call.patience.unwrap_or(END_WITHIN), sending).await else {
        assert!(call.patience.is_some(), "request {id} did not end");
        return End::GivenUp;
    };
    match result {
        Ok(response) => {
            let got = fake::read(response).await;
            assert_eq!(got.body, got.transport, "the answer is that of the transport named");
            End::Answered { transport: got.transport, reason: got.reason }
        }
        Err(error) => {
            let delivered = error.may_have_been_delivered();
            End::Failed { delivered, returned: error.into_request().is_some() }
        }
    }
}

fn happen(event: &Event, p2p: &Fake, legacy: &Fake, router: &Router) {
    match event {
        Event::Health(0) => drop(p2p.is(Health::Probing)),
        Event::Health(1) => drop(p2p.is(fake::down())),
        Event::Health(_) => drop(p2p.is(fake::healthy())),
        Event::Probes(work) => drop(p2p.probes(if *work { Ok(()) } else { Err(FailureKind::Timeout) })),
        Event::Mode(mode) => router.set_mode(*mode),
        Event::KillSwitch(on) => router.kill_switch(*on),
        Event::LegacyRefuses(refuses) => {
            legacy.with(|state| state.refuses = refuses.then(|| failure(FailureKind::Unsupported)));
        }
    }
}

fn check(schedule: &Schedule, ends: &[End], p2p: &Fake, legacy: &Fake, router: &Router) {
    let executions = |id: u64| {
        [p2p, legacy].iter().map(|fake| fake.with(|state| state.executed.iter().filter(|it| it.0 == id).count())).sum()
    };
    let (mut failed, mut given_up) = (0, 0);
    let mut answered = BTreeMap::new();
    for (id, (call, end)) in schedule.calls.iter().zip(ends).enumerate() {
        let executed: usize = executions(id as u64);
        let is_safe = call.method.is_safe();
        assert!(executed <= if is_safe { 2 } else { 1 }, "{} {id} was executed {executed} times", call.method);
        match end {
            End::Answered { transport, reason } => {
                assert!(executed >= 1);
                *answered.entry((*transport, *reason)).or_insert(0) += 1;
            }
            End::Failed { delivered, returned } => {
                assert!(*delivered || executed == 0, "{id} was executed, and the failure denies it");
                assert!(!(*delivered && *returned));
                failed += 1;
            }
            End::GivenUp => given_up += 1,
        }
    }
    let counts = router.status().counts;
    let counted: BTreeMap<_, _> =
        counts.answered.iter().map(|line| ((line.transport, line.reason.name()), line.count)).collect();
    assert_eq!(counted, answered);
    assert_eq!((counts.failed, counts.abandoned), (failed, given_up));
    assert_eq!(counts.attempts.p2p, p2p.seen().len() as u64);
    assert_eq!(counts.attempts.legacy, legacy.seen().len() as u64);
    assert!(counts.hedges_won <= counts.hedges_started);
    let hedged = answered.iter().filter(|((_, reason), _)| *reason == "hedged").map(|(_, count)| count).sum::<u64>();
    assert_eq!(counts.hedges_won, hedged);
    let decisions = router.decisions();
    assert_eq!(decisions.len(), ends.len());
    for decision in decisions {
        let id = usize::try_from(decision.id).expect("a small number");
        let agrees = match (&ends[id], decision.outcome) {
            (End::Answered { transport, reason }, Outcome::Complete) => {
                decision.transport == Some(transport) && decision.reason.is_some_and(|it| it.name() == *reason)
            }
            (End::Failed { delivered, .. }, outcome) => *delivered == matches!(outcome, Outcome::Unknown(_)),
            (End::GivenUp, outcome) => outcome == Outcome::Abandoned,
            _ => false,
        };
        assert!(agrees, "{:?} but {decision:?}", ends[id]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_executed_twice_and_the_counters_tell_the_truth(schedule in schedule()) {
        play(&schedule);
    }
}
