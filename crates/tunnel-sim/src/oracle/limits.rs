//! The figures of what must hold.

use std::time::Duration;

/// A request ends within this, whatever happens: the head timeout of 75 s, the body's of 30 s, and what a slow link takes.
pub const REQUEST_LIMIT: Duration = Duration::from_mins(5);

/// When a client has gone, the service stops within this: a dead peer is noticed after 5 s, one that stands still after
/// the 10 to 15 s of the control stream's pings.
pub const ABORT_LIMIT: Duration = Duration::from_secs(20);

/// The same for what has come through a tunnel server: if the app's reset is lost, only the tunnel server's own limits end
/// it, 30 s for a body and 75 s for a head in simulations. Here it is the longer one, and a little.
pub const LEGACY_ABORT_LIMIT: Duration = Duration::from_secs(80);

/// After faults have healed, a request succeeds within this: an attempt that began before has 5 s to fail, the pause
/// after it has at most 7.5 s, and a connection that stood still is noticed as above.
pub const RESUME_LIMIT: Duration = Duration::from_secs(30);

/// What may lie unread on one stream: its window.
pub const WINDOW_BYTES: u64 = 1_250_000;

/// What may be under way between a service and a reader that does not read: the window of the stream on which a body
/// begins if it moves late, a batch (64 KiB), and for each stream over which it is spread a window and what the reader
/// takes ahead (48 KiB).
#[must_use]
pub const fn queue_bytes_max(streams: u64) -> u64 {
    WINDOW_BYTES + (64 << 10) + streams * (WINDOW_BYTES + (48 << 10))
}

/// What may be under way besides, when HTTP edges are on the way: on each of the two hops what HTTP libraries buffer on
/// either side (408 KiB, hyper's limit) and a TCP window (256 KiB), and what the gateway merges (64 KiB).
pub const EDGES_BYTES_MAX: u64 = 2 * (2 * (408 << 10) + (256 << 10)) + (64 << 10);

/// No node dials more often than this within a second. The shortest pause is 125 ms, for each of two connections, and some
/// dials follow a connection that has worked.
pub(super) const DIALS_MAX: usize = 24;

/// Violations that are kept; one is enough to fail.
pub(super) const VIOLATIONS_MAX: usize = 20;
