//! The windowed maximum of the delivery rate.

/// The largest delivery rate of the current probing cycle and of the one before.
///
/// Cycles, not rounds, make the window: a connection that carries small requests for an hour still knows afterwards
/// what the path could do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MaxBandwidth {
    before: f64,
    current: f64,
}

impl MaxBandwidth {
    /// Bytes per second; 0 before the first sample.
    pub(crate) const fn value(&self) -> f64 {
        self.before.max(self.current)
    }

    /// A sample of a flow that was limited by its application says only that the path can do at least this.
    pub(crate) fn sample(&mut self, rate: f64, app_limited: bool) {
        if !app_limited || rate >= self.value() {
            self.current = self.current.max(rate);
        }
    }

    /// A cycle has ended. What was measured in the one before it is forgotten, unless nothing was measured since.
    pub(crate) fn advance(&mut self) {
        if self.current > 0.0 {
            self.before = std::mem::take(&mut self.current);
        }
    }

    /// The path is known to deliver this and no more.
    pub(crate) const fn replace(&mut self, rate: f64) {
        self.before = 0.0;
        self.current = rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_last_for_two_cycles() {
        let mut bandwidth = MaxBandwidth::default();
        bandwidth.sample(10.0, false);
        bandwidth.advance();
        bandwidth.sample(4.0, false);
        assert!((bandwidth.value() - 10.0).abs() < 1e-9);
        bandwidth.advance();
        assert!((bandwidth.value() - 4.0).abs() < 1e-9);
    }

    #[test]
    fn cycles_without_a_sample_forget_nothing() {
        let mut bandwidth = MaxBandwidth::default();
        bandwidth.sample(10.0, false);
        (0..100).for_each(|_| bandwidth.advance());
        assert!((bandwidth.value() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn samples_limited_by_the_application_only_raise() {
        let mut bandwidth = MaxBandwidth::default();
        bandwidth.sample(10.0, false);
        bandwidth.advance();
        bandwidth.sample(4.0, true);
        bandwidth.advance();
        assert!((bandwidth.value() - 10.0).abs() < 1e-9);
        bandwidth.sample(12.0, true);
        assert!((bandwidth.value() - 12.0).abs() < 1e-9);
    }
}
