//! Frames as `spec/wire.md` has them, sequences of them that make sense, and damage.

use bincode::Encode;
use proptest::{collection, prelude::*};

/// The kinds of streams.
pub(crate) const CONTROL: u8 = 0;
const HTTP: u8 = 1;
const WEBSOCKET: u8 = 2;
const BULK: u8 = 3;
const PROBE: u8 = 4;
const BULK_PART: u8 = 5;

/// The targets of requests: those of [`Behind`](super::peers::Behind), and some that nobody may ask for.
const TARGETS: [&str; 10] = [
    "/raw/echo",
    "/raw/read",
    "/raw/hang",
    "/raw/down",
    "/raw/ws",
    "*",
    "http://elsewhere/",
    "relative",
    "/\u{0}",
    "/raw/large",
];

/// One frame.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Head {
        post: bool,
        target: u8,
        size: Size,
    },
    Data(u32),
    End {
        trailers: u8,
    },
    Fail(u16),
    Moved,
    TunnelHead,
    WebSocket {
        kind: u8,
        bytes: u16,
    },
    Hello(Hello),
    Welcome,
    Ping(u64),
    Pong(u64),
    GoAway,
    Credit {
        stream: u64,
        frames: u32,
    },
    /// Anything.
    Raw {
        kind: u8,
        payload: Vec<u8>,
    },
}

/// What a head says about its body.
#[derive(Clone, Copy, Debug, Encode)]
pub(crate) enum Size {
    None,
    Exact(u64),
    Unknown,
}

/// The first frame of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) role: u32,
    pub(crate) capabilities: u64,
    pub(crate) session: u128,
    pub(crate) secret: Vec<u8>,
}

/// What is wrong with a sequence of frames. Places count modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Swap(u8, u8),
    Duplicate(u8),
    Remove(u8),
    Insert(u8, Frame),
    /// A frame is longer, or shorter, than it says.
    Length(u8, i32),
    /// Everything ends here.
    Truncate(u32),
    /// Bits of a byte are wrong.
    Flip(u32, u8),
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let no_headers = || Vec::<(String, Vec<u8>)>::new();
        match self {
            Self::Head { post, target, size } => {
                let method = if *post { "POST" } else { "GET" };
                let target = TARGETS[usize::from(*target) % TARGETS.len()];
                frame(0x01, encode((method, target, no_headers(), *size)))
            }
            Self::Data(bytes) => frame(0x02, vec![7; *bytes as usize]),
            Self::End { trailers } => {
                let trailers = (0..*trailers).map(|number| (format!("x-{number}"), vec![b'v'; 10]));
                frame(0x03, encode(trailers.collect::<Vec<_>>()))
            }
            Self::Fail(code) => frame(0x04, encode((*code, "why"))),
            Self::Moved => frame(0x05, []),
            Self::TunnelHead => frame(0x06, br#"{"request_id":1,"method":"GET","path":"raw/down"}"#),
            Self::WebSocket { kind, bytes } => frame(0x10 + kind % 5, vec![b'w'; usize::from(*bytes)]),
            Self::Hello(Hello { role, capabilities, session, secret }) => {
                frame(0x20, encode((0_u16, *capabilities, *role, *session, secret.clone(), None::<String>, "raw")))
            }
            Self::Welcome => frame(0x21, encode((0_u16, 0_u64, 1_u32, 1_u32, None::<String>, "raw"))),
            Self::Ping(number) => frame(0x22, encode((*number,))),
            Self::Pong(number) => frame(0x23, encode((*number,))),
            Self::GoAway => frame(0x24, encode(("enough",))),
            Self::Credit { stream, frames } => frame(0x25, encode((*stream, *frames))),
            Self::Raw { kind, payload } => frame(*kind, payload),
        }
    }
}

/// The bytes of a stream: what comes first, and frames with damage.
pub(crate) fn bytes_of(first: &[u8], frames: &[Frame], damages: &[Damage]) -> Vec<u8> {
    let mut frames: Vec<Vec<u8>> = frames.iter().map(Frame::bytes).collect();
    let mut all = Vec::new();
    let place = |at: &u8, count: usize| usize::from(*at) % count.max(1);
    for damage in damages {
        let count = frames.len();
        match damage {
            Damage::Insert(at, frame) => frames.insert(place(at, count + 1), frame.bytes()),
            _ if count == 0 => {}
            Damage::Swap(one, other) => frames.swap(place(one, count), place(other, count)),
            Damage::Duplicate(at) => frames.insert(place(at, count), frames[place(at, count)].clone()),
            Damage::Remove(at) => drop(frames.remove(place(at, count))),
            Damage::Length(at, change) => {
                if let Some([_, length @ ..]) = frames[place(at, count)].first_chunk_mut::<5>() {
                    *length = u32::from_be_bytes(*length).wrapping_add_signed(*change).to_be_bytes();
                }
            }
            Damage::Truncate(_) | Damage::Flip(..) => {}
        }
    }
    all.extend_from_slice(first);
    all.extend(frames.concat());
    for damage in damages {
        let place = |at: &u32| *at as usize % all.len().max(1);
        match damage {
            Damage::Truncate(at) => all.truncate(place(at)),
            Damage::Flip(at, bits) => {
                let at = place(at);
                if let Some(byte) = all.get_mut(at) {
                    *byte ^= bits;
                }
            }
            _ => {}
        }
    }
    all
}

fn frame(kind: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
    [&[kind][..], &length, payload].concat()
}

fn encode(value: impl Encode) -> Vec<u8> {
    bincode::encode_to_vec(value, bincode::config::standard()).expect("it can be encoded")
}

// How they are made up.

/// The first byte of a stream in both directions, and frames that belong there.
pub(crate) fn sequence() -> impl Strategy<Value = (u8, Vec<Frame>)> {
    prop_oneof![
        6 => exchange().prop_map(|frames| (HTTP, frames)),
        3 => websocket().prop_map(|frames| (WEBSOCKET, frames)),
        1 => control().prop_map(|frames| (CONTROL, frames)),
        1 => collection::vec(any_frame(), 0..2).prop_map(|frames| (PROBE, frames)),
        1 => (any::<u8>(), collection::vec(any_frame(), 0..6)),
    ]
}

/// As [`sequence`], for streams in one direction: their first bytes, which name the stream that they continue.
pub(crate) fn continuation() -> impl Strategy<Value = (Vec<u8>, Vec<Frame>)> {
    // Few numbers, so that parts meet.
    let place = prop_oneof![
        5 => Just((BULK, vec![])),
        5 => (0_u8..2, Just(2)).prop_map(|(index, count)| (BULK_PART, vec![index, count])),
        2 => (0_u8..10, 0_u8..10).prop_map(|(index, count)| (BULK_PART, vec![index, count])),
        1 => any::<u8>().prop_map(|kind| (kind, vec![])),
    ];
    let number = prop_oneof![4 => Just(4), 8 => (0_u64..12).prop_map(|count| count * 4), 1 => any::<u64>()];
    (place, number, pieces(), any::<bool>()).prop_map(|((kind, place), number, mut frames, ends)| {
        if ends {
            frames.push(Frame::End { trailers: 0 });
        }
        ([&[kind], &number.to_be_bytes()[..], &place].concat(), frames)
    })
}

fn exchange() -> impl Strategy<Value = Vec<Frame>> {
    let end = prop_oneof![
        4 => (0_u8..3).prop_map(|trailers| vec![Frame::End { trailers }]),
        3 => Just(vec![Frame::Moved]),
        1 => Just(vec![]),
    ];
    let whole =
        (any::<bool>(), 0_u8..4, any::<bool>(), pieces(), end).prop_map(|(post, target, exact, pieces, end)| {
            let length =
                pieces.iter().map(|piece| if let Frame::Data(bytes) = piece { u64::from(*bytes) } else { 0 }).sum();
            let size = if exact { Size::Exact(length) } else { Size::Unknown };
            [vec![Frame::Head { post, target, size }], pieces, end].concat()
        });
    prop_oneof![
        6 => whole,
        2 => (0_u8..20).prop_map(|target| vec![Frame::Head { post: false, target, size: Size::None }]),
        1 => Just(vec![Frame::TunnelHead]),
    ]
}

fn pieces() -> impl Strategy<Value = Vec<Frame>> {
    let bytes = prop_oneof![1_u32..10, 1_u32..2_000, 1_u32..60_000];
    prop_oneof![
        8 => collection::vec(bytes.prop_map(Frame::Data), 0..8),
        // More than there are credits for.
        1 => (500_usize..700).prop_map(|count| vec![Frame::Data(1); count]),
    ]
}

fn websocket() -> impl Strategy<Value = Vec<Frame>> {
    let message = (0_u8..4, 0_u16..300).prop_map(|(kind, bytes)| {
        let bytes = if kind < 2 { bytes } else { bytes % 126 };
        Frame::WebSocket { kind, bytes }
    });
    (collection::vec(message, 0..8), any::<bool>()).prop_map(|(messages, closes)| {
        let head = Frame::Head { post: false, target: 4, size: Size::None };
        let close = closes.then_some(Frame::WebSocket { kind: 4, bytes: 0 });
        std::iter::once(head).chain(messages).chain(close).collect()
    })
}

/// What may follow on a control stream.
pub(crate) fn control() -> impl Strategy<Value = Vec<Frame>> {
    let frame = prop_oneof![
        any::<u64>().prop_map(Frame::Ping),
        any::<u64>().prop_map(Frame::Pong),
        ((0_u64..50), any::<u32>()).prop_map(|(stream, frames)| Frame::Credit { stream, frames }),
    ];
    collection::vec(frame, 0..6)
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let size = prop_oneof![Just(Size::None), any::<u64>().prop_map(Size::Exact), Just(Size::Unknown)];
    let kind = prop_oneof![0_u8..8, 0x10_u8..0x28, any::<u8>()];
    prop_oneof![
        (any::<bool>(), any::<u8>(), size).prop_map(|(post, target, size)| Frame::Head { post, target, size }),
        (0_u32..20_000).prop_map(Frame::Data),
        any::<u8>().prop_map(|trailers| Frame::End { trailers }),
        any::<u16>().prop_map(Frame::Fail),
        Just(Frame::Moved),
        Just(Frame::TunnelHead),
        any::<(u8, u16)>().prop_map(|(kind, bytes)| Frame::WebSocket { kind, bytes }),
        any::<(u32, u128)>().prop_map(|(role, session)| Frame::Hello(Hello {
            role,
            capabilities: 1,
            session,
            secret: vec![1; 32]
        })),
        Just(Frame::Welcome),
        any::<u64>().prop_map(Frame::Ping),
        any::<u64>().prop_map(Frame::Pong),
        Just(Frame::GoAway),
        any::<(u64, u32)>().prop_map(|(stream, frames)| Frame::Credit { stream, frames }),
        (kind, collection::vec(any::<u8>(), 0..40)).prop_map(|(kind, payload)| Frame::Raw { kind, payload }),
    ]
}

/// Mostly none.
pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = prop_oneof![
        any::<(u8, u8)>().prop_map(|(one, other)| Damage::Swap(one, other)),
        any::<u8>().prop_map(Damage::Duplicate),
        any::<u8>().prop_map(Damage::Remove),
        (any::<u8>(), any_frame()).prop_map(|(at, frame)| Damage::Insert(at, frame)),
        (any::<u8>(), prop_oneof![-3_i32..4, any::<i32>()]).prop_map(|(at, change)| Damage::Length(at, change)),
        prop_oneof![0_u32..100, any::<u32>()].prop_map(Damage::Truncate),
        (prop_oneof![0_u32..100, any::<u32>()], 1_u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
    ];
    prop_oneof![1 => Just(vec![]), 1 => collection::vec(damage, 1..4)]
}
