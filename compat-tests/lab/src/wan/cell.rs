//! A cell: a link and a direction, as one word such as `rtt=80,loss=1,rate=50,queue=1,dir=down`.

use std::{fmt, str::FromStr, time::Duration};

use super::link::{Conditions, Jitter, Loss};

/// The least that a queue holds: a burst of two full packets.
const QUEUE_BYTES_MIN: u64 = 3000;

/// Which way the body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the host.
    Down,
    /// To the host.
    Up,
}

/// A link and a direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cell {
    /// Both ways together, without the queue.
    pub(crate) rtt_ms: u32,
    pub(crate) loss: Loss,
    pub(crate) rate_mbit: f64,
    /// In products of bandwidth and delay.
    pub(crate) queue_bdp: f64,
    pub(crate) way: Way,
    pub(crate) jitter_ms: u32,
    pub(crate) reorders: bool,
    /// The transfer is as large as the link could carry in this time.
    pub(crate) seconds: f64,
}

impl Cell {
    /// What is not said in a cell's name.
    pub(crate) const DEFAULT: Self = Self {
        rtt_ms: 80,
        loss: Loss::None,
        rate_mbit: 50.0,
        queue_bdp: 1.0,
        way: Way::Down,
        jitter_ms: 0,
        reorders: false,
        seconds: 5.0,
    };

    /// The link, the same in both directions.
    pub(crate) fn conditions(&self) -> Conditions {
        Conditions {
            jitter: Jitter { most: Duration::from_millis(u64::from(self.jitter_ms)), reorders: self.reorders },
            loss: self.loss,
            bits_per_second: Some(positive(self.rate_mbit * 1e6)),
            queue_bytes: positive(self.bytes_per_second() * self.rtt().as_secs_f64() * self.queue_bdp)
                .max(QUEUE_BYTES_MIN),
            ..Conditions::delayed(self.rtt() / 2)
        }
    }

    pub(crate) fn rtt(&self) -> Duration {
        Duration::from_millis(u64::from(self.rtt_ms))
    }

    /// What the link carries.
    pub(crate) fn bytes_per_second(&self) -> f64 {
        self.rate_mbit * 1e6 / 8.0
    }

    /// The size of the transfer.
    pub(crate) fn bytes(&self) -> u64 {
        positive(self.bytes_per_second() * self.seconds)
    }

    /// The share of packets that are lost by chance, in percent.
    pub(crate) fn loss_percent(&self) -> f64 {
        match self.loss {
            Loss::None => 0.0,
            Loss::Random { rate } | Loss::Burst { rate, .. } => rate * 100.0,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn positive(number: f64) -> u64 {
    number.round() as u64
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rtt_ms, rate_mbit, queue_bdp, jitter_ms, seconds, .. } = self;
        write!(f, "rtt={rtt_ms},loss=")?;
        match self.loss {
            Loss::None => write!(f, "0")?,
            Loss::Random { rate } => write!(f, "{}", percent(rate))?,
            Loss::Burst { rate, length } => write!(f, "burst:{}:{length}", percent(rate))?,
        }
        let way = match self.way {
            Way::Down => "down",
            Way::Up => "up",
        };
        write!(f, ",rate={rate_mbit},queue={queue_bdp},dir={way}")?;
        if *jitter_ms > 0 {
            write!(f, ",jitter={jitter_ms}{}", if self.reorders { ":reorder" } else { "" })?;
        }
        if seconds.to_bits() != Self::DEFAULT.seconds.to_bits() {
            write!(f, ",seconds={seconds}")?;
        }
        Ok(())
    }
}

/// Without what binary fractions add.
fn percent(rate: f64) -> f64 {
    (rate * 1e6).round() / 1e4
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut cell = Self::DEFAULT;
        // `burst:1,10` has a comma of its own.
        let text = text.trim();
        let mut parts: Vec<String> = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match parts.last_mut() {
                Some(last) if !part.contains('=') => *last = format!("{last}:{part}"),
                _ => parts.push(part.to_owned()),
            }
        }
        for part in &parts {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not KEY=VALUE"))?;
            match key {
                "rtt" => cell.rtt_ms = number(key, value)?,
                "loss" => cell.loss = loss(value)?,
                "rate" => cell.rate_mbit = above_zero(key, value)?,
                "queue" => cell.queue_bdp = above_zero(key, value)?,
                "seconds" => cell.seconds = above_zero(key, value)?,
                "jitter" => {
                    let (most, reorders) = value.split_once(':').unwrap_or((value, ""));
                    cell.jitter_ms = number(key, most)?;
                    cell.reorders = match reorders {
                        "" => false,
                        "reorder" => true,
                        other => return Err(format!("jitter: {other:?} is not `reorder`")),
                    };
                }
                "dir" => {
                    cell.way = match value {
                        "down" => Way::Down,
                        "up" => Way::Up,
                        other => return Err(format!("dir: {other:?} is neither `down` nor `up`")),
                    };
                }
                other => {
                    return Err(format!("{other:?} is not one of rtt, loss, rate, queue, dir, jitter and seconds"));
                }
            }
        }
        Ok(cell)
    }
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{key}: {value:?} is not a number that fits"))
}

fn above_zero(key: &str, value: &str) -> Result<f64, String> {
    let number: f64 = number(key, value)?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err(format!("{key}: {value} is not above 0")) }
}

/// `PERCENT` or `burst:PERCENT:PACKETS`.
fn loss(value: &str) -> Result<Loss, String> {
    let rate = |percent: &str| {
        let percent: f64 = number("loss", percent)?;
        if (0.0..=100.0).contains(&percent) { Ok(percent / 100.0) } else { Err("loss: from 0 to 100".to_owned()) }
    };
    if let Some(burst) = value.strip_prefix("burst:") {
        let (percent, length) = burst.split_once(':').ok_or("loss: burst:PERCENT:PACKETS")?;
        let length: f64 = number("loss", length)?;
        if !length.is_finite() || length < 1.0 {
            return Err("loss: a burst has at least 1 packet".to_owned());
        }
        return Ok(Loss::Burst { rate: rate(percent)?, length });
    }
    let rate = rate(value)?;
    Ok(if rate > 0.0 { Loss::Random { rate } } else { Loss::None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> Cell {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn names_are_read_and_written() {
        for name in [
            "rtt=80,loss=1,rate=50,queue=1,dir=down",
            "rtt=300,loss=0,rate=100,queue=0.5,dir=up",
            "rtt=20,loss=burst:1:10,rate=20,queue=4,dir=down",
            "rtt=20,loss=0.1,rate=20,queue=4,dir=down,jitter=5:reorder,seconds=1.5",
        ] {
            assert_eq!(cell(name).to_string(), name);
        }
        assert_eq!(cell("rtt=40,loss=burst:1,10,dir=up").to_string(), "rtt=40,loss=burst:1:10,rate=50,queue=1,dir=up");
        assert_eq!(cell(""), Cell::DEFAULT);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (name, word) in [
            ("rtt", "KEY=VALUE"),
            ("rtt=-1", "not a number"),
            ("rate=0", "above 0"),
            ("loss=101", "from 0 to 100"),
            ("loss=burst:1", "burst:PERCENT:PACKETS"),
            ("loss=burst:1:0.5", "at least 1"),
            ("dir=left", "neither"),
            ("jitter=5:mix", "reorder"),
            ("speed=1", "not one of"),
        ] {
            let error = name.parse::<Cell>().unwrap_err();
            assert!(error.contains(word), "{name}: {error}");
        }
    }

    #[test]
    fn a_queue_is_in_products_of_bandwidth_and_delay() {
        let conditions = cell("rtt=80,rate=50,queue=2").conditions();
        assert_eq!(conditions.queue_bytes, 1_000_000);
        assert_eq!((conditions.delay, conditions.bits_per_second), (Duration::from_millis(40), Some(50_000_000)));
        assert_eq!(cell("rtt=80,rate=50").bytes(), 31_250_000);
        assert_eq!(cell("rtt=1,rate=1,queue=0.1").conditions().queue_bytes, QUEUE_BYTES_MIN);
    }
}
