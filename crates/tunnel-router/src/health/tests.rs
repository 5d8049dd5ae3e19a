//! Tests of the state machine.

mod properties;

use std::time::Duration;

use super::{Cause, Machine, Settings, State, Transition, View};
use crate::RouterConfig;

fn settings() -> Settings {
    Settings::from(&RouterConfig::default())
}

fn connected() -> Machine {
    let mut machine = Machine::new(settings(), 1);
    machine.transport(Duration::ZERO, View::Up);
    machine
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn change(from: State, to: State, cause: Cause) -> Transition {
    Transition { from, to, cause }
}

#[test]
fn is_used_from_its_first_connection_on() {
    let mut machine = Machine::new(settings(), 1);
    assert_eq!(machine.state(), State::Probing);
    assert_eq!(machine.transport(secs(1), View::Connecting), None);
    assert_eq!(machine.transport(secs(2), View::Down), Some(change(State::Probing, State::Down, Cause::TransportDown)));
    assert_eq!(machine.transport(secs(3), View::Up), Some(change(State::Down, State::Healthy, Cause::Connected)));
    assert_eq!(machine.next_probe(), None);
}

#[test]
fn three_failures_in_a_row_make_it_down_and_a_success_between_them_does_not() {
    let mut machine = connected();
    assert_eq!(machine.failed(secs(1), 0), Some(change(State::Healthy, State::Suspect, Cause::Failed)));
    assert_eq!(machine.failed(secs(1), 0), None);
    assert_eq!(machine.succeeded(secs(1), 0), Some(change(State::Suspect, State::Healthy, Cause::Succeeded)));
    machine.failed(secs(2), 0);
    machine.failed(secs(2), 0);
    assert_eq!(machine.failed(secs(2), 0), Some(change(State::Suspect, State::Down, Cause::FailedRepeatedly)));
    assert!(!machine.state().is_usable());
}

#[test]
fn one_stall_makes_it_down() {
    let mut machine = connected();
    assert_eq!(machine.stalled(secs(1), 0), Some(change(State::Healthy, State::Down, Cause::Stalled)));
}

#[test]
fn a_transport_that_says_it_is_down_or_lost_its_connection_is_down_at_once() {
    for view in [View::Down, View::Connecting] {
        let mut machine = connected();
        assert_eq!(machine.transport(secs(1), view), Some(change(State::Healthy, State::Down, Cause::TransportDown)));
        assert_eq!(machine.transport(secs(2), view), None);
    }
}

#[test]
fn a_transport_that_recovers_is_probed_at_once_and_used_after_two_good_probes() {
    let mut machine = connected();
    machine.transport(secs(1), View::Down);
    machine.transport(secs(2), View::Up);
    assert_eq!(machine.next_probe(), Some(secs(2)));
    machine.probe_started(secs(2));
    assert_eq!(machine.next_probe(), None, "one at a time");
    assert_eq!(machine.probe_succeeded(secs(2)), Some(change(State::Down, State::Probing, Cause::ProbeSucceeded)));
    assert_eq!(machine.next_probe(), Some(secs(3)), "the hold-down after the first time");
    machine.probe_started(secs(3));
    assert_eq!(machine.probe_succeeded(secs(3)), Some(change(State::Probing, State::Healthy, Cause::Proven)));
}

#[test]
fn pauses_between_failed_probes_double_from_5_s_to_60_s() {
    let mut machine = connected();
    machine.transport(Duration::ZERO, View::Down);
    let mut now = Duration::ZERO;
    for expected in [5, 10, 20, 40, 60, 60] {
        let next = machine.next_probe().unwrap();
        let pause = next.saturating_sub(now);
        assert!(pause <= secs(expected) && pause >= secs(expected) / 2, "{pause:?} instead of {expected}");
        now = next;
        machine.probe_started(now);
        assert_eq!(machine.probe_failed(now), None);
    }
    machine.probe_soon(now);
    assert_eq!(machine.next_probe(), Some(now), "the network has changed");
    machine.probe_failed(now);
    assert!(machine.next_probe().unwrap() <= now + secs(10));
}

#[test]
fn results_of_requests_from_before_say_nothing() {
    let mut machine = connected();
    machine.stalled(secs(1), 0);
    machine.transport(secs(1), View::Down);
    machine.transport(secs(2), View::Up);
    for now in [2, 3] {
        machine.probe_succeeded(secs(now));
    }
    assert_eq!(machine.state(), State::Healthy);
    for _ in 0..5 {
        assert_eq!(machine.failed(secs(4), 0), None);
        assert_eq!(machine.stalled(secs(4), 0), None);
    }
    assert!(machine.stalled(secs(4), machine.epoch()).is_some());
}

#[test]
fn doubt_asks_for_a_probe_but_not_all_the_time() {
    let mut machine = connected();
    machine.doubted(secs(1));
    assert_eq!(machine.next_probe(), Some(secs(1)));
    machine.probe_started(secs(1));
    machine.probe_succeeded(secs(1));
    machine.doubted(secs(1));
    assert_eq!(machine.next_probe(), Some(secs(2)));
    machine.probe_started(secs(2));
    assert_eq!(machine.probe_failed(secs(2)), Some(change(State::Healthy, State::Down, Cause::ProbeFailed)));
}

#[test]
fn causes_are_in_the_order_of_their_counters() {
    for (index, cause) in Cause::ALL.into_iter().enumerate() {
        assert_eq!(cause as usize, index);
    }
    for (index, reason) in crate::Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
    }
}
