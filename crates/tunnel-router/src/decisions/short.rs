//! The beginning of a text, kept without an allocation.

use std::fmt;

/// At most `N` bytes of a text, cut between characters.
#[derive(Clone)]
pub(crate) struct Short<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Short<N> {
    pub(crate) fn new(text: &str) -> Self {
        const { assert!(N < 256, "the length is a byte") };
        let kept = text.floor_char_boundary(N);
        let mut bytes = [0; N];
        bytes[..kept].copy_from_slice(&text.as_bytes()[..kept]);
        #[expect(clippy::cast_possible_truncation, reason = "N is below 256")]
        let length = kept as u8;
        Self { bytes, length }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::Short;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(Short::<4>::new("grün").to_string(), "grü");
        assert_eq!(Short::<4>::new("abcd").to_string(), "abcd");
        assert_eq!(Short::<4>::new("").to_string(), "");
        assert_eq!(Short::<2>::new("日本").to_string(), "");
    }
}
