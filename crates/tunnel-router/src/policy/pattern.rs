//! The paths of a rule.

use std::{borrow::Cow, fmt, str::FromStr};

use percent_encoding::percent_decode_str;

/// One path (`/ws`), or all that begin with a prefix: `/files/**` (also `/files` itself), `/api**`, `/**`.
///
/// Paths are compared with their percent escapes decoded, so that no spelling evades a rule. Dot segments are not resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    /// Decoded, without the stars.
    path: String,
    is_prefix: bool,
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Paths begin with a slash.
    #[error("the path pattern {0:?} does not begin with a slash")]
    NoSlash(String),
    /// Stars mean something only at the end, and only two of them.
    #[error("the path pattern {0:?} has a star that is not part of a final **")]
    Star(String),
    /// A pattern is for paths, without a query.
    #[error("the path pattern {0:?} has a query or a fragment: leave it away")]
    Query(String),
}

impl PathPattern {
    /// Whether a path, as it is in a request, is among them.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let path: Cow<'_, str> = percent_decode_str(path).decode_utf8_lossy();
        if !self.is_prefix {
            return self.path == path;
        }
        path.starts_with(&self.path) || self.path.strip_suffix('/').is_some_and(|parent| parent == path)
    }
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, is_prefix) = text.strip_suffix("**").map_or((text, false), |path| (path, true));
        if !path.starts_with('/') {
            return Err(PatternError::NoSlash(text.to_owned()));
        }
        if path.contains('*') {
            return Err(PatternError::Star(text.to_owned()));
        }
        if path.contains(['?', '#']) {
            return Err(PatternError::Query(text.to_owned()));
        }
        let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
        Ok(Self { text: text.to_owned(), path, is_prefix })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
