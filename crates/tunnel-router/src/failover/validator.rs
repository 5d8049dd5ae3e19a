//! What says that two responses are parts of the same bytes (RFC 9110 §8.8).

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue,
    header::{DATE, ETAG, LAST_MODIFIED},
};

use super::range::only;

/// A `last-modified` is strong only if the response was made this much later: within it the file could have changed again
/// without a new date, and two clocks may differ (RFC 9110 §8.8.2.2; 60 s is the figure of RFC 7232).
const LAST_MODIFIED_AGE_MIN: Duration = Duration::from_mins(1);

/// A strong validator: equal validators mean equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Validator {
    Etag(HeaderValue),
    LastModified(HeaderValue),
}

impl Validator {
    /// The strong validator of a response. A weak entity tag says that bytes may differ, whatever the date says.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(ETAG) {
            let etag = only(headers, &ETAG)?;
            return is_strong(etag).then(|| headers.get(ETAG).cloned().map(Self::Etag))?;
        }
        let modified = httpdate::parse_http_date(only(headers, &LAST_MODIFIED)?).ok()?;
        let made = httpdate::parse_http_date(only(headers, &DATE)?).ok()?;
        let is_old = made.duration_since(modified).is_ok_and(|age| age >= LAST_MODIFIED_AGE_MIN);
        is_old.then(|| headers.get(LAST_MODIFIED).cloned().map(Self::LastModified))?
    }

    /// Whether another response has the same one.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let has =
            |name, value: &HeaderValue| only(headers, name).is_some_and(|other| other.as_bytes() == value.as_bytes());
        match self {
            Self::Etag(etag) => has(&ETAG, etag),
            Self::LastModified(date) => has(&LAST_MODIFIED, date) && !headers.contains_key(ETAG),
        }
    }

    /// The value of `if-range`.
    pub(super) const fn value(&self) -> &HeaderValue {
        match self {
            Self::Etag(value) | Self::LastModified(value) => value,
        }
    }
}

fn is_strong(etag: &str) -> bool {
    etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
}
