//! The query of a request, as the published server reads it.

use percent_encoding::percent_decode_str;

/// The decoded parameters in their order. A `+` stays a `+`.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn new(query: Option<&str>) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(key, value)| (decode(key), decode(value)))
                .collect(),
        )
    }

    /// The first value of a parameter in any spelling of upper and lower case.
    pub(super) fn first_any_case(&self, name: &str) -> Option<&str> {
        self.any_case(name).next()
    }

    /// How many parameters have this name in any spelling.
    pub(super) fn count_any_case(&self, name: &str) -> usize {
        self.any_case(name).count()
    }

    /// How many parameters are spelled exactly so.
    pub(super) fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(key, _)| key == name).count()
    }

    /// The last value of a parameter spelled exactly so.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn any_case(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
