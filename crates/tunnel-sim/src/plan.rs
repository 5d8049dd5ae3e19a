//! What a request asks its service to do, written into its target, and the bytes that it moves.

mod content;
mod file;
mod ws;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

pub use self::{
    content::{Content, bytes_of},
    file::{File, Validator},
    ws::WsVerb,
};

/// One request: what goes up, what comes down, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent property of the request")]
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
    /// Whether the request body is a JSON text, which a tunnel server carries. It is in memory then; from 2 bytes on.
    pub json: bool,
    /// How the request body ends. Without a byte there is none.
    pub up_end: End,
    /// How the response body ends.
    pub down_end: End,
    /// Of what kind the response body is.
    pub file: File,
    /// From which byte on the client wants the response body, if it is a download of a file with ranges.
    pub from: u64,
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
            json: false,
            up_end: End::Proper,
            down_end: End::Proper,
            file: File::NONE,
            from: 0,
        }
    }

    /// An upload, answered with a few bytes.
    #[must_use]
    pub const fn upload(id: u64, bytes: u64) -> Self {
        Self { up: bytes, ..Self::download(id, 8) }
    }

    /// An upload of JSON, answered with a few bytes: what a tunnel server carries, too.
    #[must_use]
    pub const fn json(id: u64, bytes: u64) -> Self {
        Self { json: true, ..Self::upload(id, bytes) }
    }

    /// A download of a file that can be continued anywhere.
    #[must_use]
    pub const fn file(id: u64, bytes: u64) -> Self {
        Self { file: File::STRONG, ..Self::download(id, bytes) }
    }

    /// The method that fits.
    #[must_use]
    pub const fn method(&self) -> Method {
        if self.up > 0 { Method::POST } else { Method::GET }
    }

    /// The target that says all this.
    #[must_use]
    pub fn target(&self) -> String {
        let verb = name(&Verb::ALL, self.verb);
        let (up_end, down_end) = (name(&End::ALL, self.up_end), name(&End::ALL, self.down_end));
        let Self { id, up, down, piece, declared, trailers, buffered, json, file, from, .. } = self;
        let (gap, validator) = (self.gap.as_millis(), file.validator.name());
        format!(
            "/{verb}/{id}/{up}/{down}/{piece}/{gap}/{declared}/{trailers}/{buffered}/{json}/{up_end}/{down_end}\
             /{validator}/{}/{}/{from}",
            file.ranges, file.changes
        )
    }

    /// Reads a target.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let verb = named(&Verb::ALL, parts.next()?)?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (id, up, down, piece, gap) = (number()?, number()?, number()?, number()?, number()?);
        let mut flag = || parts.next()?.parse::<bool>().ok();
        let (declared, trailers, buffered, json) = (flag()?, flag()?, flag()?, flag()?);
        let mut end = || named(&End::ALL, parts.next()?);
        let (up_end, down_end) = (end()?, end()?);
        let gap = Duration::from_millis(gap);
        let validator = Validator::named(parts.next()?)?;
        let file = File { validator, ranges: parts.next()?.parse().ok()?, changes: parts.next()?.parse().ok()? };
        let from = parts.next()?.parse().ok()?;
        let plan =
            Self { id, verb, up, down, piece, gap, declared, trailers, buffered, json, up_end, down_end, file, from };
        Some(plan)
    }

    /// The body of the request.
    #[must_use]
    pub const fn upload_content(&self) -> Content {
        Content { id: self.id, up: true, version: 0, json: if self.json { Some(self.up) } else { None } }
    }

    /// The body of the response that the n-th execution makes, from 1 on.
    #[must_use]
    pub const fn download_content(&self, execution: u32) -> Content {
        // An echo comes down as it went up.
        if matches!(self.verb, Verb::Echo) {
            return self.upload_content();
        }
        Content { id: self.id, up: false, version: self.file.version(execution), json: None }
    }

    /// Whether the body of the request is in memory from the start.
    #[must_use]
    pub const fn is_buffered(&self) -> bool {
        self.buffered || self.json
    }

    /// Whether the body of the request ends with trailers.
    #[must_use]
    pub const fn trailers_up(&self) -> bool {
        self.trailers && !self.is_buffered() && self.up > 0
    }

    /// Whether the body of the response does.
    #[must_use]
    pub const fn trailers_down(&self) -> bool {
        if matches!(self.verb, Verb::Echo) {
            self.trailers_up()
        } else {
            self.trailers && self.down > self.first_down()
        }
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
        if matches!(self.verb, Verb::Echo) { self.up } else { self.down - self.first_down() }
    }

    /// The first byte of the response body that the client wants.
    #[must_use]
    pub const fn first_down(&self) -> u64 {
        if matches!(self.verb, Verb::Echo) || self.up > 0 { 0 } else { self.from }
    }

    /// Whether the request body is whole, so that the service may see a proper end of it.
    #[must_use]
    pub const fn is_whole_up(&self) -> bool {
        self.up == 0 || self.is_buffered() || self.is_whole(self.up_end)
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

fn name<T: Copy + PartialEq>(all: &[(&'static str, T)], wanted: T) -> &'static str {
    all.iter().find(|(_, value)| *value == wanted).map_or("", |(name, _)| name)
}

fn named<T: Copy>(all: &[(&'static str, T)], wanted: &str) -> Option<T> {
    all.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
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
            json: true,
            file: File { validator: Validator::Weak, ranges: true, changes: 3 },
            from: 9,
            ..Plan::upload(u64::MAX, 1 << 40)
        };
        assert_eq!(Plan::parse(&plan.target()), Some(plan));
        let head = "1/2/3/4/5";
        for wrong in [
            String::new(),
            "/".to_owned(),
            "/serve/1".to_owned(),
            format!("/dance/{head}/true/true/true/true/proper/proper/strong/true/0/0"),
            format!("/serve/{head}/maybe/true/true/true/proper/proper/strong/true/0/0"),
            format!("/serve/{head}/true/true/true/true/proper/maybe/strong/true/0/0"),
            format!("/serve/{head}/true/true/true/true/proper/proper/maybe/true/0/0"),
            format!("/serve/{head}/true/true/true"),
        ] {
            assert_eq!(Plan::parse(&wrong), None, "{wrong}");
        }
    }
}
