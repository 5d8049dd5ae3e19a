//! JSON, read with an eye on what reading loses.

use std::{collections::BTreeSet, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Reads a JSON text. The flag says whether the value, written again, means exactly what the text said: no repeated keys
/// (the last one wins), no numbers that a [`Value`] rounds.
pub(super) fn read(text: &[u8]) -> Result<(Value, bool), serde_json::Error> {
    let value = serde_json::from_slice(text)?;
    let UniqueKeys(unique) = serde_json::from_slice(text)?;
    Ok((value, unique && numbers(text).all(is_kept)))
}

/// The number tokens of a valid JSON text.
fn numbers(text: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            match *rest.first()? {
                b'"' => rest = after_string(rest),
                b'-' | b'0'..=b'9' => {
                    let end = rest
                        .iter()
                        .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
                        .unwrap_or(rest.len());
                    let (number, after) = rest.split_at(end);
                    rest = after;
                    return std::str::from_utf8(number).ok();
                }
                _ => rest = &rest[1..],
            }
        }
    })
}

/// What follows the string with which the text begins.
fn after_string(text: &[u8]) -> &[u8] {
    let mut escaped = false;
    let end = text.iter().skip(1).position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.and_then(|end| text.get(end + 2..)).unwrap_or_default()
}

fn is_kept(number: &str) -> bool {
    serde_json::from_str::<Value>(number).is_ok_and(|value| decimal(&value.to_string()) == decimal(number))
}

/// A number as sign, digits and power of ten, without zeros at either end: equal exactly if the numbers are.
fn decimal(number: &str) -> (bool, String, i64) {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |number| (true, number));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return (negative, String::new(), 0);
    }
    // An exponent past 64 bits is not a number that JSON readers take.
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX);
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let zeros = i64::try_from(digits.len() - significant.len()).unwrap_or(i64::MAX);
    (negative, significant.to_owned(), exponent.saturating_sub(places).saturating_add(zeros))
}

/// Whether no object in a value has a key twice.
struct UniqueKeys(bool);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut unique = true;
        Walk(&mut unique).deserialize(deserializer)?;
        Ok(Self(unique))
    }
}

struct Walk<'a>(&'a mut bool);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !keys.insert(key) {
                *self.0 = false;
            }
            map.next_value_seed(Walk(self.0))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Walk(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_reading_keeps() {
        for (text, exact) in [
            ("{}", true),
            (r#"{"a":[1,-2,0.5,1e3,1.50,-0.0,1E-7,18446744073709551615,-9223372036854775808]}"#, true),
            (r#"{"a":"123456789012345678901234567890","b\"1":"\\"}"#, true),
            (r#"["\"18446744073709551616"]"#, true),
            ("18446744073709551616", false),
            ("[0.1234567890123456789]", false),
            (r#"{"a":1,"a":1}"#, false),
            (r#"[{"a":{"b":1,"\u0062":2}}]"#, false),
            (r#"[{"a":1},{"a":2}]"#, true),
            ("1e-400", false),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap().1, exact, "{text}");
        }
        assert!(read(b"{").is_err());
        assert!(read(b"1e400").is_err());
        assert!(read(b"{} x").is_err());
    }
}
