//! Header fields: those that belong to one hop, and forwarding notes.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE},
};

/// Removed on every hop (RFC 9110 §7.6.1). `Trailer` stays: it announces fields that are passed on.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Never removed because `Connection` names them: a sender must not do so, and routing and framing depend on them.
const ALWAYS_END_TO_END: [HeaderName; 2] = [HOST, CONTENT_LENGTH];

/// Removes what belongs to the hop the message came from; `TE: trailers` stays, because this hop relays trailers too.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !ALWAYS_END_TO_END.contains(name) && *name != TE)
        .collect();
    let trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a comma-separated header holds this token, in any case.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

/// Appends to a comma-separated list in one header, or starts it.
pub fn append_to_list(headers: &mut HeaderMap, name: &HeaderName, value: &[u8]) {
    let mut list: Vec<u8> = Vec::new();
    for present in headers.get_all(name) {
        list.extend_from_slice(present.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(value);
    if let Ok(list) = HeaderValue::from_bytes(&list) {
        headers.insert(name, list);
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|token| token.split(';').next().unwrap_or(token).trim())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn removes_connection_and_what_it_names() {
        let mut headers = map(&[
            ("connection", "close, x-once"),
            ("connection", "keep-alive, host"),
            ("x-once", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("host", "a"),
            ("proxy-authenticate", "Basic"),
            ("trailer", "x-sum"),
        ]);
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "proxy-authenticate", "trailer"]);
    }

    #[test]
    fn keeps_only_trailers_of_te() {
        let mut headers = map(&[("te", "gzip;q=0.5, Trailers"), ("connection", "te")]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("te", "trailers")]));
    }

    #[test]
    fn appends_to_a_list() {
        let mut headers = map(&[("x-forwarded-for", "a"), ("x-forwarded-for", "b")]);
        append_to_list(&mut headers, &HeaderName::from_static("x-forwarded-for"), b"c");
        assert_eq!(headers, map(&[("x-forwarded-for", "a, b, c")]));
    }
}
