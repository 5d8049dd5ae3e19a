//! Who may ask: access token, `Host` and `Origin`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts, uri::Authority};
use subtle::ConstantTimeEq;
use tunnel_core::{Failure, FailureKind, Response};
use tunnel_http::query;

use super::{
    GatewayConfig,
    refusal::{self, Outcome},
};
use crate::Profile;

const X_TUNNEL_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-tunnel-access-token");

/// The rules, from the configuration.
pub(super) struct Access {
    token: Option<String>,
    token_in_query: bool,
    listen: SocketAddr,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Access {
    pub(super) fn new(config: &GatewayConfig, listen: SocketAddr) -> Self {
        Self {
            token: config.access_token.clone(),
            token_in_query: config.profile == Profile::Moosicbox,
            listen,
            hosts: config.allow_hosts.clone(),
            origins: config.allow_origins.clone(),
        }
    }

    /// Refuses names and origins through which a foreign web page could reach the gateway (DNS rebinding, cross-site
    /// requests). With an access token the token alone decides.
    pub(super) fn check_names(&self, parts: &Parts) -> Result<(), Box<Response>> {
        if self.token.is_some() {
            return Ok(());
        }
        // Only HTTP/1.0 may leave out Host, and no browser speaks that.
        if let Some(host) = parts.headers.get(header::HOST) {
            let host = host.to_str().unwrap_or_default();
            if !self.allows_host(host) {
                return Err(Box::new(refusal::text(
                    StatusCode::MISDIRECTED_REQUEST,
                    format!("This gateway does not answer for the host `{host}`. Allow it with `--allow-host`.\n"),
                )));
            }
        }
        if let Some(origin) = parts.headers.get(header::ORIGIN)
            && !self.allows_origin(origin)
        {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            return Err(Box::new(refusal::text(
                StatusCode::FORBIDDEN,
                format!("Web pages of `{origin}` may not use this gateway. Allow them with `--allow-origin`.\n"),
            )));
        }
        Ok(())
    }

    /// Whether pages of this origin may read the answers.
    pub(super) fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let listed = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(origin);
        if self.token.is_some() || self.origins.iter().any(listed) {
            return true;
        }
        let authority = origin.split_once("://").and_then(|(_, rest)| rest.parse::<Authority>().ok());
        authority.is_some_and(|authority| is_loopback(authority.host()))
    }

    /// Checks the access token, and takes it out of the request, with all other signatures.
    pub(super) fn check_token(&self, parts: &mut Parts) -> Result<(), Box<Response>> {
        self.check(parts, false)
    }

    /// As [`check_token`](Self::check_token), for a request to the tunnel server, whose own signatures stay.
    pub(super) fn check_token_only(&self, parts: &mut Parts) -> Result<(), Box<Response>> {
        self.check(parts, true)
    }

    fn check(&self, parts: &mut Parts, keep_foreign: bool) -> Result<(), Box<Response>> {
        let Some(token) = &self.token else { return Ok(()) };
        let matches = |given: &[u8]| bool::from(given.ct_eq(token.as_bytes()));
        let mut known = false;

        let headers = &mut parts.headers;
        known |= headers.get(X_TUNNEL_ACCESS_TOKEN).is_some_and(|given| matches(given.as_bytes()));
        headers.remove(X_TUNNEL_ACCESS_TOKEN);
        // Other credentials are the service's.
        if headers.get(header::AUTHORIZATION).and_then(bearer).is_some_and(matches) {
            known = true;
            headers.remove(header::AUTHORIZATION);
        }
        if self.token_in_query {
            let signed = query::values(&parts.uri, "signature").any(|given| matches(given.as_bytes()));
            known |= signed;
            if signed || !keep_foreign {
                parts.uri = query::without(&parts.uri, &["signature"]).map_err(|_| bad_target())?;
            }
        }
        if known {
            return Ok(());
        }
        let mut response = refusal::text(StatusCode::UNAUTHORIZED, "Unauthorized");
        response.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Err(Box::new(response))
    }

    fn allows_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let listed = |allowed: &String| allowed.eq_ignore_ascii_case(name) || allowed.eq_ignore_ascii_case(host);
        is_loopback(name) || address(name) == Some(self.listen.ip()) || self.hosts.iter().any(listed)
    }
}

/// Brings the target into origin form and its authority into `Host` (RFC 9112 §3.2.2, RFC 9113 §8.3.1).
pub(super) fn normalise(parts: &mut Parts) -> Result<(), Box<Response>> {
    if parts.method == http::Method::CONNECT {
        return Err(Box::new(refusal::text(
            StatusCode::NOT_IMPLEMENTED,
            "This gateway is not a forward proxy: CONNECT is not supported.\n",
        )));
    }
    if parts.headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Box::new(refusal::text(StatusCode::BAD_REQUEST, "There is more than one Host header.\n")));
    }
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| bad_target())?;
        parts.headers.insert(header::HOST, host);
        parts.uri = match parts.uri.query() {
            Some(query) => format!("{}?{query}", parts.uri.path()).parse(),
            None => parts.uri.path().parse::<Uri>(),
        }
        .map_err(|_| bad_target())?;
    }
    if parts.version == http::Version::HTTP_11 && !parts.headers.contains_key(header::HOST) {
        return Err(Box::new(refusal::text(StatusCode::BAD_REQUEST, "The Host header is missing.\n")));
    }
    if parts.version == http::Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    Ok(())
}

/// HTTP/2 may send cookies one by one; what goes on as HTTP/1.1 has them in one line (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

fn bad_target() -> Box<Response> {
    let failure = Failure::new(FailureKind::BadRequest, "The request target is not valid");
    Box::new(refusal::failure(&failure, Outcome::NotExecuted))
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// RFC 6761 §6.3: `localhost` and everything below it is this machine.
fn is_loopback(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let lower = lower.strip_suffix('.').unwrap_or(&lower);
    lower == "localhost" || lower.ends_with(".localhost") || address(lower).is_some_and(|ip| ip.is_loopback())
}

fn address(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(change: impl FnOnce(&mut GatewayConfig)) -> Access {
        let mut config = GatewayConfig::default();
        change(&mut config);
        Access::new(&config, config.listen)
    }

    fn parts(uri: &str, fields: &[(&str, &str)]) -> Parts {
        let request =
            fields.iter().fold(http::Request::get(uri), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn answers_for_loopback_and_allowed_hosts_only() {
        let rules = access(|config| config.allow_hosts = vec!["music.example".into()]);
        for host in ["localhost:8017", "127.0.0.1", "127.1.2.3:1", "[::1]:8017", "a.localhost", "Music.Example:9"] {
            assert!(rules.check_names(&parts("/", &[("host", host)])).is_ok(), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.nip.io"] {
            let refused = rules.check_names(&parts("/", &[("host", host)])).unwrap_err();
            assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
    }

    #[test]
    fn pages_of_foreign_origins_are_refused_unless_allowed() {
        let rules = access(|config| config.allow_origins = vec!["https://app.example".into()]);
        for origin in ["http://localhost:3000", "https://app.example", "tauri://localhost"] {
            assert!(rules.check_names(&parts("/", &[("origin", origin)])).is_ok(), "{origin}");
        }
        for origin in ["https://evil.example", "null", "https://localhost.evil.example"] {
            let refused = rules.check_names(&parts("/", &[("origin", origin)])).unwrap_err();
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{origin}");
        }
        let any = access(|config| config.allow_origins = vec!["*".into()]);
        assert!(any.check_names(&parts("/", &[("origin", "https://evil.example")])).is_ok());
        let token = access(|config| config.access_token = Some("t".into()));
        assert!(token.check_names(&parts("/", &[("origin", "https://a"), ("host", "b")])).is_ok());
    }

    #[test]
    fn the_token_is_accepted_in_three_places_and_taken_out() {
        let rules = access(|config| config.access_token = Some("secret".into()));
        for (uri, fields) in [
            ("/?a=1", &[("authorization", "bearer secret")][..]),
            ("/?a=1", &[("x-tunnel-access-token", "secret")]),
            ("/?signature=secret&a=1", &[]),
        ] {
            let mut parts = parts(uri, fields);
            assert!(rules.check_token(&mut parts).is_ok());
            assert_eq!(parts.uri, "/?a=1");
            assert!(parts.headers.is_empty());
        }
        for (uri, fields) in [
            ("/", &[][..]),
            ("/?signature=other", &[]),
            ("/", &[("authorization", "secret")]),
            ("/", &[("authorization", "Bearer secret2")]),
        ] {
            assert_eq!(rules.check_token(&mut parts(uri, fields)).unwrap_err().status, StatusCode::UNAUTHORIZED);
        }
    }

    #[test]
    fn signatures_of_the_tunnel_server_stay_on_the_way_to_it() {
        let rules = access(|config| config.access_token = Some("secret".into()));
        let token = [("x-tunnel-access-token", "secret"), ("authorization", "Bearer theirs")];
        let mut theirs = parts("/auth/validate-signature-token?signature=theirs", &token);
        assert!(rules.check_token_only(&mut theirs).is_ok());
        assert_eq!(theirs.uri, "/auth/validate-signature-token?signature=theirs");
        assert_eq!(theirs.headers["authorization"], "Bearer theirs");
        let mut ours = parts("/auth/x?signature=secret&a=1", &[]);
        assert!(rules.check_token_only(&mut ours).is_ok());
        assert_eq!(ours.uri, "/auth/x?a=1");
        assert!(rules.check_token_only(&mut parts("/auth/x?signature=theirs", &[])).is_err());
    }

    #[test]
    fn credentials_of_the_service_pass() {
        let rules = access(|config| {
            config.access_token = Some("secret".into());
            config.profile = Profile::Plain;
        });
        let fields = [("x-tunnel-access-token", "secret"), ("authorization", "Bearer theirs")];
        let mut parts = parts("/?signature=theirs", &fields);
        assert!(rules.check_token(&mut parts).is_ok());
        assert_eq!(parts.uri, "/?signature=theirs");
        assert_eq!(parts.headers["authorization"], "Bearer theirs");
    }

    #[test]
    fn cookies_of_http2_are_joined() {
        let mut parts = parts("http://localhost/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        parts.version = http::Version::HTTP_2;
        assert!(normalise(&mut parts).is_ok());
        assert_eq!(parts.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn an_absolute_target_becomes_origin_form() {
        let mut parts = parts("http://other:1/a?b=%20", &[("host", "first")]);
        assert!(normalise(&mut parts).is_ok());
        assert_eq!(parts.uri, "/a?b=%20");
        assert_eq!(parts.headers["host"], "other:1");
    }
}
