//! `if-range`, which the tunnel drops, kept from this side.
//!
//! The range is asked for without it, and the answer looked at: a part of another version is given up, and the whole is
//! asked for, as the service would have sent it at once (RFC 9110 §13.1.5). That costs a round trip, and only when the file
//! has changed.

use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use tunnel_core::{Response, convert::LegacyLoss};

/// Whether this loss is made good here.
pub(super) fn makes_good(loss: &LegacyLoss, parts: &Parts) -> bool {
    let once = |name| parts.headers.get_all(name).iter().count() == 1;
    *loss == LegacyLoss::Header(header::IF_RANGE)
        && parts.method == Method::GET
        && once(header::IF_RANGE)
        && (once(header::RANGE) || !parts.headers.contains_key(header::RANGE))
}

/// Takes the condition out of the head, and gives it with the head that asks for the whole. Without a range it means
/// nothing.
pub(super) fn take(parts: &mut Parts) -> Option<(HeaderValue, Parts)> {
    let condition = parts.headers.remove(header::IF_RANGE)?;
    let mut whole = parts.clone();
    whole.headers.remove(header::RANGE)?;
    Some((condition, whole))
}

/// Whether the service would have given this answer, had it seen the condition. When in doubt, not: a service may always
/// answer with the whole.
pub(super) fn holds(condition: &HeaderValue, response: &Response) -> bool {
    match response.status {
        StatusCode::PARTIAL_CONTENT => {
            // Only a strong tag is good enough, and a date must be exactly that of the file.
            let field = if condition.as_bytes().starts_with(b"\"") { header::ETAG } else { header::LAST_MODIFIED };
            response.headers.get(field) == Some(condition)
        }
        StatusCode::RANGE_NOT_SATISFIABLE => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use tunnel_core::Body;

    use super::*;

    fn answer(status: u16, fields: &[(&'static str, &'static str)]) -> Response {
        let mut response = Response::new(StatusCode::from_u16(status).unwrap(), Body::empty());
        for (name, value) in fields {
            response.headers.append(*name, HeaderValue::from_static(value));
        }
        response
    }

    #[test]
    fn a_part_is_good_only_with_the_very_same_validator() {
        let holds =
            |condition, status, fields: &[_]| holds(&HeaderValue::from_static(condition), &answer(status, fields));
        let date = "Sat, 29 Oct 1994 19:43:31 GMT";
        assert!(holds("\"a\"", 206, &[("etag", "\"a\"")]));
        assert!(holds(date, 206, &[("last-modified", date)]));
        assert!(holds("\"a\"", 200, &[]));
        assert!(holds("\"a\"", 503, &[]));
        for (condition, status, fields) in [
            ("\"a\"", 206, &[("etag", "\"b\"")][..]),
            ("\"a\"", 206, &[("etag", "W/\"a\"")]),
            ("W/\"a\"", 206, &[("etag", "W/\"a\"")]),
            ("\"a\"", 206, &[]),
            (date, 206, &[("etag", "\"a\"")]),
            ("\"a\"", 416, &[("etag", "\"a\"")]),
        ] {
            assert!(!holds(condition, status, fields), "{condition} {status} {fields:?}");
        }
    }

    #[test]
    fn the_whole_is_the_same_request_without_its_range() {
        let request = http::Request::get("/a").header("range", "bytes=1-").header("if-range", "\"a\"");
        let mut parts = request.header("accept", "*/*").body(()).unwrap().into_parts().0;
        assert!(makes_good(&LegacyLoss::Header(header::IF_RANGE), &parts));
        let (condition, whole) = take(&mut parts).unwrap();
        assert_eq!(condition, "\"a\"");
        assert_eq!((parts.headers.len(), whole.headers.len()), (2, 1));
        assert!(take(&mut parts).is_none());
    }
}
