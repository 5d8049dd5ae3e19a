//! From HTTP to the tunnel's form, by the rules of the tunnel server.

use std::{borrow::Cow, collections::BTreeSet};

use bytes::Bytes;
use http::{
    HeaderName, Method,
    header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, RANGE},
    request::Parts,
};
use moosicbox_tunnel::{TunnelEncoding, TunnelHttpRequest};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use switchy_http::models::Method as TunnelMethod;

use super::{CONNECTION_HEADERS, LegacyLoss, PROFILE_HEADER, PROFILE_QUERY_KEY, json};

/// The longest body that the tunnel server forwards, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 262_144;

/// The request in the tunnel's form, and all that this form loses of it. No loss means that [`to_http`](super::to_http)
/// gives a request back that means the same.
///
/// `body` is the whole body, empty if there is none; `None` says that it is a stream
/// ([`Body::as_bytes`](crate::Body::as_bytes)).
///
/// - path: as it is, percent escapes and all, without the first `/`
/// - query: decoded, the last of repeated keys; a `+` stays a `+`, bad escapes stay as they are
/// - headers: `accept` and `range`; what is about the connection, and `host`, does not count as lost
/// - profile: the query parameter `moosicboxProfile`, else the header `moosicbox-profile`
/// - body: JSON, whatever its `content-type` says
///
/// A method for which the tunnel has no word becomes OPTIONS, so that a caller who looks past the loss changes nothing.
#[must_use]
pub fn to_tunnel(parts: &Parts, body: Option<&Bytes>, request_id: u64) -> (TunnelHttpRequest, Vec<LegacyLoss>) {
    let mut losses = Vec::new();
    let method = method(&parts.method, &mut losses);
    if !parts.uri.path().starts_with('/') {
        losses.push(LegacyLoss::Target);
    }
    let path = parts.uri.path();
    let path = path.strip_prefix('/').unwrap_or(path).to_owned();
    let query = query(parts.uri.query().unwrap_or_default(), &mut losses);
    let payload = payload(body, &mut losses);
    let (headers, profile) = headers(parts, &query, payload.is_some(), &mut losses);
    let request = TunnelHttpRequest {
        request_id,
        method,
        path,
        query: Value::Object(query),
        payload,
        headers: (!headers.is_empty()).then_some(Value::Object(headers)),
        encoding: TunnelEncoding::Binary,
        profile,
    };
    (request, losses)
}

fn method(method: &Method, losses: &mut Vec<LegacyLoss>) -> TunnelMethod {
    match *method {
        Method::GET => TunnelMethod::Get,
        Method::POST => TunnelMethod::Post,
        Method::PUT => TunnelMethod::Put,
        Method::PATCH => TunnelMethod::Patch,
        Method::DELETE => TunnelMethod::Delete,
        Method::HEAD => TunnelMethod::Head,
        _ => {
            losses.push(LegacyLoss::Method(method.clone()));
            TunnelMethod::Options
        }
    }
}

fn query(query: &str, losses: &mut Vec<LegacyLoss>) -> Map<String, Value> {
    let mut map = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, key_is_utf8) = decode(key);
        let (value, value_is_utf8) = decode(value);
        if pair.contains('+') {
            push_once(losses, LegacyLoss::PlusInQuery(key.clone()));
        }
        if !(key_is_utf8 && value_is_utf8) {
            push_once(losses, LegacyLoss::QueryNotUtf8(key.clone()));
        }
        if map.contains_key(&key) {
            push_once(losses, LegacyLoss::RepeatedQueryKey(key.clone()));
        }
        map.insert(key, Value::String(value));
    }
    map
}

/// The decoded text, and whether it was UTF-8.
fn decode(text: &str) -> (String, bool) {
    let bytes = Cow::from(percent_decode_str(text));
    match std::str::from_utf8(&bytes) {
        Ok(text) => (text.to_owned(), true),
        Err(_) => (String::from_utf8_lossy(&bytes).into_owned(), false),
    }
}

fn payload(body: Option<&Bytes>, losses: &mut Vec<LegacyLoss>) -> Option<Value> {
    let Some(body) = body else {
        losses.push(LegacyLoss::BodyStreamed);
        return None;
    };
    if body.is_empty() {
        return None;
    }
    if body.len() > PAYLOAD_BYTES_MAX {
        losses.push(LegacyLoss::BodyTooLong { bytes: body.len() });
        return None;
    }
    match json::read(body) {
        Err(_) => {
            losses.push(LegacyLoss::BodyNotJson);
            None
        }
        Ok((Value::Null, _)) => {
            losses.push(LegacyLoss::BodyNull);
            None
        }
        Ok((payload, exact)) => {
            if !exact {
                losses.push(LegacyLoss::BodyInexact);
            }
            Some(payload)
        }
    }
}

/// The headers that travel, and the profile.
fn headers(
    parts: &Parts,
    query: &Map<String, Value>,
    has_payload: bool,
    losses: &mut Vec<LegacyLoss>,
) -> (Map<String, Value>, Option<String>) {
    let mut kept = Map::new();
    let query_profile = query.get(PROFILE_QUERY_KEY).and_then(Value::as_str);
    let mut profile = None;
    let nominated = nominated(parts);
    for name in parts.headers.keys() {
        if *name == HOST || CONNECTION_HEADERS.contains(name) || nominated.contains(name.as_str()) {
            continue;
        }
        let values = parts.headers.get_all(name);
        let Some(last) = values.iter().next_back() else { continue };
        if values.iter().count() > 1 && [ACCEPT, RANGE, PROFILE_HEADER].contains(name) {
            losses.push(LegacyLoss::RepeatedHeader(name.clone()));
        }
        let carried = match std::str::from_utf8(last.as_bytes()) {
            Ok(value) if *name == PROFILE_HEADER && query_profile.is_none_or(|query| query == value) => {
                profile = Some(value.to_owned());
                true
            }
            // The tunnel server takes only ASCII here.
            Ok(value) if (*name == ACCEPT || *name == RANGE) && value.is_ascii() => {
                kept.insert(name.as_str().to_owned(), Value::from(value));
                true
            }
            Ok(value) => *name == CONTENT_TYPE && has_payload && is_plain_json(value) && values.iter().count() == 1,
            Err(_) => false,
        };
        if !carried {
            losses.push(LegacyLoss::Header(name.clone()));
        }
    }
    (kept, query_profile.map(str::to_owned).or(profile))
}

/// Whether this is the content type that [`to_http`](super::to_http) gives every body; JSON is UTF-8 by itself.
fn is_plain_json(content_type: &str) -> bool {
    let (essence, parameter) = content_type.split_once(';').unwrap_or((content_type, ""));
    essence.trim().eq_ignore_ascii_case("application/json")
        && (parameter.trim().is_empty() || parameter.trim().eq_ignore_ascii_case("charset=utf-8"))
}

/// The headers that `connection` says are about this connection, in lower case (RFC 9110 §7.6.1).
fn nominated(parts: &Parts) -> BTreeSet<String> {
    let connection = parts.headers.get_all(CONNECTION);
    let names = connection.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    names.filter_map(|name| Some(HeaderName::try_from(name.trim()).ok()?.as_str().to_owned())).collect()
}

fn push_once(losses: &mut Vec<LegacyLoss>, loss: LegacyLoss) {
    if !losses.contains(&loss) {
        losses.push(loss);
    }
}
