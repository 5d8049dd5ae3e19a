//! What a check found.

use std::{error::Error, fmt};

use serde_json::Value;

/// What differs from what was expected, as a sentence.
///
/// Not an [`Error`] itself, so that `?` can make one of any error.
pub struct Difference(String);

impl Difference {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl<E: Error> From<E> for Difference {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let more = error.to_string();
            // Some errors repeat their source in their own text.
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says what was being done when something went wrong.
pub(super) trait Context<T> {
    /// Puts `what` in front of the cause.
    fn context(self, what: impl fmt::Display) -> Result<T, Difference>;
}

impl<T, E: Into<Difference>> Context<T> for Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T, Difference> {
        self.map_err(|error| Difference(format!("{what}: {}", error.into())))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl fmt::Display) -> Result<T, Difference> {
        self.ok_or_else(|| Difference(what.to_string()))
    }
}

/// Returns with a [`Difference`] unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            return Err($crate::black_box::difference::Difference::new(format!($($sentence)+)));
        }
    };
}
pub(super) use ensure;

/// Compares what came with what was expected.
#[expect(clippy::needless_pass_by_value, reason = "most of what is compared is made for it")]
pub(super) fn same<G, E>(what: &str, got: G, expected: E) -> Result<(), Difference>
where
    G: fmt::Debug + PartialEq<E>,
    E: fmt::Debug,
{
    ensure!(got == expected, "{what} is {}, expected {}", shortened(&got), shortened(&expected));
    Ok(())
}

/// The same for a part of a JSON document.
pub(super) fn same_json(what: &str, got: &Value, expected: impl Into<Value>) -> Result<(), Difference> {
    let expected = expected.into();
    ensure!(*got == expected, "{what} is {}, expected {}", cut(got.to_string()), cut(expected.to_string()));
    Ok(())
}

/// A value as a reader can take it in.
pub(super) fn shortened(value: &impl fmt::Debug) -> String {
    cut(format!("{value:?}"))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}

/// The longest value that is shown whole.
const TEXT_CHARS_MAX: usize = 160;
