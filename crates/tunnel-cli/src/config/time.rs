//! Times as people write them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A time with its unit: `250ms`, `30s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

/// Sets a time, if the option is given.
pub(crate) const fn set(option: Option<Span>, field: &mut Duration) {
    if let Some(Span(time)) = option {
        *field = time;
    }
}

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("{text:?} is not a time: write a whole number and a unit, such as 250ms, 30s, 5m or 1h");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let (_, millis) = UNITS.into_iter().find(|(name, _)| *name == unit.trim()).ok_or_else(refuse)?;
        let millis = number.checked_mul(millis).filter(|millis| *millis > 0).ok_or_else(refuse)?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0.as_millis())
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
        assert_eq!("30s".parse(), Ok(Span(Duration::from_secs(30))));
        assert_eq!("5m".parse(), Ok(Span(Duration::from_mins(5))));
        for wrong in ["", "30", "s", "0s", "-1s", "1.5s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
