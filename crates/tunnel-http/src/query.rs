//! The raw query of a target: reading parameters, and taking some out without touching the other bytes.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;

/// The decoded values of a parameter, in order. Names are compared decoded and case-sensitively; `+` stays `+`, as in
/// today's tunnel.
pub fn values<'a>(uri: &'a Uri, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    segments(uri)
        .map(|segment| segment.split_once('=').unwrap_or((segment, "")))
        .filter(move |(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value))
}

/// The decoded names, in order.
pub fn keys(uri: &Uri) -> impl Iterator<Item = Cow<'_, str>> {
    segments(uri).filter(|segment| !segment.is_empty()).map(key)
}

/// How many parameters have this name in any spelling of upper and lower case.
pub fn count_any_case(uri: &Uri, name: &str) -> usize {
    segments(uri).filter(|segment| key(segment).eq_ignore_ascii_case(name)).count()
}

/// The target in origin form without these parameters; every other byte is as it was.
pub fn without(uri: &Uri, names: &[&str]) -> Result<Uri, http::uri::InvalidUri> {
    let goes = |segment: &str| names.contains(&&*key(segment));
    if !segments(uri).any(goes) {
        return Ok(uri.clone());
    }
    let kept: Vec<&str> = segments(uri).filter(|segment| !goes(segment)).collect();
    if kept.is_empty() {
        return uri.path().parse();
    }
    format!("{}?{}", uri.path(), kept.join("&")).parse()
}

fn segments(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().into_iter().flat_map(|query| query.split('&'))
}

fn key(segment: &str) -> Cow<'_, str> {
    decode(segment.split('=').next().unwrap_or(segment))
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(target: &str) -> String {
        let uri: Uri = target.parse().unwrap();
        without(&uri, &["clientId", "signature"]).unwrap().to_string()
    }

    #[test]
    fn takes_out_only_what_is_named() {
        assert_eq!(stripped("/a?x=%20+&clientId=1&&y"), "/a?x=%20+&&y");
        assert_eq!(stripped("/a?client%49d=1&signature=2"), "/a");
        assert_eq!(stripped("/a?clientid=1"), "/a?clientid=1");
        assert_eq!(stripped("/a?"), "/a?");
        assert_eq!(stripped("/a"), "/a");
        assert_eq!(stripped("/a?signature"), "/a");
        assert_eq!(stripped("*"), "*");
    }

    #[test]
    fn reads_decoded_values() {
        let uri: Uri = "/?clientId=a%20b+c&x=1&clientId&CLIENTID=z".parse().unwrap();
        assert_eq!(values(&uri, "clientId").collect::<Vec<_>>(), ["a b+c", ""]);
        assert_eq!(keys(&uri).collect::<Vec<_>>(), ["clientId", "x", "clientId", "CLIENTID"]);
        assert_eq!(count_any_case(&uri, "clientId"), 3);
    }
}
