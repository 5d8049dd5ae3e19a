//! Over how many streams a body is spread.

use std::time::Duration;

use crate::wire::continuation::PARTS_MAX;

/// What one stream may have under way. A larger window could break the connection (`p2p_provider`), and this one ends
/// a body at 4 MB/s when the round trip takes 300 ms.
const WINDOW_BYTES: u64 = 1_250_000;

/// The rate that the windows of a body shall allow, in bytes per second: 200 Mbit/s.
const RATE: u64 = 25_000_000;

/// ... even if a lost packet at the head of a stream, which takes one more round trip or two, holds up what is behind it.
const ROUND_TRIPS: u64 = 3;

/// How many streams a body of this length takes at this round-trip time: 1 up to 16 ms, at most 8, which hold 10 MB, and
/// never more than hold all of it.
#[must_use]
pub fn body_streams(rtt: Duration, bytes: Option<u64>) -> usize {
    let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
    let under_way = (ROUND_TRIPS * RATE / 1_000_000).saturating_mul(micros);
    let streams = under_way.min(bytes.unwrap_or(u64::MAX)).div_ceil(WINDOW_BYTES);
    usize::try_from(streams).unwrap_or(usize::MAX).clamp(1, PARTS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_paths_take_more_streams_within_bounds() {
        let expected = [(0, 1), (1, 1), (16, 1), (17, 2), (33, 2), (40, 3), (80, 5), (100, 6), (120, 8), (300, 8)];
        for (millis, streams) in expected {
            assert_eq!(body_streams(Duration::from_millis(millis), None), streams, "{millis} ms");
        }
        assert_eq!(body_streams(Duration::MAX, None), PARTS_MAX);
    }

    #[test]
    fn a_body_takes_no_stream_that_it_does_not_need() {
        let expected = [(0, 1), (1_250_000, 1), (1_250_001, 2), (8_750_000, 7), (8_750_001, 8), (u64::MAX, 8)];
        for (bytes, streams) in expected {
            assert_eq!(body_streams(Duration::from_millis(300), Some(bytes)), streams, "{bytes} bytes");
        }
    }
}
