//! Calls that no connection should make, and the figures that must still hold.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Bbr, Controller, phase::Plan};

#[derive(Clone, Debug)]
enum Call {
    Sent {
        bytes: u16,
        number: u64,
    },
    Limited,
    /// Sent so many microseconds ago.
    Acked {
        bytes: u16,
        number: u64,
        ago: u64,
    },
    EndAcks {
        in_flight: u64,
        app_limited: bool,
    },
    Lost {
        bytes: u16,
        number: u64,
    },
    Congestion {
        persistent: bool,
    },
    Spurious,
    Mtu(u16),
    Wait(u64),
}

fn call() -> impl Strategy<Value = Call> {
    let number = prop_oneof![8 => 0..200_u64, 1 => any::<u64>()];
    prop_oneof![
        6 => (any::<u16>(), number.clone()).prop_map(|(bytes, number)| Call::Sent { bytes, number }),
        1 => Just(Call::Limited),
        6 => (any::<u16>(), number.clone(), 0..1_000_000_u64).prop_map(|(bytes, number, ago)| Call::Acked {
            bytes,
            number,
            ago
        }),
        4 => (any::<u64>(), any::<bool>()).prop_map(|(in_flight, app_limited)| Call::EndAcks {
            in_flight: in_flight >> 20,
            app_limited
        }),
        2 => (any::<u16>(), number).prop_map(|(bytes, number)| Call::Lost { bytes, number }),
        1 => any::<bool>().prop_map(|persistent| Call::Congestion { persistent }),
        1 => Just(Call::Spurious),
        1 => any::<u16>().prop_map(Call::Mtu),
        4 => prop_oneof![8 => 0..100_000_u64, 1 => 0..100_000_000_000_u64].prop_map(Call::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// No call panics, and the window never closes.
    #[test]
    fn any_calls_leave_a_window(mtu in any::<u16>(), calls in prop::collection::vec(call(), 0..400)) {
        #[expect(clippy::disallowed_methods, reason = "any beginning")]
        let start = Instant::now();
        let mut now = start;
        let mut controller = Bbr::new(now, mtu, 1);
        let mut mtu = u64::from(mtu.max(1));
        for call in calls {
            match call {
                Call::Sent { bytes, number } => controller.on_packet_sent(now, bytes, number),
                Call::Limited => controller.on_cwnd_limited(),
                // All that `on_ack` does; an estimator of round-trip times cannot be made here.
                Call::Acked { bytes, number, ago } => {
                    let sent = now.checked_sub(Duration::from_micros(ago)).unwrap_or(now);
                    controller.delivery.acked(now, sent, bytes.into(), number);
                }
                Call::EndAcks { in_flight, app_limited } => controller.on_end_acks(now, in_flight, app_limited, None),
                Call::Lost { bytes, number } => controller.on_packet_lost(bytes, number, now),
                Call::Congestion { persistent } => controller.on_congestion_event(now, now, persistent, false, 0, 0),
                Call::Spurious => controller.on_spurious_congestion_event(),
                Call::Mtu(new) => {
                    controller.on_mtu_update(new);
                    mtu = u64::from(new.max(1));
                }
                Call::Wait(micros) => now += Duration::from_micros(micros),
            }
            prop_assert!(controller.window() >= 4 * mtu.min(1200) || controller.window() >= mtu);
            let metrics = controller.metrics();
            prop_assert!(metrics.pacing_rate != Some(0));
            prop_assert_eq!(metrics.congestion_window, controller.window());
        }
    }
}

/// After 200 ms on a path that delivers so many packets of 1,400 bytes per millisecond, a tenth of a millisecond long.
fn on_a_short_path(packets: u64) -> Bbr {
    #[expect(clippy::disallowed_methods, reason = "any beginning")]
    let start = Instant::now();
    let mut controller = Bbr::new(start, 1400, 1);
    for number in 0..200 * packets {
        let at = start + Duration::from_micros(number * 1000 / packets);
        controller.on_packet_sent(at, 1400, number);
        if let Some(acked) = number.checked_sub((packets / 10).max(1)) {
            let sent = start + Duration::from_micros(acked * 1000 / packets);
            controller.delivery.acked(at, sent, 1400, acked);
            controller.on_end_acks(at, controller.delivery.in_flight(), false, None);
        }
    }
    controller
}

#[test]
fn what_timers_are_too_coarse_for_is_not_paced() {
    let (fast, slow) = (on_a_short_path(280), on_a_short_path(10));
    assert!((fast.rate() / 392e6 - 1.0).abs() < 0.3, "{fast:?}");
    assert_eq!(fast.metrics().pacing_rate, None);
    assert!((slow.rate() / 14e6 - 1.0).abs() < 0.3, "{slow:?}");
    assert!(slow.metrics().pacing_rate.is_some());
}

#[test]
fn a_short_path_stays_busy_while_it_drains() {
    let mut controller = on_a_short_path(280);
    for exact in [false, true] {
        let plan = Plan { pacing_gain: 1.0, window_gain: 0.95, exact, window: None, pace: None };
        controller.control(plan);
        assert!(controller.window() >= 500_000, "exact: {exact}, {}", controller.window());
    }
}
