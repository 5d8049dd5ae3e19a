//! Which mistakes of the published server are repeated.

use std::{fmt, str::FromStr};

/// Which [`Defect`]s of the published tunnel server a server repeats.
///
/// [`Behaviour::mended`], the default, repeats none; [`Behaviour::faithful`] repeats all. A faithful server is for
/// comparison only: it lets tenants into each other's houses and grows without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviour(u32);

impl Behaviour {
    /// No defect.
    #[must_use]
    pub const fn mended() -> Self {
        Self(0)
    }

    /// Every defect.
    #[must_use]
    pub fn faithful() -> Self {
        Defect::ALL.into_iter().fold(Self::mended(), Self::with)
    }

    /// With this defect.
    #[must_use]
    pub const fn with(self, defect: Defect) -> Self {
        Self(self.0 | 1 << defect as u32)
    }

    /// Without this defect.
    #[must_use]
    pub const fn without(self, defect: Defect) -> Self {
        Self(self.0 & !(1 << defect as u32))
    }

    /// Whether the defect is repeated.
    #[must_use]
    pub const fn has(self, defect: Defect) -> bool {
        self.0 & 1 << defect as u32 != 0
    }
}

macro_rules! defects {
    ($($variant:ident, $name:literal, $published:literal, $mended:literal;)*) => {
        /// What the published tunnel server (0.5.0, observed by running it) does, and what this one does instead.
        ///
        /// | name | published | mended |
        /// |---|---|---|
        $(#[doc = concat!("| `", $name, "` | ", $published, " | ", $mended, " |")])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Defect {
            $(#[doc = concat!("Published: ", $published, ".")] $variant,)*
        }

        impl Defect {
            /// Every defect.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name, as in configurations.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

defects! {
    ClientIdTwice, "client-id-twice",
        "of two `clientId` the first is checked and the last is asked, so one tenant reaches another; spelled otherwise it is checked but not found",
        "exactly one, in any spelling, or 400";
    BroadcastsCrossTenants, "broadcasts-cross-tenants",
        "pushes of a host reach the WebSockets of every tenant",
        "only those of its own";
    AnySocketAnswers, "any-socket-answers",
        "a response is taken from any WebSocket that names the request, also from an app",
        "only from the host that was asked";
    NoHeadTimeout, "no-head-timeout",
        "a host that never answers is waited for without end",
        "504 after the head timeout; a body that stands still is cut after the idle timeout";
    RequestsOutliveTheirHost, "requests-outlive-their-host",
        "requests hang when their host goes",
        "502 before the head, a cut after it";
    MalformedPacketKillsSession, "malformed-packet-kills-session",
        "the connection dies without being signed off, so that requests hang until the host is back",
        "that response fails; the connection stays";
    StaleConnectionsHang, "stale-connections-hang",
        "a host written down by a server that was killed counts as connected, and requests for it hang",
        "hosts of earlier runs are forgotten: 424";
    LongBodiesDropped, "long-bodies-dropped",
        "a body over 262,144 bytes is dropped and the request goes without it",
        "413";
    NullBodiesLost, "null-bodies-lost",
        "the JSON body `null` goes as a payload that hosts read as no body",
        "400";
    MessagesLimitedTo64KiB, "messages-limited-to-64-kib",
        "any WebSocket message over 65,536 bytes closes the connection",
        "text up to the configured limits (16 MiB from hosts, 256 KiB from apps)";
    UnboundedBuffers, "unbounded-buffers",
        "what a slow reader does not take is kept, however much it is",
        "4 MiB, then the window or the stall limit of `spec/legacy.md`";
    OldHostStays, "old-host-stays",
        "a second host takes over silently; when it leaves, the first is still connected but 424 is the answer",
        "the newest wins and the old one is closed with 4001";
    LateAborts, "late-aborts",
        "an abort is sent only when further packets come, with the second of them; also for packets after the last",
        "at once";
    Nagle, "nagle",
        "Nagle's algorithm stays on, which costs 40 ms here and there",
        "off";
    CorsAsPublished, "cors-as-published",
        "preflights that ask for HEAD or for a header off the list, such as `range`, are refused",
        "any method that is forwarded, any header";
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Defect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|defect| defect.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no defect of the tunnel server: known are {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_a_switch_of_its_own() {
        for defect in Defect::ALL {
            let one = Behaviour::mended().with(defect);
            assert!(one.has(defect));
            assert_eq!(Defect::ALL.into_iter().filter(|other| one.has(*other)).count(), 1);
            assert!(!Behaviour::faithful().without(defect).has(defect));
            assert_eq!(defect.name().parse(), Ok(defect));
        }
        assert!("nagel".parse::<Defect>().is_err());
    }
}
