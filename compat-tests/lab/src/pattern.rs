//! Bytes that are known from their position: a piece that is lost, repeated or moved shows.

use std::sync::OnceLock;

use bytes::Bytes;

/// The period: a prime, so that no piece of a usual size comes again at its own distance.
const PERIOD: usize = 1_048_573;

/// The bytes from this position on.
pub(crate) fn bytes(at: u64, length: u64) -> Bytes {
    let block = block();
    let mut position = phase(at);
    let mut rest = usize::try_from(length).unwrap_or(usize::MAX);
    if position + rest <= PERIOD {
        return block.slice(position..position + rest);
    }
    let mut bytes = Vec::with_capacity(rest);
    while rest > 0 {
        let piece = rest.min(PERIOD - position);
        bytes.extend_from_slice(&block[position..position + piece]);
        rest -= piece;
        position = 0;
    }
    bytes.into()
}

/// Where these bytes first differ from those that belong at this position.
pub(crate) fn difference(at: u64, mut found: &[u8]) -> Option<u64> {
    let block = block();
    let mut checked = at;
    while !found.is_empty() {
        let position = phase(checked);
        let piece = found.len().min(PERIOD - position);
        let (head, tail) = found.split_at(piece);
        let wanted = &block[position..position + piece];
        if head != wanted {
            let wrong = head.iter().zip(wanted).position(|(is, was)| is != was).unwrap_or(piece);
            return Some(checked + wrong as u64);
        }
        checked += piece as u64;
        found = tail;
    }
    None
}

fn phase(at: u64) -> usize {
    usize::try_from(at % PERIOD as u64).unwrap_or_default()
}

fn block() -> &'static Bytes {
    static BLOCK: OnceLock<Bytes> = OnceLock::new();
    BLOCK.get_or_init(|| {
        // A xorshift generator (Marsaglia 2003): any bytes would do that do not repeat within the period.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let byte = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        });
        byte.take(PERIOD).collect::<Vec<_>>().into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_parts_of_the_whole() {
        let whole = bytes(0, 3_000_000);
        assert_eq!(whole.len(), 3_000_000);
        for (at, length) in [(0, 10), (1_048_570, 10), (1_048_573, 5), (2_000_000, 1_000_000)] {
            let piece = bytes(at as u64, length as u64);
            assert_eq!(piece, whole[at..at + length], "{length} bytes at {at}");
            assert_eq!(difference(at as u64, &piece), None);
        }
    }

    #[test]
    fn a_lost_a_repeated_and_a_changed_byte_show() {
        let mut wrong = bytes(1000, 5000).to_vec();
        wrong[123] ^= 1;
        assert_eq!(difference(1000, &wrong), Some(1123));
        let shifted = bytes(16_384, 16_384);
        assert!(difference(0, &shifted).is_some_and(|at| at < 8));
        assert!(difference(32_768, &shifted).is_some_and(|at| at < 32_776));
    }
}
