//! What can be done, and how it is made up.

use std::{fmt, time::Duration};

use p2p_provider::{
    ConnectionLimits,
    simulator::{Conditions, SimPeerConfig},
};
use proptest::{option, prelude::*};

/// Refers to the thing of this number, modulo how many there are.
pub(super) type Slot = u8;

/// A network before the first step.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) conditions: Conditions,
    pub(super) stream_receive_window: u64,
    pub(super) limits: ConnectionLimits,
}

/// A step, and the time that passes after it.
#[derive(Clone)]
pub(super) struct Timed {
    pub(super) step: Step,
    pub(super) pause: Duration,
}

impl fmt::Debug for Timed {
    /// On one line, so that a failing list can be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{:?}, then {:?}", self.step, self.pause))
    }
}

/// One thing that somebody does.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Connect {
        from: Slot,
        to: Slot,
        timeout: Duration,
    },
    Listen {
        node: Slot,
    },
    DropListener {
        node: Slot,
    },
    Open {
        connection: Slot,
        uni: bool,
    },
    /// Gives up an open under way.
    CancelOpen {
        connection: Slot,
    },
    Write {
        send: Slot,
        bytes: u32,
        chunks: u8,
    },
    Finish {
        send: Slot,
    },
    Reset {
        send: Slot,
        code: u8,
    },
    /// Also gives up a write under way.
    DropSend {
        send: Slot,
    },
    Read {
        recv: Slot,
        chunks: u8,
    },
    ReadToEnd {
        recv: Slot,
    },
    /// Gives up a read under way.
    CancelRead {
        recv: Slot,
    },
    Stop {
        recv: Slot,
        code: u8,
    },
    DropRecv {
        recv: Slot,
    },
    SetLimits {
        connection: Slot,
        limits: ConnectionLimits,
    },
    Close {
        connection: Slot,
        code: u8,
    },
    /// Drops the connection itself; its streams stay.
    DropConnection {
        connection: Slot,
    },
    Disconnect {
        node: Slot,
        peer: Slot,
        code: u8,
    },
    ClosePeer {
        node: Slot,
    },
    Crash {
        node: Slot,
    },
    /// Starts the node, its peer and a listener, as far as they are missing.
    Start {
        node: Slot,
    },
    Partition {
        one: Slot,
        other: Slot,
    },
    Isolate {
        node: Slot,
    },
    Stall {
        one: Slot,
        other: Slot,
    },
    Degrade {
        one: Slot,
        other: Slot,
        conditions: Conditions,
    },
    Heal {
        fault: Slot,
    },
    Sleep {
        time: Duration,
    },
}

impl Setup {
    pub(super) fn peer_config(&self) -> SimPeerConfig {
        let mut config = SimPeerConfig::default();
        config.stream_receive_window = self.stream_receive_window;
        config.initial_limits = self.limits;
        config
    }
}

pub(super) fn setup() -> impl Strategy<Value = Setup> {
    let window = prop_oneof![Just(1_250_000_u64), 1_u64..100_000];
    let limits = prop_oneof![
        Just(SimPeerConfig::default().initial_limits),
        (1_u32..8, 1_u32..8, 1_u64..200_000).prop_map(|(bidi_streams, uni_streams, receive_window)| {
            ConnectionLimits { bidi_streams, uni_streams, receive_window }
        })
    ];
    (any::<u64>(), 2_usize..=4, prop_oneof![3 => Just(Conditions::default()), 2 => conditions()], window, limits)
        .prop_map(|(seed, nodes, conditions, stream_receive_window, limits)| Setup {
            seed,
            nodes,
            conditions,
            stream_receive_window,
            limits,
        })
}

pub(super) fn timed() -> impl Strategy<Value = Timed> {
    let pause = prop_oneof![5 => Just(0_u64), 4 => 1_u64..4, 2 => 0_u64..100];
    (step(), pause.prop_map(Duration::from_millis)).prop_map(|(step, pause)| Timed { step, pause })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => streams(),
        5 => connections(),
        3 => troubles(),
        2 => (0_u64..8_000).prop_map(|millis| Step::Sleep { time: Duration::from_millis(millis) }),
    ]
}

fn streams() -> impl Strategy<Value = Step> {
    let slot = any::<Slot>;
    let bytes = prop_oneof![Just(0_u32), 1_u32..10, 1_u32..3_000, 1_u32..100_000];
    prop_oneof![
        4 => (slot(), any::<bool>()).prop_map(|(connection, uni)| Step::Open { connection, uni }),
        1 => slot().prop_map(|connection| Step::CancelOpen { connection }),
        8 => (slot(), bytes, 1_u8..10).prop_map(|(send, bytes, chunks)| Step::Write { send, bytes, chunks }),
        3 => slot().prop_map(|send| Step::Finish { send }),
        1 => (slot(), any::<u8>()).prop_map(|(send, code)| Step::Reset { send, code }),
        1 => slot().prop_map(|send| Step::DropSend { send }),
        5 => (slot(), 1_u8..20).prop_map(|(recv, chunks)| Step::Read { recv, chunks }),
        3 => slot().prop_map(|recv| Step::ReadToEnd { recv }),
        1 => slot().prop_map(|recv| Step::CancelRead { recv }),
        1 => (slot(), any::<u8>()).prop_map(|(recv, code)| Step::Stop { recv, code }),
        1 => slot().prop_map(|recv| Step::DropRecv { recv }),
    ]
}

fn connections() -> impl Strategy<Value = Step> {
    let slot = any::<Slot>;
    let limits = (0_u32..20, 0_u32..20, prop_oneof![0_u64..1000, 0_u64..1_000_000]);
    let limits = limits.prop_map(|(bidi_streams, uni_streams, receive_window)| ConnectionLimits {
        bidi_streams,
        uni_streams,
        receive_window,
    });
    prop_oneof![
        6 => (slot(), slot(), 0_u64..7_000).prop_map(|(from, to, millis)| {
            Step::Connect { from, to, timeout: Duration::from_millis(millis) }
        }),
        1 => slot().prop_map(|node| Step::Listen { node }),
        1 => slot().prop_map(|node| Step::DropListener { node }),
        2 => (slot(), limits).prop_map(|(connection, limits)| Step::SetLimits { connection, limits }),
        1 => (slot(), any::<u8>()).prop_map(|(connection, code)| Step::Close { connection, code }),
        1 => slot().prop_map(|connection| Step::DropConnection { connection }),
        1 => (slot(), slot(), any::<u8>()).prop_map(|(node, peer, code)| Step::Disconnect { node, peer, code }),
    ]
}

fn troubles() -> impl Strategy<Value = Step> {
    let slot = any::<Slot>;
    prop_oneof![
        1 => slot().prop_map(|node| Step::ClosePeer { node }),
        2 => slot().prop_map(|node| Step::Crash { node }),
        5 => slot().prop_map(|node| Step::Start { node }),
        2 => (slot(), slot()).prop_map(|(one, other)| Step::Partition { one, other }),
        1 => slot().prop_map(|node| Step::Isolate { node }),
        2 => (slot(), slot()).prop_map(|(one, other)| Step::Stall { one, other }),
        3 => (slot(), slot(), conditions()).prop_map(|(one, other, conditions)| {
            Step::Degrade { one, other, conditions }
        }),
        6 => slot().prop_map(|fault| Step::Heal { fault }),
    ]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let bandwidth = option::of(20_000_u64..20_000_000);
    (0_u64..200, 0_u64..100, 0.0..0.1_f64, 0.0..0.3_f64, bandwidth).prop_map(
        |(latency, jitter, loss, reorder, bandwidth)| {
            let conditions = Conditions::new(Duration::from_millis(latency));
            let conditions = conditions.jitter(Duration::from_millis(jitter)).loss(loss).reorder(reorder);
            bandwidth.map_or(conditions, |rate| conditions.bandwidth(rate))
        },
    )
}
