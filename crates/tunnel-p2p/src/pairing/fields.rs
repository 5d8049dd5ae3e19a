//! The fields of a line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The longest client id, in bytes. MoosicBox's have a few dozen.
pub(super) const CLIENT_ID_BYTES_MAX: usize = 256;

/// The longest name, in characters.
pub(super) const NAME_CHARS_MAX: usize = 64;

/// What stands for a client id that there is not.
const NONE: &str = "-";

/// What would end a field or change its meaning.
const FIELD_ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'#');

/// A text as one field, without white space.
pub(super) fn escaped(text: &str) -> String {
    match text {
        NONE => "%2D".to_owned(),
        text => utf8_percent_encode(text, FIELD_ESCAPED).to_string(),
    }
}

/// A text that may be absent, as one field.
pub(super) fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| NONE.to_owned(), escaped)
}

/// Back from [`escaped`].
pub(super) fn unescaped(field: &str) -> Result<String, String> {
    let text = percent_decode_str(field).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| format!("{field:?} is not text"))
}

/// Back from [`optional`].
pub(super) fn unoptional(field: &str) -> Result<Option<String>, String> {
    if field == NONE { Ok(None) } else { unescaped(field).map(Some) }
}

/// A client id, unless it is one that no account has.
pub(super) fn client_id(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= CLIENT_ID_BYTES_MAX).then(|| text.to_owned())
}

/// A name as a person can read it, in one line: no control characters, no more than one space in a row, at most 64
/// characters.
#[must_use]
pub(super) fn name(text: &str) -> String {
    // Of the invisible characters those matter that turn the direction of a line: they make one name look like another.
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    // Of a longer text no more is looked at than could be kept.
    let visible = text.chars().take(NAME_CHARS_MAX * 4).map(|c| if harmful(c) { ' ' } else { c });
    let words: String = visible.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(NAME_CHARS_MAX).collect::<String>().trim_end().to_owned()
}

/// The time of day to the second, which stands in files for people to read and decides nothing but which entry makes
/// room.
#[expect(clippy::disallowed_methods, reason = "simulated hosts and clients have no such files")]
pub(super) fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// As in `2026-01-31T12:00:00Z`.
pub(super) fn time(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time).replace_nanosecond(0).map(|time| time.format(&Rfc3339));
    match time {
        Ok(Ok(text)) => text,
        // A clock that is thousands of years off.
        _ => "1970-01-01T00:00:00Z".to_owned(),
    }
}

/// Back from [`time()`].
pub(super) fn parse_time(field: &str) -> Result<SystemTime, String> {
    let time = OffsetDateTime::parse(field, &Rfc3339);
    time.map(SystemTime::from).map_err(|_| format!("{field:?} is not a time such as 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_one_printable_line() {
        assert_eq!(name("  living \t room\n\u{1b}[2J\u{202e}x "), "living room [2J x");
        assert_eq!(name(&"a".repeat(1000)), "a".repeat(64));
        assert_eq!(name("\r\n\0"), "");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(time(parse_time("2026-01-31T12:00:00Z").unwrap()), "2026-01-31T12:00:00Z");
        assert_eq!(parse_time("2026-01-31T13:00:00+01:00"), parse_time("2026-01-31T12:00:00Z"));
        assert!(parse_time("yesterday").is_err());
        assert!(parse_time(&time(now())).is_ok());
    }

    proptest! {
        #[test]
        fn a_field_has_no_white_space_and_survives(text in ".*") {
            let field = optional(Some(&text));
            prop_assume!(!text.is_empty());
            prop_assert!(!field.contains(char::is_whitespace));
            prop_assert_eq!(unoptional(&field), Ok(Some(text)));
            prop_assert_eq!(unoptional(&optional(None)), Ok(None));
        }

        #[test]
        fn a_name_stays_as_it_is_once_it_is_clean(text in ".*") {
            let clean = name(&text);
            prop_assert!(clean.chars().count() <= NAME_CHARS_MAX && !clean.contains(char::is_control));
            prop_assert_eq!(name(&clean), clean);
        }
    }
}
