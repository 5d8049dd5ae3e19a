//! Streams of any bytes, in any pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tunnel_p2p::fuzzing::decode_frames(bytes));
