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
    /// Whether the request body is in memory from the start. It has no trailers then, and ends properly.
    pub buffered: bool,
    /// How the request body ends. Without a byte there is none.
    pub up_end: End,
    /// How the response body ends.
    pub down_end: End,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After its last byte, as declared.
    Proper,
    /// With an error, after its last byte.
    Broken,
    /// As if it were proper, but one more byte was declared.
    Short,
    /// As if it were proper, but one byte less was declared.
    Long,
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
    /// As `Serve`, but the response body breaks off, whatever its plan.
    Break,
    /// Panics.
    Panic,
}

impl Verb {
    const ALL: [(&'static str, Self); 6] = [
        ("serve", Self::Serve),
        ("echo", Self::Echo),
        ("ignore", Self::Ignore),
        ("hang", Self::Hang),
        ("break", Self::Break),
        ("panic", Self::Panic),
    ];
}

impl End {
    const ALL: [(&'static str, Self); 4] =
        [("proper", Self::Proper), ("broken", Self::Broken), ("short", Self::Short), ("long", Self::Long)];
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
            up_end: End::Proper,
            down_end: End::Proper,
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
        let verb = name(&Verb::ALL, self.verb);
        let (up_end, down_end) = (name(&End::ALL, self.up_end), name(&End::ALL, self.down_end));
        let Self { id, up, down, piece, declared, trailers, buffered, .. } = self;
        let gap = self.gap.as_millis();
        format!("/{verb}/{id}/{up}/{down}/{piece}/{gap}/{declared}/{trailers}/{buffered}/{up_end}/{down_end}")
    }

    /// Reads a target.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let verb = named(&Verb::ALL, parts.next()?)?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (id, up, down, piece, gap) = (number()?, number()?, number()?, number()?, number()?);
        let mut flag = || parts.next()?.parse::<bool>().ok();
        let (declared, trailers, buffered) = (flag()?, flag()?, flag()?);
        let mut end = || named(&End::ALL, parts.next()?);
        let (up_end, down_end) = (end()?, end()?);
        let gap = Duration::from_millis(gap);
        Some(Self { id, verb, up, down, piece, gap, declared, trailers, buffered, up_end, down_end })
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

    /// Whether the request body is whole, so that the service may see a proper end of it.
    #[must_use]
    pub const fn is_whole_up(&self) -> bool {
        self.up == 0 || self.buffered || self.is_whole(self.up_end)
    }

    /// Whether the response body is whole, so that the client may see a proper end of it.
    #[must_use]
    pub const fn is_whole_down(&self) -> bool {
        if matches!(self.verb, Verb::Echo) { self.is_whole_up() } else { self.is_whole(self.response_end()) }
    }

    /// How the body ends that the service makes up.
    pub(crate) const fn response_end(&self) -> End {
        if matches!(self.verb, Verb::Break) { End::Broken } else { self.down_end }
    }

    const fn is_whole(&self, end: End) -> bool {
        match end {
            End::Proper => true,
            End::Broken => false,
            End::Short | End::Long => !self.declared,
        }
    }
}

/// What the service does with a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsVerb {
    /// Sends every message back, and so also the close.
    Echo,
    /// Sends so many messages back, and then ends without a close.
    Cut(u32),
    /// Never answers the request.
    Hang,
}

impl WsVerb {
    /// The target that says this.
    #[must_use]
    pub fn target(self, id: u64) -> String {
        match self {
            Self::Echo => format!("/ws/{id}"),
            Self::Cut(messages) => format!("/ws/{id}/cut/{messages}"),
            Self::Hang => format!("/ws/{id}/hang"),
        }
    }

    /// Reads a target: whose it is, and what to do.
    #[must_use]
    pub fn parse(path: &str) -> Option<(u64, Self)> {
        let parts: Vec<&str> = path.strip_prefix("/ws/")?.split('/').collect();
        let (id, verb) = match parts.as_slice() {
            [id] => (id, Self::Echo),
            [id, "cut", messages] => (id, Self::Cut(messages.parse().ok()?)),
            [id, "hang"] => (id, Self::Hang),
            _ => return None,
        };
        Some((id.parse().ok()?, verb))
    }
}

fn name<T: Copy + PartialEq>(all: &[(&'static str, T)], wanted: T) -> &'static str {
    all.iter().find(|(_, value)| *value == wanted).map_or("", |(name, _)| name)
}

fn named<T: Copy>(all: &[(&'static str, T)], wanted: &str) -> Option<T> {
    all.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
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
            verb: Verb::Panic,
            down_end: End::Short,
            gap: Duration::from_millis(7),
            declared: false,
            trailers: true,
            buffered: true,
            ..Plan::upload(u64::MAX, 1 << 40)
        };
        assert_eq!(Plan::parse(&plan.target()), Some(plan));
        let head = "1/2/3/4/5";
        for wrong in [
            String::new(),
            "/".to_owned(),
            "/serve/1".to_owned(),
            format!("/dance/{head}/true/true/true/proper/proper"),
            format!("/serve/{head}/maybe/true/true/proper/proper"),
            format!("/serve/{head}/true/true/true/proper/maybe"),
            format!("/serve/{head}/true/true/true"),
        ] {
            assert_eq!(Plan::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_web_socket_survives_its_target() {
        for verb in [WsVerb::Echo, WsVerb::Cut(3), WsVerb::Hang] {
            assert_eq!(WsVerb::parse(&verb.target(7)), Some((7, verb)));
        }
        assert_eq!(WsVerb::parse("/ws/7/dance"), None);
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
