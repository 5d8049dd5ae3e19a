//! Chance that can be repeated: what befalls a packet follows from the seed and the packet's number, not from time.

/// The increment of Weyl's sequence in `SplitMix64` (Steele, Lea and Flood 2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers from 0 to 1 by index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    /// Streams of the same seed are independent.
    pub(crate) const fn new(seed: u64, stream: u64) -> Self {
        Self { state: mix(mix(seed.wrapping_mul(GOLDEN)) ^ stream) }
    }

    /// At least 0 and less than 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(crate) const fn at(self, index: u64) -> f64 {
        let bits = mix(self.state.wrapping_add(index.wrapping_mul(GOLDEN)));
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finalizer of `SplitMix64`.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_and_are_spread_evenly() {
        let chance = Chance::new(7, 1);
        let numbers: Vec<_> = (0..10_000).map(|index| chance.at(index)).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        let again = Chance::new(7, 1);
        assert!(numbers.iter().enumerate().all(|(index, number)| again.at(index as u64).to_bits() == number.to_bits()));
        assert_ne!(Chance::new(7, 2).at(0).to_bits(), chance.at(0).to_bits());
        assert_ne!(Chance::new(8, 1).at(0).to_bits(), chance.at(0).to_bits());
    }
}
