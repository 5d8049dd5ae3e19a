//! `content-range` (RFC 9110 §14.4).

use http::HeaderMap;

/// `bytes first-last/complete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    /// `None` for `*`.
    pub(super) complete: Option<u64>,
}

impl ContentRange {
    /// The one range of a response; `None` if there is not exactly one, or it makes no sense.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(only(headers, &http::header::CONTENT_RANGE)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (unit, range) = text.split_once(' ')?;
        let (range, complete) = range.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let complete = if complete == "*" { None } else { Some(number(complete)?) };
        let makes_sense = first <= last && complete.is_none_or(|complete| last < complete);
        (unit.eq_ignore_ascii_case("bytes") && makes_sense).then_some(Self { first, last, complete })
    }
}

/// The value of `content-length`, if there is exactly one.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(only(headers, &http::header::CONTENT_LENGTH)?)
}

/// The value of a field that occurs exactly once.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::ContentRange;

    #[test]
    fn reads_ranges_that_make_sense() {
        let range = |first, last, complete| Some(ContentRange { first, last, complete });
        for (text, expected) in [
            ("bytes 0-9/10", range(0, 9, Some(10))),
            ("Bytes 5-5/*", range(5, 5, None)),
            ("bytes 0-10/10", None),
            ("bytes 5-4/10", None),
            ("bytes */10", None),
            ("items 0-9/10", None),
            ("bytes +0-9/10", None),
            ("bytes 0-9", None),
            ("bytes 0-99999999999999999999/*", None),
        ] {
            assert_eq!(ContentRange::parse(text), expected, "{text}");
        }
    }
}
