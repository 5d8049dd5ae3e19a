//! From the tunnel's form to HTTP, by the rules of the tunnel sender.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
    uri::PathAndQuery,
};
use moosicbox_tunnel::TunnelHttpRequest;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{CONNECTION_HEADERS, PROFILE_HEADER};
use crate::{Body, Failure, FailureKind};

/// What a path cannot hold as it is (RFC 3986 §3.3). `%` is not among it: the path arrives with its escapes.
const PATH_ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

/// Everything but the unreserved characters (RFC 3986 §2.3): unlike the published sender, which encodes nothing, so that
/// `x&y` becomes two parameters and `#` cuts the rest.
const QUERY_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest target, in bytes, of which the `http` crate can make a [`Uri`].
const TARGET_BYTES_MAX: usize = 65_534;

/// The request as HTTP, its target in origin form.
///
/// - target: `/`, then the path as it is; the query with its keys sorted, as upstream has them, and encoded. Numbers and
///   booleans among its values are written out, null is empty
/// - headers: all that the request has, but for those about the connection or the length of the body
/// - profile: the header `moosicbox-profile`
/// - payload: the body, with `content-length` and, unless the request has its own, `content-type: application/json`
///
/// The `user-agent` by which upstream's services know the tunnel is left to who connects to the service.
///
/// What cannot be said in HTTP (CONNECT, a query or headers that are no object of scalars, a header that is not valid) is
/// a [`FailureKind::BadRequest`]; a target past 65,534 bytes is a [`FailureKind::TooLarge`].
pub fn to_http(request: TunnelHttpRequest) -> Result<(Parts, Body), Failure> {
    let method = Method::from_bytes(request.method.to_string().as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| bad_request(format!("the method {} cannot go through the tunnel", request.method)))?;
    let mut headers = headers(request.headers.as_ref())?;
    if let Some(profile) = request.profile {
        let profile = HeaderValue::try_from(profile).map_err(|_| bad_request("the profile is not a header value"))?;
        headers.insert(PROFILE_HEADER, profile);
    }
    let body = match request.payload {
        Some(payload) => {
            let body = Bytes::from(payload.to_string());
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            Body::full(body)
        }
        None => Body::empty(),
    };
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = target(&request.path, &request.query)?;
    parts.headers = headers;
    Ok((parts, body))
}

fn target(path: &str, query: &Value) -> Result<Uri, Failure> {
    let mut target = format!("/{}", utf8_percent_encode(path, PATH_ESCAPED));
    for (index, (key, value)) in scalars(query, "query")?.into_iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.extend(utf8_percent_encode(key, QUERY_ESCAPED));
        target.push('=');
        target.extend(utf8_percent_encode(&value, QUERY_ESCAPED));
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(Failure::new(
            FailureKind::TooLarge,
            format!("the target of the request is {} bytes long, more than {TARGET_BYTES_MAX}", target.len()),
        ));
    }
    PathAndQuery::try_from(target).map(Uri::from).map_err(|_| bad_request("the path of the request is not a URL path"))
}

fn headers(headers: Option<&Value>) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::new();
    for (name, value) in scalars(headers.unwrap_or(&Value::Null), "headers")? {
        let invalid = || bad_request(format!("the header {name:?} is not valid HTTP"));
        let name = HeaderName::try_from(name).map_err(|_| invalid())?;
        if !CONNECTION_HEADERS.contains(&name) {
            map.insert(name, HeaderValue::try_from(value.as_ref()).map_err(|_| invalid())?);
        }
    }
    Ok(map)
}

/// The entries of an object of scalars, sorted by key. Null is an object without entries.
fn scalars<'a>(value: &'a Value, field: &str) -> Result<BTreeMap<&'a str, Cow<'a, str>>, Failure> {
    let entries = match value {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(entries) => entries,
        _ => return Err(bad_request(format!("the {field} of the request is not an object"))),
    };
    entries
        .iter()
        .map(|(key, value)| match value {
            Value::Null => Ok((key.as_str(), Cow::Borrowed(""))),
            Value::String(text) => Ok((key.as_str(), Cow::Borrowed(text.as_str()))),
            Value::Bool(_) | Value::Number(_) => Ok((key.as_str(), Cow::Owned(value.to_string()))),
            Value::Array(_) | Value::Object(_) => {
                Err(bad_request(format!("{key:?} among the {field} of the request is not text")))
            }
        })
        .collect()
}

fn bad_request(message: impl Into<Cow<'static, str>>) -> Failure {
    Failure::new(FailureKind::BadRequest, message)
}
