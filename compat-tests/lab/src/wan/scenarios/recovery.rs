//! When a transfer is as fast again as the link.

use std::time::Duration;

use super::super::transfer::{BUCKET, per_second};

/// Buckets that are looked at together.
const WINDOW: usize = 10;

/// As fast as the link: this share of it. The rest is headers, probing and chance.
pub(crate) const FULL: f64 = 0.8;

/// From this moment of the transfer until the first second in which it had [`FULL`] of the link.
pub(crate) fn recovery(buckets: &[u64], from: Duration, bytes_per_second: f64) -> Option<Duration> {
    let first = usize::try_from(from.as_millis() / BUCKET.as_millis()).ok()?;
    let window = BUCKET * u32::try_from(WINDOW).ok()?;
    let rest = buckets.get(first..)?;
    let full = |window_: &[u64]| per_second(window_.iter().sum(), window) >= FULL * bytes_per_second;
    let index = rest.windows(WINDOW).position(full)?;
    let begins = BUCKET * u32::try_from(first + index).ok()?;
    Some(begins.saturating_sub(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_the_begin_of_the_first_full_second() {
        // 1,000 bytes per second, of which the link has 1,000; a gap from 1 s to 2 s.
        let mut buckets = vec![100; 40];
        buckets[10..20].fill(0);
        let at = |millis| Duration::from_millis(millis);
        assert_eq!(recovery(&buckets, Duration::ZERO, 1000.0), Some(Duration::ZERO));
        // A second with two empty buckets is 0.8 of the link.
        assert_eq!(recovery(&buckets, at(1050), 1000.0), Some(at(750)));
        assert_eq!(recovery(&buckets, at(2000), 1000.0), Some(Duration::ZERO));
        assert_eq!(recovery(&buckets, at(2000), 2000.0), None);
        assert_eq!(recovery(&buckets, at(9000), 1000.0), None);
    }
}
