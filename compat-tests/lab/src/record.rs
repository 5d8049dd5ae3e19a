//! What a run of a case has shown.

use std::{path::PathBuf, time::Duration};

use serde_json::{Map, Value, json};

use crate::http::{Answer, Ending};

/// Something measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Measure {
    Time(Duration),
    BytesPerSecond(f64),
    Count(u64),
    Text(String),
}

impl Measure {
    /// The key and the value for scripts; the unit is in the key.
    pub(crate) fn json(&self, name: &str) -> (String, Value) {
        let name = name.replace([' ', '-'], "_");
        match self {
            Self::Time(time) => (format!("{name}_ms"), json!((time.as_secs_f64() * 10_000.0).round() / 10.0)),
            Self::BytesPerSecond(speed) => (format!("{name}_mb_per_s"), json!((speed / 1e4).round() / 100.0)),
            Self::Count(count) => (name, json!(count)),
            Self::Text(text) => (name, json!(text)),
        }
    }
}

/// What one run of a case has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// In the order in which they were taken.
    pub(crate) measures: Vec<(String, Measure)>,
    /// What did not hold, in words.
    pub(crate) failures: Vec<String>,
    /// An answer had other bytes than were asked for, which no second run makes good.
    pub(crate) wrong_bytes: bool,
    /// What did not hold in runs before this one, which were tried again.
    pub(crate) forgiven: Vec<String>,
    /// Where the logs are, if they were kept.
    pub(crate) logs: Option<PathBuf>,
}

impl Record {
    pub(crate) fn time(&mut self, name: &str, time: Duration) {
        self.measures.push((name.to_owned(), Measure::Time(time)));
    }

    pub(crate) fn count(&mut self, name: &str, count: usize) {
        self.measures.push((name.to_owned(), Measure::Count(count as u64)));
    }

    pub(crate) fn speed(&mut self, name: &str, bytes_per_second: f64) {
        self.measures.push((name.to_owned(), Measure::BytesPerSecond(bytes_per_second)));
    }

    pub(crate) fn text(&mut self, name: &str, text: impl Into<String>) {
        self.measures.push((name.to_owned(), Measure::Text(text.into())));
    }

    pub(crate) fn measure(&self, name: &str) -> Option<&Measure> {
        self.measures.iter().find(|(key, _)| key == name).map(|(_, measure)| measure)
    }

    /// All of them, for scripts.
    pub(crate) fn measures_json(&self) -> Map<String, Value> {
        self.measures.iter().map(|(name, measure)| measure.json(name)).collect()
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    /// Notes an answer that is not as it must be.
    pub(crate) fn fail_answer(&mut self, what: &str, answer: &Answer) {
        self.wrong_bytes |= matches!(answer.ending, Ending::Wrong(_));
        self.fail(format!("{what}: {}", answer.describe()));
    }

    /// Notes a time that has a limit.
    pub(crate) fn time_within(&mut self, name: &str, time: Option<Duration>, limit: Duration) {
        match time {
            Some(time) => {
                self.time(name, time);
                if time > limit {
                    self.fail(format!("{name}: {time:.2?}, must be at most {limit:?}"));
                }
            }
            None => self.fail(format!("{name}: it never came, must be within {limit:?}")),
        }
    }

    pub(crate) fn held(&self) -> bool {
        self.failures.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_in_the_keys_and_numbers_are_short() {
        let mut record = Record::default();
        record.time("first byte", Duration::from_micros(12_345));
        record.speed("download", 123_456_789.0);
        record.count("cut", 2);
        record.text("path", "direct");
        let json: Vec<_> = record.measures.iter().map(|(name, measure)| measure.json(name)).collect();
        assert_eq!(json[0], ("first_byte_ms".to_owned(), json!(12.3)));
        assert_eq!(json[1], ("download_mb_per_s".to_owned(), json!(123.46)));
        assert_eq!(json[2], ("cut".to_owned(), json!(2)));
        assert_eq!(json[3], ("path".to_owned(), json!("direct")));
    }

    #[test]
    fn a_time_that_is_too_long_or_never_came_is_a_failure() {
        let limit = Duration::from_secs(1);
        let mut record = Record::default();
        record.time_within("a", Some(limit), limit);
        assert!(record.held());
        record.time_within("b", Some(limit * 2), limit);
        record.time_within("c", None, limit);
        assert_eq!(record.failures.len(), 2);
        assert_eq!(record.measures.len(), 2);
    }
}
