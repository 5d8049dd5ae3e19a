//! Whatever happens, in whatever order.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::{Machine, Settings, State, View, settings};
use crate::{RETURN_WITHIN, SWITCHES_PER_HOUR_MAX};

/// Something that happens after a while.
#[derive(Clone, Debug)]
enum Event {
    Transport(u8),
    Succeeded,
    Failed,
    Stalled,
    NetworkChanged,
    Doubted,
    /// From now on probes succeed, or do not.
    ProbesWork(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..3u8).prop_map(Event::Transport),
        Just(Event::Succeeded),
        Just(Event::Failed),
        Just(Event::Stalled),
        Just(Event::NetworkChanged),
        Just(Event::Doubted),
        any::<bool>().prop_map(Event::ProbesWork),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (1..5u32, 2..=4u32, 100..=2500u64, 2500..20_000u64, 0..100_000u64).prop_map(
        |(failures, probes, timeout, min, more)| Settings {
            failures_max: failures,
            probes_to_return: probes,
            probe_timeout: Duration::from_millis(timeout),
            interval_min: Duration::from_millis(min),
            interval_max: Duration::from_millis(min + more),
        },
    )
}

/// The machine with the world around it: time, a transport, and probes that take as long as they may.
struct World {
    machine: Machine,
    settings: Settings,
    now: Duration,
    view: View,
    probes_work: bool,
    /// When the probe under way ends, and how.
    probe: Option<(Duration, bool)>,
    /// Since when p2p works without a break.
    works_since: Option<Duration>,
    switches: Vec<Duration>,
}

impl World {
    fn new(settings: Settings, seed: u64) -> Self {
        let machine = Machine::new(settings.clone(), seed);
        let (now, view) = (Duration::ZERO, View::Connecting);
        Self { machine, settings, now, view, probes_work: true, probe: None, works_since: None, switches: Vec::new() }
    }

    fn tell<T>(&mut self, event: impl FnOnce(&mut Machine, Duration) -> T) -> T {
        let before = self.machine.state();
        let result = event(&mut self.machine, self.now);
        if before.is_usable() != self.machine.state().is_usable() {
            self.switches.push(self.now);
        }
        result
    }

    /// Lets time pass, as the background task does: it looks every 250 ms, and probes when it is time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let look = self.now + Duration::from_millis(250);
            let probe = match self.probe {
                Some((ends, _)) => ends,
                None => self.machine.next_probe().map_or(look, |at| at.max(self.now)),
            };
            let next = look.min(probe);
            if next > end {
                break;
            }
            self.now = next;
            if let Some((ends, good)) = self.probe {
                if ends <= self.now {
                    self.probe = None;
                    let good = good && self.probes_work && self.view == View::Up;
                    self.tell(
                        |machine, now| if good { machine.probe_succeeded(now) } else { machine.probe_failed(now) },
                    );
                }
            } else if self.machine.next_probe().is_some_and(|at| at <= self.now) {
                self.tell(Machine::probe_started);
                let good = self.probes_work && self.view == View::Up;
                self.probe = Some((self.now + self.settings.probe_timeout, good));
            }
            let view = self.view;
            self.tell(|machine, now| machine.transport(now, view));
            self.check();
        }
        self.now = end;
    }

    fn happen(&mut self, event: &Event) {
        let epoch = self.machine.epoch();
        match event {
            Event::Transport(view) => {
                self.view = [View::Up, View::Connecting, View::Down][usize::from(*view)];
                let view = self.view;
                self.tell(|machine, now| machine.transport(now, view));
            }
            Event::Succeeded => drop(self.tell(|machine, now| machine.succeeded(now, epoch))),
            Event::Failed => drop(self.tell(|machine, now| machine.failed(now, epoch))),
            Event::Stalled => drop(self.tell(|machine, now| machine.stalled(now, epoch))),
            Event::NetworkChanged => self.tell(Machine::probe_soon),
            Event::Doubted => self.tell(Machine::doubted),
            Event::ProbesWork(work) => self.probes_work = *work,
        }
        let harmless = matches!(event, Event::Succeeded | Event::NetworkChanged | Event::Doubted);
        let works = self.probes_work && self.view == View::Up;
        if !works || !harmless {
            self.works_since = None;
        }
        if works && self.works_since.is_none() {
            self.works_since = Some(self.now);
        }
        self.check();
    }

    fn check(&self) {
        let usable = self.machine.state().is_usable();
        assert!(self.view == View::Up || !usable, "used although the transport is not up");
        if let Some(since) = self.works_since {
            assert!(
                usable || self.now.saturating_sub(since) <= RETURN_WITHIN,
                "works since {since:?}, and is not used at {:?}",
                self.now
            );
        }
        let state = self.machine.state();
        let is_scheduled = self.machine.next_probe().is_some() || self.probe.is_some();
        assert!(state != State::Down || is_scheduled, "down, and nobody looks again");
        let hour = self.now.saturating_sub(Duration::from_hours(1));
        let recent = self.switches.iter().filter(|&&at| at >= hour).count();
        assert!(recent <= SWITCHES_PER_HOUR_MAX, "{recent} switches in an hour");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_way_back_is_never_longer_than_a_minute(
        settings in any_settings(),
        seed: u64,
        events in vec((0..90_000u64, event()), 1..60),
    ) {
        let mut world = World::new(settings, seed);
        for (pause, event) in &events {
            world.pass(Duration::from_millis(*pause));
            world.happen(event);
        }
        world.happen(&Event::ProbesWork(true));
        world.happen(&Event::Transport(0));
        world.pass(RETURN_WITHIN);
        prop_assert!(world.machine.state().is_usable());
    }
}

proptest! {
    // Each case is two hours.
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_enemy_who_takes_it_down_whenever_it_is_used_gets_few_switches(
        settings in any_settings(),
        seed: u64,
        how in vec((0..3000u64, 0..4u8), 1..20),
    ) {
        let mut world = World::new(settings, seed);
        world.happen(&Event::Transport(0));
        for (pause, kind) in how.iter().cycle() {
            if world.now > Duration::from_hours(2) {
                break;
            }
            world.pass(Duration::from_millis(*pause));
            if world.machine.state().is_usable() {
                let event = if *kind == 0 { Event::Transport(2) } else { Event::Stalled };
                world.happen(&event);
            }
            world.happen(&Event::Transport(0));
            if *kind == 3 {
                world.happen(&Event::NetworkChanged);
            }
        }
        prop_assert!(world.switches.len() > 100, "the enemy was not tried");
    }
}

#[test]
fn the_stated_number_of_switches_is_about_what_an_enemy_reaches() {
    let mut world = World::new(Settings { probe_timeout: Duration::ZERO, ..settings() }, 1);
    world.happen(&Event::Transport(0));
    while world.now < Duration::from_hours(1) {
        if world.machine.state().is_usable() {
            world.happen(&Event::Transport(2));
            world.happen(&Event::Transport(0));
        }
        world.pass(Duration::from_millis(10));
    }
    let reached = world.switches.len();
    assert!(reached <= SWITCHES_PER_HOUR_MAX && reached + 5 > SWITCHES_PER_HOUR_MAX, "{reached}");
}
