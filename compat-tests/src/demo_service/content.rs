//! File content that is a function of its length and the offset, so that no file exists and every byte is known.

use std::ops::Range;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Bytes per piece: large enough to keep the cost per piece small, small enough to stay in the cache.
const PIECE: u64 = 64 * 1024;

/// The largest file that the service will make up: 4 GiB.
const LENGTH_MAX: u64 = 4 << 30;

/// The content of `/files/{size}.bin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    length: u64,
}

impl Content {
    /// Content of `length` bytes.
    #[must_use]
    pub const fn new(length: u64) -> Self {
        Self { length }
    }

    /// The content of the file of this name: a number of bytes, or of KiB or MiB, and `.bin`; at most 4 GiB.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let size = name.strip_suffix(".bin")?;
        let (number, unit) = match size.strip_suffix("KiB") {
            Some(number) => (number, 1 << 10),
            None => size.strip_suffix("MiB").map_or((size, 1), |number| (number, 1 << 20)),
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let length = number.parse::<u64>().ok()?.checked_mul(unit)?;
        (length <= LENGTH_MAX).then_some(Self { length })
    }

    /// The length in bytes.
    #[must_use]
    pub const fn length(self) -> u64 {
        self.length
    }

    /// The strong entity tag.
    #[must_use]
    pub fn etag(self) -> String {
        format!("\"demo-{:x}\"", self.length)
    }

    /// The bytes of a range, in pieces of at most 64 KiB.
    pub fn pieces(self, range: Range<u64>) -> impl Iterator<Item = Bytes> + Send + Unpin + use<> {
        let mut next = range.start;
        let end = range.end.min(self.length);
        std::iter::from_fn(move || {
            (next < end).then(|| {
                let stop = end.min(next + PIECE);
                let piece = self.piece(next..stop);
                next = stop;
                piece
            })
        })
    }

    /// The SHA-256 of a range, in hexadecimal. Computes the content: about a second per GiB.
    #[must_use]
    pub fn sha256(self, range: Range<u64>) -> String {
        let mut hash = Sha256::new();
        for piece in self.pieces(range) {
            hash.update(&piece);
        }
        HEXLOWER.encode(&hash.finalize())
    }

    fn piece(self, range: Range<u64>) -> Bytes {
        let skip = usize::try_from(range.start % 8).unwrap_or_default();
        let take = usize::try_from(range.end - range.start).unwrap_or_default();
        let mut bytes = Vec::with_capacity(take + 16);
        for word in range.start / 8..range.end.div_ceil(8) {
            bytes.extend_from_slice(&mix(self.length, word).to_le_bytes());
        }
        Bytes::from(bytes).slice(skip..skip + take)
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood 2014) over the word's number.
const fn mix(seed: u64, word: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_add(word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_a_slice_of_the_whole() {
        let content = Content::new(200_003);
        let all: Vec<u8> = content.pieces(0..content.length()).flatten().collect();
        assert_eq!(all.len(), 200_003);
        for range in [0..0, 0..1, 7..9, 65_535..65_537, 8..131_072, 199_999..200_003] {
            let part: Vec<u8> = content.pieces(range.clone()).flatten().collect();
            let bounds = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            assert_eq!(part, all[bounds], "{range:?}");
        }
    }

    #[test]
    fn names_are_sizes() {
        assert_eq!(Content::named("65537.bin"), Some(Content::new(65_537)));
        assert_eq!(Content::named("10MiB.bin"), Some(Content::new(10 << 20)));
        for wrong in ["", ".bin", "x.bin", "+1.bin", "1", "5000MiB.bin", "../1.bin"] {
            assert_eq!(Content::named(wrong), None, "{wrong}");
        }
    }
}
