//! The one place that knows how structures become bytes: `bincode` 2, standard configuration.

use bincode::{
    BorrowDecode, Encode,
    config::{Configuration, Limit, LittleEndian, Varint},
};
use bytes::{BufMut, BytesMut};

/// The most that a structure may claim to need while it is decoded, in bytes. Above every frame limit.
const DECODE_BYTES_MAX: usize = 1 << 20;

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_BYTES_MAX>> =
    bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();

/// Appends the encoded value.
///
/// # Panics
///
/// Never for the structures of this crate: encoding into memory has no failure of its own.
pub(crate) fn encode(value: &impl Encode, buffer: &mut BytesMut) {
    bincode::encode_into_std_write(value, &mut buffer.writer(), CONFIG).expect("encoding into memory does not fail");
}

/// Decodes a value from the front of `bytes`. What follows it is ignored: later minor versions append fields.
pub(crate) fn decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, bincode::error::DecodeError> {
    bincode::borrow_decode_from_slice(bytes, CONFIG).map(|(value, _)| value)
}
