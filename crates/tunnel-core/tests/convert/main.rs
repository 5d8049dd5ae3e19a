//! Conversions between HTTP and the tunnel's form.

#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod round_trip;
mod to_http;
mod to_tunnel;
