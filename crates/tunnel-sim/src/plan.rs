//! What a request asks its service to do, written into its target, and the bytes that it moves.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// One request: what goes up, what comes down, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Names the request; every byte of its bodies depends on it.
    pub id: u64,
    /// What the service does.
    pub verb: Verb,
    /// Bytes of the request body.
    pub up: u64,
    /// Bytes of the response body.
    pub down: u64,
    /// Bytes of each piece of a body.
    pub piece: u64,
    /// The service waits so long before each piece, and before its answer.
    pub gap: Duration,
    /// Whether lengths are declared.
    pub declared: bool,
    /// Whether bodies end with trailers. An echo sends back those that it gets.
    pub trailers: bool,
    /// Whether the request body is in memory from the start. It has no trailers then.
    pub buffered: bool,
}

/// What the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads the request body and answers with the response body.
    Serve,
    /// Answers with the bytes of the request body, as they come. `down` is ignored.
    Echo,
    /// Answers at once, without reading the request body.
    Ignore,
    /// Never answers.
    Hang,
    /// Breaks off after the response body, instead of ending it.
    Break,
}

impl Verb {
    const ALL: [(&'static str, Self); 5] = [
        ("serve", Self::Serve),
        ("echo", Self::Echo),
        ("ignore", Self::Ignore),
        ("hang", Self::Hang),
        ("break", Self::Break),
    ];
}

impl Plan {
    /// A download.
    #[must_use]
    pub const fn download(id: u64, bytes: u64) -> Self {
        Self {
            id,
            verb: Verb::Serve,
            up: 0,
            down: bytes,
            piece: 16 << 10,
            gap: Duration::ZERO,
            declared: true,
            trailers: false,
            buffered: false,
        }
    }

    /// An upload, answered with a few bytes.
    #[must_use]
    pub const fn upload(id: u64, bytes: u64) -> Self {
        Self { up: bytes, ..Self::download(id, 8) }
    }

    /// The target that says all this.
    #[must_use]
    pub fn target(&self) -> String {
        let verb = Verb::ALL.iter().find(|(_, verb)| *verb == self.verb).map_or("", |(name, _)| name);
        let Self { id, up, down, piece, declared, trailers, buffered, .. } = self;
        let gap = self.gap.as_millis();
        format!("/{verb}/{id}/{up}/{down}/{piece}/{gap}/{declared}/{trailers}/{buffered}")
    }

    /// Reads a target.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let name = parts.next()?;
        let verb = Verb::ALL.iter().find(|(known, _)| *known == name)?.1;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (id, up, down, piece, gap) = (number()?, number()?, number()?, number()?, number()?);
        let mut flag = || parts.next()?.parse::<bool>().ok();
        let (declared, trailers, buffered) = (flag()?, flag()?, flag()?);
        Some(Self { id, verb, up, down, piece, gap: Duration::from_millis(gap), declared, trailers, buffered })
    }

    /// Whether the body of the request ends with trailers.
    #[must_use]
    pub const fn trailers_up(&self) -> bool {
        self.trailers && !self.buffered && self.up > 0
    }

    /// Whether the body of the response does.
    #[must_use]
    pub const fn trailers_down(&self) -> bool {
        if matches!(self.verb, Verb::Echo) { self.trailers_up() } else { self.trailers && self.down > 0 }
    }

    /// The trailers, if there are any.
    #[must_use]
    pub fn trailers_of(&self, up: bool) -> HeaderMap {
        let value = HeaderValue::from(self.id << 1 | u64::from(up));
        HeaderMap::from_iter([(HeaderName::from_static("x-request"), value)])
    }

    /// Bytes that the client is to receive.
    #[must_use]
    pub const fn expected_down(&self) -> u64 {
        if matches!(self.verb, Verb::Echo) { self.up } else { self.down }
    }
}

/// The bytes of a body from `offset` on: a function of the request, the direction and the place.
#[must_use]
pub fn bytes_of(id: u64, up: bool, offset: u64, length: usize) -> Bytes {
    let end = offset + length as u64;
    let skip = usize::try_from(offset % 8).unwrap_or_default();
    let mut bytes = Vec::with_capacity(length + 16);
    for word in offset / 8..end.div_ceil(8) {
        bytes.extend_from_slice(&mix(id << 1 | u64::from(up), word).to_le_bytes());
    }
    Bytes::from(bytes).slice(skip..skip + length)
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood 2014).
const fn mix(stream: u64, word: u64) -> u64 {
    let mut z = stream.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_target() {
        let plan = Plan {
            verb: Verb::Break,
            gap: Duration::from_millis(7),
            declared: false,
            trailers: true,
            buffered: true,
            ..Plan::upload(u64::MAX, 1 << 40)
        };
        assert_eq!(Plan::parse(&plan.target()), Some(plan));
        for wrong in
            ["", "/", "/serve/1", "/dance/1/2/3/4/5/true/true/true", "/serve/1/2/3/4/5/maybe", "/serve/1/2/3/4/5/true"]
        {
            assert_eq!(Plan::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn any_piece_is_a_slice_of_the_whole_and_no_two_bodies_are_alike() {
        let all = bytes_of(3, true, 0, 1000);
        for (start, end) in [(0, 0), (0, 1), (7, 9), (8, 16), (999, 1000)] {
            assert_eq!(bytes_of(3, true, start as u64, end - start), all[start..end]);
        }
        assert_ne!(bytes_of(3, false, 0, 8), all[..8]);
        assert_ne!(bytes_of(4, true, 0, 8), all[..8]);
        assert_ne!(bytes_of(3, true, 8, 8), all[..8]);
    }
}
