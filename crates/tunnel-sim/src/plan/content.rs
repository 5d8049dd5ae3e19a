//! The bytes of bodies.

use bytes::Bytes;

/// One body, of which every byte is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The request.
    pub id: u64,
    /// Whether it is the body of the request, not of the response.
    pub up: bool,
    /// A changed file has other bytes.
    pub version: u32,
    /// The whole length, if the body is JSON: one string, without anything that is written differently when it is
    /// written again.
    pub json: Option<u64>,
}

impl Content {
    /// Its bytes from `offset` on.
    #[must_use]
    pub fn bytes(&self, offset: u64, length: usize) -> Bytes {
        // Any odd number keeps versions apart.
        let stream = (self.id << 1 | u64::from(self.up)).wrapping_add(u64::from(self.version) * 0x5851_f42d_4c95_7f2d);
        let bytes = stream_bytes(stream, offset, length);
        let Some(whole) = self.json else { return bytes };
        let letter = |(byte, place): (&u8, u64)| match place {
            0 => b'"',
            place if place + 1 == whole => b'"',
            _ => b'a' + byte % 16,
        };
        bytes.iter().zip(offset..).map(letter).collect()
    }
}

/// The bytes of a body from `offset` on: a function of the request, the direction and the place.
#[must_use]
pub fn bytes_of(id: u64, up: bool, offset: u64, length: usize) -> Bytes {
    Content { id, up, version: 0, json: None }.bytes(offset, length)
}

fn stream_bytes(stream: u64, offset: u64, length: usize) -> Bytes {
    let end = offset + length as u64;
    let skip = usize::try_from(offset % 8).unwrap_or_default();
    let mut bytes = Vec::with_capacity(length + 16);
    for word in offset / 8..end.div_ceil(8) {
        bytes.extend_from_slice(&mix(stream, word).to_le_bytes());
    }
    Bytes::from(bytes).slice(skip..skip + length)
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood 2014).
const fn mix(stream: u64, word: u64) -> u64 {
    let mut z = stream.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_piece_is_a_slice_of_the_whole_and_no_two_bodies_are_alike() {
        let all = bytes_of(3, true, 0, 1000);
        for (start, end) in [(0, 0), (0, 1), (7, 9), (8, 16), (999, 1000)] {
            assert_eq!(bytes_of(3, true, start as u64, end - start), all[start..end]);
        }
        assert_ne!(bytes_of(3, false, 0, 8), all[..8]);
        assert_ne!(bytes_of(4, true, 0, 8), all[..8]);
        assert_ne!(bytes_of(3, true, 8, 8), all[..8]);
        let changed = Content { id: 3, up: true, version: 1, json: None };
        assert_ne!(changed.bytes(0, 8), all[..8]);
    }

    #[test]
    fn json_is_one_string_of_the_wanted_length() {
        for length in [2, 3, 1000] {
            let content = Content { id: 3, up: true, version: 0, json: Some(length) };
            let text = content.bytes(0, usize::try_from(length).unwrap());
            let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap();
            assert!(inner.iter().all(u8::is_ascii_lowercase));
            assert_eq!(content.bytes(1, text.len() - 1), text[1..]);
        }
    }
}
