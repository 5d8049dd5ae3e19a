//! Which packets are lost on the way.

use super::chance::Chance;

/// How packets are lost. Rates are fractions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Loss {
    #[default]
    None,
    /// Each by itself (Bernoulli).
    Random { rate: f64 },
    /// Several in a row: everything in the bad state, nothing in the good one (the simple Gilbert model).
    Burst {
        rate: f64,
        /// The mean number of packets that are lost in a row, at least 1.
        length: f64,
    },
}

/// The state that bursts have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LossProcess {
    bad: bool,
}

impl LossProcess {
    /// Whether the packet with this number is lost. Each number is asked for once, in order.
    pub(crate) fn loses(&mut self, loss: Loss, chance: Chance, index: u64) -> bool {
        match loss {
            Loss::None => false,
            Loss::Random { rate } => chance.at(index) < rate,
            Loss::Burst { rate, length } => {
                let leave = 1.0 / length.max(1.0);
                // So that the share of packets in the bad state is `rate`.
                let enter = if rate < 1.0 { leave * rate / (1.0 - rate) } else { 1.0 };
                let draw = chance.at(index);
                self.bad = if self.bad { draw >= leave } else { draw < enter };
                self.bad
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: u32 = 1_000_000;

    /// The share of lost packets and the mean number in a row.
    fn observe(loss: Loss, seed: u64) -> (f64, f64) {
        let (chance, mut process) = (Chance::new(seed, 0), LossProcess::default());
        let (mut gone, mut bursts, mut before) = (0_u32, 0_u32, false);
        for index in 0..u64::from(PACKETS) {
            let now = process.loses(loss, chance, index);
            gone += u32::from(now);
            bursts += u32::from(now && !before);
            before = now;
        }
        (f64::from(gone) / f64::from(PACKETS), f64::from(gone) / f64::from(bursts.max(1)))
    }

    #[test]
    fn random_loss_reaches_its_rate_and_has_no_bursts() {
        for rate in [0.001, 0.01, 0.05] {
            let (share, length) = observe(Loss::Random { rate }, 3);
            assert!((share / rate - 1.0).abs() < 0.1, "{share} for {rate}");
            assert!(length < 1.0 + 2.0 * rate + 0.02, "{length}");
        }
        assert_eq!(observe(Loss::None, 3).0.to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn bursts_reach_their_rate_and_their_length() {
        for (rate, length) in [(0.01, 10.0), (0.02, 5.0), (0.05, 1.0)] {
            let (share, observed) = observe(Loss::Burst { rate, length }, 5);
            assert!((share / rate - 1.0).abs() < 0.1, "{share} for {rate}");
            assert!((observed / length - 1.0).abs() < 0.1, "{observed} for {length}");
        }
    }
}
