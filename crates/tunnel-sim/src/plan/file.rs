//! What a service says about the body of a response, so that it can be asked for in parts.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{DATE, ETAG, LAST_MODIFIED},
};

/// When all responses are made.
const NOON: &str = "Sat, 01 Nov 2025 12:00:00 GMT";

/// Of what kind a response body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// How the service tells whether it has changed.
    pub validator: Validator,
    /// Whether the service sends parts of it; if not, it sends all of it to who asks for a part.
    pub ranges: bool,
    /// From which execution on it is another one, of the same length. Zero is never.
    pub changes: u32,
}

/// How a service tells whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validator {
    /// Not at all.
    None,
    /// An entity tag that changes with every byte.
    Strong,
    /// An entity tag that only says that the content means the same.
    Weak,
    /// The time of its last change, long before the response.
    Modified,
    /// The time of its last change, and within the same second it may change again.
    Recent,
}

impl Validator {
    /// Every kind, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("strong", Self::Strong),
        ("weak", Self::Weak),
        ("modified", Self::Modified),
        ("recent", Self::Recent),
    ];

    /// Whether equal ones mean equal bytes (RFC 9110 §8.8.1, §8.8.2.2).
    #[must_use]
    pub const fn is_strong(self) -> bool {
        matches!(self, Self::Strong | Self::Modified)
    }

    pub(super) fn name(self) -> &'static str {
        super::name(&Self::ALL, self)
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        super::named(&Self::ALL, name)
    }
}

impl File {
    /// A body about which nothing is said.
    pub const NONE: Self = Self { validator: Validator::None, ranges: false, changes: 0 };

    /// A file that does not change, in parts if wanted.
    pub const STRONG: Self = Self { validator: Validator::Strong, ranges: true, changes: 0 };

    /// The version that the n-th execution serves, from 1 on.
    #[must_use]
    pub const fn version(&self, execution: u32) -> u32 {
        if self.changes > 0 && execution >= self.changes { 1 } else { 0 }
    }

    /// The header that names this version.
    #[must_use]
    pub fn validator(&self, id: u64, version: u32) -> Option<(HeaderName, HeaderValue)> {
        let (name, text) = match self.validator {
            Validator::None => return None,
            Validator::Strong => (ETAG, format!("\"{id}-{version}\"")),
            // Both versions mean the same.
            Validator::Weak => (ETAG, format!("W/\"{id}\"")),
            Validator::Modified => (LAST_MODIFIED, format!("Sat, 01 Nov 2025 08:00:{version:02} GMT")),
            Validator::Recent => (LAST_MODIFIED, NOON.to_owned()),
        };
        HeaderValue::try_from(text).ok().map(|value| (name, value))
    }

    /// Whether a service that has this version sends the part that is asked for, or all of it (RFC 9110 §13.1.5): what is weak
    /// never fits.
    #[must_use]
    pub fn is_still(&self, id: u64, version: u32, if_range: &HeaderValue) -> bool {
        self.validator.is_strong() && self.validator(id, version).is_some_and(|(_, validator)| validator == if_range)
    }

    /// What the service says beside the length.
    #[must_use]
    pub fn headers(&self, id: u64, version: u32) -> HeaderMap {
        let accepts = HeaderValue::from_static(if self.ranges { "bytes" } else { "none" });
        let accepts = (*self != Self::NONE).then_some((http::header::ACCEPT_RANGES, accepts));
        let date = (self.validator(id, version)).map(|_| (DATE, HeaderValue::from_static(NOON)));
        self.validator(id, version).into_iter().chain(accepts).chain(date).collect()
    }
}
