//! Requests in the form of the tunnel, turned into HTTP, and back: pure functions.
//!
//! A request keeps the form in which it was born (see [`RequestHead`](crate::RequestHead)); the far edge converts, and
//! only where it must. [`to_http`] follows the rules of the published tunnel sender, with the encoding that it forgets;
//! [`to_tunnel`] follows those of the tunnel server and lists as [`LegacyLoss`] what they lose.
//!
//! A request that [`to_tunnel`] turns without loss, and [`to_http`] turns back, means the same to the service: same
//! method, same path, same query once decoded, same JSON.

mod json;
mod loss;
mod to_http;
mod to_tunnel;

pub use loss::{LegacyLoss, LossClass, LossPolicy};
pub use to_http::to_http;
pub use to_tunnel::{PAYLOAD_BYTES_MAX, to_tunnel};

use http::HeaderName;

/// The header that names the MoosicBox profile of a request. In the tunnel's form the profile has a field of its own.
pub const PROFILE_HEADER: HeaderName = HeaderName::from_static("moosicbox-profile");

/// The query parameter that names the profile, stronger than [`PROFILE_HEADER`].
pub const PROFILE_QUERY_KEY: &str = "moosicboxProfile";

/// Headers about this connection or this framing of the body, which belong to no request in the tunnel's form
/// (RFC 9110 §7.6.1, RFC 9112 §6).
const CONNECTION_HEADERS: [HeaderName; 9] = [
    http::header::CONNECTION,
    http::header::CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    http::header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    http::header::TE,
    http::header::TRAILER,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
];
