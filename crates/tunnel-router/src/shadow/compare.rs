//! What differs between two responses.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, header};

use super::Seen;
use crate::failover::UNKNOWN_TYPE;

/// Headers that differ by nature or belong to the hop: time, connection and length (the body is compared itself), what the
/// hops add, cookies that are new each time, and CORS, which the tunnel server answers itself.
const LEFT_OUT: [HeaderName; 14] = [
    header::DATE,
    header::AGE,
    header::EXPIRES,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::VIA,
    header::SERVER,
    header::SET_COOKIE,
    header::VARY,
    HeaderName::from_static("keep-alive"),
];

const LEFT_OUT_PREFIXES: [&str; 3] = ["x-tunnel-", "access-control-", "proxy-"];

/// What differs, in words; values of headers are private and left out.
pub(crate) fn differences(one: &Seen, other: &Seen, ignored: &[HeaderName]) -> Vec<String> {
    let mut found = Vec::new();
    if one.status != other.status {
        found.push(format!("status {} and {}", one.status.as_u16(), other.status.as_u16()));
    }
    let names: BTreeSet<&str> = one.headers.keys().chain(other.headers.keys()).map(HeaderName::as_str).collect();
    for name in names {
        let is_ignored = ignored.iter().any(|ignored| ignored.as_str() == name);
        let value = |seen: &Seen| last(&seen.headers, name).or_else(|| default(name)).map(str::to_owned);
        if !is_ignored && !is_left_out(name) && value(one) != value(other) {
            found.push(format!("header {name}"));
        }
    }
    if one.hash != other.hash {
        found.push(format!("body of {} and {} bytes", one.bytes, other.bytes));
    }
    found
}

fn is_left_out(name: &str) -> bool {
    LEFT_OUT.iter().any(|left_out| left_out.as_str() == name)
        || LEFT_OUT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What a header means that is not there: tunnel servers write it out.
fn default(name: &str) -> Option<&'static str> {
    (name == header::CONTENT_TYPE.as_str()).then_some(UNKNOWN_TYPE)
}

/// Today's tunnel keeps one of repeated headers, and text only.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok())
}
