//! Calls that no connection should make, and the figures that must still hold.
#![allow(missing_docs, clippy::pedantic, clippy::disallowed_methods, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use noq_proto::congestion::{Controller, ControllerFactory};
use p2p_congestion::BbrConfig;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Call {
    Sent { bytes: u16, number: u64 },
    Limited,
    EndAcks { in_flight: u64, app_limited: bool },
    Lost { bytes: u16, number: u64 },
    Congestion { persistent: bool },
    Spurious,
    Mtu(u16),
    Wait(u64),
}

fn call() -> impl Strategy<Value = Call> {
    let number = prop_oneof![8 => 0..200_u64, 1 => any::<u64>()];
    prop_oneof![
        6 => (any::<u16>(), number.clone()).prop_map(|(bytes, number)| Call::Sent { bytes, number }),
        1 => Just(Call::Limited),
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
        let mut now = Instant::now();
        let mut controller: Box<dyn Controller> = Arc::new(BbrConfig::with_seed(1)).build(now, mtu);
        let mut mtu = u64::from(mtu.max(1));
        for call in calls {
            match call {
                Call::Sent { bytes, number } => controller.on_packet_sent(now, bytes, number),
                Call::Limited => controller.on_cwnd_limited(),
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
