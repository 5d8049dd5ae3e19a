//! The `TunnelResponse` packets of the tunnel: their binary and text forms, cutting responses into them, joining them.
//!
//! A response travels as packets numbered from 1. The first carries status and headers, every one may carry a piece of
//! the body, and the end is marked by a `last` flag, on the last piece or on an empty packet of its own.
//!
//! ```text
//! offset  0            8           12     13        15         19          19+N
//!         request id   packet id   last   status    N          headers     body ...
//!         u64 BE       u32 BE      u8     u16 BE    u32 BE     JSON        to the end of the packet
//!                                         └── packet 1 only ──────────┘
//! ```
//!
//! Headers are a JSON object of strings. Only 1 means last; any other value does not. The vectors in `spec/vectors` pin
//! every detail. Unlike the published decoder, this one never panics, whatever the bytes are.
//!
//! | item | what it does |
//! |---|---|
//! | [`decode`], [`encode`], [`encode_head`] | the binary form |
//! | [`decode_text`], [`encode_text`] | the text form, body in Base64 |
//! | [`Packets`] | a [`Response`](crate::Response) cut into packets |
//! | [`response_from_packets`] | packets, in any order, joined into a [`Response`](crate::Response) |
//! | [`Sequence`] | the order of packets, as a state machine without input and output |

mod binary;
mod cut;
mod join;
mod sequence;
mod text;

pub use binary::{PacketError, PacketField, decode, encode, encode_head};
pub use cut::{Packets, single_valued};
pub use join::response_from_packets;
pub use moosicbox_tunnel::TunnelResponse;
pub use sequence::{SEQUENCE_BYTES_MAX, SEQUENCE_PACKETS_MAX, Sequence};
pub use text::{TextError, decode_text, encode_text};

/// The largest packet, with its head, in bytes: the frame limit of the tunnel server's WebSocket.
pub const PACKET_BYTES_MAX: usize = 65_536;
