//! Who may use the admin endpoint: programs on this machine, but no web page in a browser on it.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::refusal;

/// Scripts of web pages cannot send it to another origin without being asked to prove that they may, and nothing here
/// ever says that they may.
pub(super) const X_TUNNEL_ADMIN: &str = "x-tunnel-admin";

/// Lets a request through, or says what it lacks.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let mut response = match refused(request.method(), request.headers()) {
        Some((status, message)) => refusal(status, message),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn refused(method: &Method, headers: &HeaderMap) -> Option<(StatusCode, String)> {
    // A page whose name was made to point here (DNS rebinding) still says its own name.
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if hosts.next().is_some() || !is_loopback(host) {
        let message = format!("the admin endpoint does not answer for the host {host:?}: use 127.0.0.1 or localhost");
        return Some((StatusCode::MISDIRECTED_REQUEST, message));
    }
    if headers.contains_key(header::ORIGIN) {
        return Some((StatusCode::FORBIDDEN, "web pages may not use the admin endpoint".to_owned()));
    }
    let looks = matches!(*method, Method::GET | Method::HEAD);
    if !looks && headers.get(X_TUNNEL_ADMIN).is_none_or(|value| value != "1") {
        let message = format!("what changes something needs the header `{X_TUNNEL_ADMIN}: 1`");
        return Some((StatusCode::FORBIDDEN, message));
    }
    None
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn status(method: &Method, fields: &[(&'static str, &str)]) -> Option<u16> {
        let field = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        let headers = fields.iter().map(field).collect();
        refused(method, &headers).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_programs_on_this_machine_get_through() {
        let (get, post) = (&Method::GET, &Method::POST);
        for host in ["localhost:8018", "127.0.0.1:8018", "[::1]:1", "LOCALHOST"] {
            assert_eq!(status(get, &[("host", host)]), None, "{host}");
        }
        for host in ["evil.example", "", "localhost.evil.example", "10.0.0.1:8018"] {
            assert_eq!(status(get, &[("host", host)]), Some(421), "{host}");
        }
        let host = ("host", "localhost");
        assert_eq!(status(get, &[]), Some(421));
        assert_eq!(status(get, &[host, ("origin", "http://localhost:3000")]), Some(403));
        assert_eq!(status(post, &[host]), Some(403));
        assert_eq!(status(post, &[host, ("x-tunnel-admin", "0")]), Some(403));
        assert_eq!(status(post, &[host, ("x-tunnel-admin", "1")]), None);
        assert_eq!(status(post, &[host, ("x-tunnel-admin", "1"), ("origin", "null")]), Some(403));
        assert_eq!(status(&Method::OPTIONS, &[host]), Some(403));
    }
}
