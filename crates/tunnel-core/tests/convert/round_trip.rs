//! HTTP to the tunnel's form and back.

use bytes::Bytes;
use http::{Request, Uri};
use percent_encoding::percent_decode_str;
use proptest::{collection, prelude::*};
use serde_json::Value;
use tunnel_core::{
    convert::{to_http, to_tunnel},
    moosicbox_tunnel::{TunnelEncoding, TunnelHttpRequest},
};

/// The path as a service reads it, segment by segment: escapes resolved, but an escaped `/` is no separator.
fn path(uri: &Uri) -> Vec<Vec<u8>> {
    uri.path().split('/').map(|segment| percent_decode_str(segment).collect()).collect()
}

/// The query as a service reads it, `+` being a space, sorted.
fn query(uri: &Uri) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).collect();
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> =
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect();
    pairs.sort_unstable();
    pairs
}

proptest! {
    #[test]
    fn without_a_loss_a_request_means_the_same_afterwards(
        method in prop::sample::select(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"][..]),
        target in "/[a-zé/%\"{}^|.;=]{0,12}(\\?[a-c%+&=é;/?{]{0,20})?",
        accept in proptest::option::of("[ -~]{0,10}"),
        body in prop_oneof![Just(String::new()), "[0-9]{1,25}(\\.[0-9]{1,20})?(e[0-9])?", "[\\[\\]{},:\"a1]{0,8}"],
    ) {
        let mut request = Request::builder().method(method).uri(&target);
        if let Some(accept) = &accept {
            request = request.header("accept", accept);
        }
        // Not every generated target is one that the `http` crate takes.
        let Ok(request) = request.body(()) else { return Ok(()) };
        let (parts, ()) = request.into_parts();
        let (tunnel, losses) = to_tunnel(&parts, Some(&Bytes::from(body.clone())), 1);
        let (back, back_body) = to_http(tunnel).unwrap();
        prop_assert_eq!(path(&back.uri), path(&parts.uri));
        if losses.is_empty() {
            prop_assert_eq!(&back.method, &parts.method);
            prop_assert_eq!(query(&back.uri), query(&parts.uri));
            prop_assert_eq!(back.headers.get("accept"), parts.headers.get("accept"));
            let back_body = back_body.as_bytes().unwrap();
            prop_assert_eq!(back_body.is_empty(), body.is_empty());
            if !body.is_empty() {
                // `serde_json` reads long fractions off by one bit, the standard library does not.
                let back_body = std::str::from_utf8(back_body).unwrap();
                if let (Ok(number), Ok(back_number)) = (body.parse::<f64>(), back_body.parse::<f64>()) {
                    prop_assert_eq!(back_number.to_bits(), number.to_bits());
                } else {
                    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                    prop_assert_eq!(json(back_body), json(&body));
                }
            }
        }
    }

    #[test]
    fn no_request_of_the_tunnel_makes_the_conversion_panic(
        path in any::<String>(),
        query in collection::btree_map(any::<String>(), any::<String>(), 0..4),
        headers in collection::btree_map("[\\PC]{0,8}", any::<String>(), 0..3),
        profile in any::<Option<String>>(),
    ) {
        let expected: Vec<_> = query.iter().map(|(k, v)| (k.clone().into_bytes(), v.clone().into_bytes())).collect();
        let request = TunnelHttpRequest {
            request_id: 1,
            method: switchy_http::models::Method::Get,
            path,
            query: serde_json::to_value(query).unwrap(),
            payload: None,
            headers: Some(serde_json::to_value(headers).unwrap()),
            encoding: TunnelEncoding::Binary,
            profile,
        };
        if let Ok((parts, _)) = to_http(request) {
            prop_assert_eq!(self::query(&parts.uri), expected);
        }
    }
}
